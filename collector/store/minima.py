"""The fastest round trips of every series over time, without histograms: where the route itself became longer or shorter."""

import sqlite3
from collections.abc import Iterator

from agent.wire.series import UNTIMED_PROBES, SeriesKey
from collector.store.query import coverage, series_names
from collector.store.schema import HOUR_S
from collector.store.tiers import Period, plan_steps, widen


def hourly_minima(connection: sqlite3.Connection, period: Period) -> Iterator[tuple[int, SeriesKey, int]]:
    """(start of the hour, series, smallest RTT in ns) of clean minutes; days whose hours are gone are left out."""
    held = coverage(connection)
    names = series_names(connection)
    for span in plan_steps(widen(period, held), held, HOUR_S):
        if span.tier == "day":
            continue
        rows = connection.execute(
            f"SELECT start_s / {HOUR_S} * {HOUR_S} AS hour_s, series, min(min_ns) FROM {span.tier}"
            " WHERE start_s >= ? AND start_s < ? AND NOT spoiled AND min_ns IS NOT NULL GROUP BY hour_s, series",
            (span.start_s, span.end_s),
        )
        for hour_s, series, min_ns in rows:
            if names[series].probe not in UNTIMED_PROBES:
                yield hour_s, names[series], min_ns


def minute_minima(
    connection: sqlite3.Connection, period: Period, source: str, destination: str, probe: str
) -> list[tuple[int, int]]:
    """(start, smallest RTT in ns) of one path's minutes, as far as they are kept, in order of time."""
    names = series_names(connection, (source, destination))
    wanted = [number for number, name in names.items() if name.probe == probe]
    return connection.execute(
        "SELECT start_s, min(min_ns) FROM minute WHERE start_s >= ? AND start_s < ? AND NOT spoiled"
        f" AND min_ns IS NOT NULL AND series IN ({', '.join(map(str, wanted))}) GROUP BY start_s",
        (period.start_s, period.end_s),
    ).fetchall()
