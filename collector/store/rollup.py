"""Hours from minutes and days from hours, by merging histograms.

Ingest notes in the table `touched`, in its own transaction, each hour that it added to. A unit of work here merges
one hour (or day) of one node's series anew from the finer rows, replaces the coarse rows, and removes the note, in
one transaction of the writer: late data is right, a crash loses nothing, and nothing can count twice.
An hour still noted is read from its minutes (query.py).
"""

import sqlite3
from collections.abc import Iterator
from typing import Any

from collector.store.measures import roll_up_measures
from collector.store.merge import merge_columns, merge_rows
from collector.store.schema import COARSE_COLUMNS, DAY_S, TIER_SECONDS
from collector.store.totals import coarse_row, totals_by_group

GRACE_SECONDS = 120
"""An hour is merged this long after it ended, when most of its last windows have arrived."""
FINER = {"hour": "minute", "day": "hour"}
CHUNK_ROWS = 20_000

Unit = tuple[str, int, int]
"""tier, start_s, node id."""

_INSERT = f"INSERT OR REPLACE INTO {{tier}} ({', '.join(COARSE_COLUMNS)}) VALUES ({', '.join('?' * len(COARSE_COLUMNS))})"


def due_units(connection: sqlite3.Connection, now_s: int, most: int = 1000) -> list[Unit]:
    """What can be merged now, oldest first, hours before the days that are made of them."""
    rows = connection.execute(
        "SELECT tier, start_s, node FROM touched AS unit"
        " WHERE (tier = 'hour' AND start_s + 3600 + ? <= ?)"
        " OR (tier = 'day' AND start_s + 86400 + ? <= ? AND NOT EXISTS (SELECT 1 FROM touched AS hour"
        " WHERE hour.tier = 'hour' AND hour.node = unit.node"
        " AND hour.start_s >= unit.start_s AND hour.start_s < unit.start_s + 86400))"
        " ORDER BY tier = 'day', start_s, node LIMIT ?",
        (GRACE_SECONDS, now_s, GRACE_SECONDS, now_s, most),
    )
    return [(tier, start_s, node) for tier, start_s, node in rows]


def oldest_due_s(connection: sqlite3.Connection, now_s: int) -> int | None:
    """When the longest waiting unit became due; None when nothing waits."""
    waiting = [
        start_s + TIER_SECONDS[tier] + GRACE_SECONDS for tier, start_s, _ in due_units(connection, now_s)
    ]
    return min(waiting, default=None)


def roll_up(connection: sqlite3.Connection, unit: Unit) -> int:
    """Merge one unit anew inside the open transaction of the writer; returns how many rows it wrote."""
    tier, start_s, node = unit
    end_s = start_s + TIER_SECONDS[tier]
    merged = merge_rows(
        _finer_rows(connection, FINER[tier], start_s, end_s, node),
        lambda _, series, spoiled: series * 2 + spoiled,
    )
    rows = [coarse_row(start_s, group // 2, group % 2, totals) for group, totals in totals_by_group(merged)]
    connection.executemany(_INSERT.format(tier=tier), rows)
    roll_up_measures(connection, FINER[tier], tier, start_s, end_s, node)
    connection.execute("DELETE FROM touched WHERE (tier, start_s, node) = (?, ?, ?)", unit)
    if tier == "hour":
        day = start_s // DAY_S * DAY_S
        connection.execute("INSERT OR IGNORE INTO touched VALUES ('day', ?, ?)", (day, node))
    return len(rows)


def _finer_rows(
    connection: sqlite3.Connection, tier: str, start_s: int, end_s: int, node: int
) -> Iterator[list[Any]]:
    """Rows of the node's series, looked up one by one: each is a short descent, whatever other nodes store."""
    step_s = TIER_SECONDS[tier]
    cursor = connection.execute(
        "WITH RECURSIVE step(at) AS (VALUES (?) UNION ALL SELECT at + ? FROM step WHERE at + ? < ?)"
        f" SELECT {merge_columns(tier)} FROM step CROSS JOIN series ON series.node = ?"
        f" CROSS JOIN {tier} ON {tier}.start_s = step.at AND {tier}.series = series.id",
        (start_s, step_s, step_s, end_s, node),
    )
    while rows := cursor.fetchmany(CHUNK_ROWS):
        yield rows
