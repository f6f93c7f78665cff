"""Rows as they are stored, of many series at once: what a report adds up without histograms, and what it vouches for."""

import hashlib
import sqlite3
from collections.abc import Collection, Iterator

from collector.store.query import CutsOf, coverage
from collector.store.schema import HOUR_S
from collector.store.tiers import Period, plan, plan_steps, widen, without

PathSeries = tuple[str, str, str, str]
"""Source, destination, probe, family."""


def hourly_counts(
    connection: sqlite3.Connection, period: Period, wanted: Collection[PathSeries], cuts_of: CutsOf
) -> Iterator[tuple[int, int, int]]:
    """(start of the hour, judged, over the limit) over all of these series' clean rows; days whose hours are gone are left out.

    An hour may come in several pieces.
    """
    held = coverage(connection)
    by_cuts: dict[tuple[Period, ...], list[PathSeries]] = {}
    for each in wanted:
        by_cuts.setdefault(tuple(cuts_of(each[0], each[1])), []).append(each)
    for cuts, series in by_cuts.items():
        ids = _ids(connection, frozenset(series))
        spans = [span for part in without(period, cuts, held) for span in plan_steps(part, held, HOUR_S)]
        for span in spans:
            if span.tier != "day":
                yield from connection.execute(
                    f"SELECT start_s / {HOUR_S} * {HOUR_S} AS hour_s, SUM(judged), SUM(over_limit) FROM {span.tier}"
                    f" WHERE start_s >= ? AND start_s < ? AND NOT spoiled AND series IN ({ids}) GROUP BY hour_s",
                    (span.start_s, span.end_s),
                )


def raw_digest(
    connection: sqlite3.Connection, period: Period, wanted: Collection[PathSeries]
) -> tuple[int, str]:
    """How many rows answer the period, and SHA-256 over them in order of time and series, spoiled ones too."""
    held = coverage(connection)
    ids = _ids(connection, wanted)
    digest, count = hashlib.sha256(), 0
    for span in plan(widen(period, held), held):
        rows = connection.execute(
            f"SELECT * FROM {span.tier} WHERE start_s >= ? AND start_s < ? AND series IN ({ids})"
            " ORDER BY start_s, series, spoiled",
            (span.start_s, span.end_s),
        )
        for row in rows:
            digest.update(repr(row).encode())
            count += 1
    return count, digest.hexdigest()


def _ids(connection: sqlite3.Connection, wanted: Collection[PathSeries]) -> str:
    """The store's numbers of these series, for IN (…)."""
    known = connection.execute(
        "SELECT series.id, node.name, destination, probe, family FROM series JOIN node ON node.id = series.node"
    )
    return ", ".join(str(number) for number, *key in known if tuple(key) in wanted)
