"""Judged blocks and incidents as rows. What is inside them is the business of collector.incidents: here it is JSON."""

import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from collector.store.schema import BLOCK_S
from collector.store.tiers import Period


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """One incident; body and pairs are JSON."""

    id: str
    start_s: int
    end_s: int | None
    body: bytes
    pairs: bytes


def note_pending(connection: sqlite3.Connection, starts: Iterable[int]) -> None:
    """Data came for the blocks that hold these times, inside the open transaction."""
    connection.executemany(
        "INSERT INTO pending_block VALUES (?, 1) ON CONFLICT DO UPDATE SET version = version + 1",
        [(start_s,) for start_s in sorted({start_s // BLOCK_S * BLOCK_S for start_s in starts})],
    )


def pending_blocks(connection: sqlite3.Connection, period: Period) -> dict[int, int]:
    """Start → version of the blocks that wait in the period, in order of time."""
    rows = connection.execute(
        "SELECT start_s, version FROM pending_block WHERE start_s >= ? AND start_s < ? ORDER BY start_s",
        (period.start_s, period.end_s),
    )
    return dict(rows.fetchall())


def judged_blocks(connection: sqlite3.Connection, period: Period) -> Iterator[bytes]:
    """JSON of what was found in the blocks of the period, in order of time."""
    rows = connection.execute(
        "SELECT found FROM judged_block WHERE start_s >= ? AND start_s < ? ORDER BY start_s",
        (period.start_s, period.end_s),
    )
    return (zlib.decompress(found) for (found,) in rows)


def latest_judged_s(connection: sqlite3.Connection) -> int | None:
    """Start of the latest judged block; None before the first."""
    found: int | None = connection.execute("SELECT max(start_s) FROM judged_block").fetchone()[0]
    return found


def incident_rows(connection: sqlite3.Connection, period: Period) -> list[IncidentRow]:
    """Every incident that touches the period, in order of start."""
    rows = connection.execute(
        "SELECT id, start_s, end_s, body, pairs FROM incident WHERE start_s < ? AND (end_s IS NULL OR end_s > ?)"
        " ORDER BY start_s, id",
        (period.end_s, period.start_s),
    )
    return [
        IncidentRow(name, start_s, end_s, zlib.decompress(body), zlib.decompress(pairs))
        for name, start_s, end_s, body, pairs in rows
    ]


def save_judgement(
    connection: sqlite3.Connection,
    blocks: Iterable[tuple[int, int, bytes]],
    incidents: Iterable[IncidentRow],
    gone: Iterable[str],
) -> None:
    """Inside the open transaction: blocks as (start, version seen, JSON), the incidents as they are now, ids that are no more.

    A block for which more data came meanwhile goes on waiting.
    """
    for start_s, version, found in blocks:
        connection.execute(
            "INSERT OR REPLACE INTO judged_block VALUES (?, ?)", (start_s, zlib.compress(found, 1))
        )
        connection.execute("DELETE FROM pending_block WHERE (start_s, version) = (?, ?)", (start_s, version))
    connection.executemany("DELETE FROM incident WHERE id = ?", [(name,) for name in gone])
    connection.executemany(
        "INSERT OR REPLACE INTO incident VALUES (?, ?, ?, ?, ?)",
        [
            (row.id, row.start_s, row.end_s, zlib.compress(row.body, 1), zlib.compress(row.pairs, 1))
            for row in incidents
        ],
    )
