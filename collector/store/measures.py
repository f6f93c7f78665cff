"""What probes measure beside their round-trip time: further times, counters and gauges, by name.

Few probes have any and each has few, so SQL merges them row by row; the same statement takes a window into its
minute and rolls minutes up.
"""

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.wire.batch import Window
from agent.wire.histogram import Histogram
from agent.wire.series import Family
from collector.store.buckets import decode_buckets, encode_buckets
from collector.store.schema import MINUTE_S, TIER_SECONDS
from collector.store.tiers import Period, Span

COLUMNS = "start_s, series, spoiled, kind, name, value, low, high, count, sum_ns, min_ns, max_ns, histogram"
_MERGED = (
    " ON CONFLICT DO UPDATE SET"
    " value = CASE kind WHEN 'counter' THEN value + excluded.value ELSE excluded.value END,"
    " low = min(low, excluded.low), high = max(high, excluded.high),"
    " count = count + excluded.count, sum_ns = sum_ns + excluded.sum_ns,"
    " min_ns = min(min_ns, excluded.min_ns), max_ns = max(max_ns, excluded.max_ns),"
    " histogram = merge_buckets(histogram, excluded.histogram)"
)
_INSERT = f"INSERT INTO minute_measure ({COLUMNS}) VALUES ({', '.join('?' * 13)}){_MERGED}"


@dataclass(slots=True)
class MeasureTotals:
    """One measure of one series over some time. value: a counter's sum or a gauge's latest; None for a time.

    low, high: what a gauge was between. times: a time's histogram, empty for the others.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    times: Histogram = field(default_factory=Histogram)


@dataclass(frozen=True, slots=True, order=True)
class MeasureKey:
    """Which measure: of a path's probe, in one family."""

    source: str
    destination: str
    probe: str
    family: Family
    kind: str
    name: str


def store_measures(connection: sqlite3.Connection, windows: Iterable[tuple[int, Window]]) -> None:
    """Measures of windows with their series' ids, inside the open transaction. Raises sqlite3.IntegrityError."""
    connection.executemany(_INSERT, [row for series, window in windows for row in _rows(series, window)])


def _rows(series: int, window: Window) -> Iterator[tuple[Any, ...]]:
    key = (window.start_s // MINUTE_S * MINUTE_S, series, 1 if window.quality else 0)
    for name, value in window.gauges.items():
        yield (*key, "gauge", name, value, value, value, 0, 0, None, None, b"")
    for name, value in window.counters.items():
        yield (*key, "counter", name, value, None, None, 0, 0, None, None, b"")
    for name, times in window.times.items():
        if times.count:
            blob = encode_buckets(times.buckets)
            span = (times.count, times.sum_ns, times.min_ns, times.max_ns)
            yield (*key, "time", name, None, None, None, *span, blob)


def roll_up_measures(
    connection: sqlite3.Connection, finer: str, tier: str, start_s: int, end_s: int, node: int
) -> None:
    """Merge one node's measures of an hour or day anew, inside the open transaction."""
    of_node = "series IN (SELECT id FROM series WHERE node = ?)"
    connection.execute(f"DELETE FROM {tier}_measure WHERE start_s = ? AND {of_node}", (start_s, node))
    connection.execute(
        f"INSERT INTO {tier}_measure ({COLUMNS}) SELECT ?, {COLUMNS.removeprefix('start_s, ')}"
        f" FROM {finer}_measure WHERE start_s >= ? AND start_s < ? AND {of_node} ORDER BY start_s{_MERGED}",
        (start_s, start_s, end_s, node),
    )


def load_measures(
    connection: sqlite3.Connection,
    spans: Iterable[Span],
    name: str | None = None,
    source: str | None = None,
    cuts_of: Callable[[str, str], Sequence[Period]] = lambda _source, _destination: (),
) -> dict[MeasureKey, MeasureTotals]:
    """Measures of clean minutes over these spans, in order of time; of one name or source only, where given.

    Rows that start within a cut of their path are left out: the spans must be such that each row lies wholly inside or outside of it.
    """
    found: dict[MeasureKey, MeasureTotals] = {}
    for span in spans:
        rows = connection.execute(
            "SELECT node.name, destination, probe, family, kind, measure.name,"
            " value, low, high, count, sum_ns, min_ns, max_ns, histogram, start_s"
            f" FROM {span.tier}_measure AS measure JOIN series ON series.id = measure.series"
            " JOIN node ON node.id = series.node"
            " WHERE start_s >= ?1 AND start_s < ?2 AND NOT spoiled AND (?3 IS NULL OR measure.name = ?3)"
            " AND (?4 IS NULL OR node.name = ?4) ORDER BY start_s",
            (span.start_s, span.end_s, name, source),
        )
        for row in rows:
            source_node, destination, probe, family, kind, measure = row[:6]
            if any(cut.start_s <= row[-1] < cut.end_s for cut in cuts_of(source_node, destination)):
                continue
            key = MeasureKey(source_node, destination, probe, Family(family), kind, measure)
            _add(found.setdefault(key, MeasureTotals()), key.kind, row[6:-1])
    return found


def retransmits_of_paths(
    connection: sqlite3.Connection, period: Period, pairs: Collection[tuple[str, str]]
) -> tuple[float, float]:
    """Bytes sent and bytes sent again by the connections of these (source, destination) together, from minute rows."""
    known = connection.execute(
        "SELECT series.id, node.name, destination FROM series JOIN node ON node.id = series.node"
        " WHERE probe = 'sockets'"
    )
    ids = [number for number, *pair in known if tuple(pair) in pairs]
    sums = dict(
        connection.execute(
            "WITH RECURSIVE step(at) AS (VALUES (?) UNION ALL SELECT at + 60 FROM step WHERE at + 60 < ?)"
            " SELECT name, sum(value) FROM step CROSS JOIN minute_measure ON start_s = step.at"
            " AND series IN (SELECT value FROM json_each(?)) WHERE name IN ('bytes_sent', 'bytes_retransmitted')"
            " GROUP BY name",
            (period.start_s, period.end_s, json.dumps(ids)),
        ).fetchall()
    )
    return sums.get("bytes_sent", 0.0), sums.get("bytes_retransmitted", 0.0)


def load_measure_sums(
    connection: sqlite3.Connection, spans: Iterable[Span]
) -> dict[MeasureKey, MeasureTotals]:
    """Counters and gauges of clean minutes over these spans, in order of time; added up by SQL, because they are many."""
    found: dict[MeasureKey, MeasureTotals] = {}
    for span in spans:
        table = f"{span.tier}_measure"
        rows = connection.execute(
            "WITH part AS (SELECT series, kind, name, sum(value) AS total, min(low) AS low, max(high) AS high,"
            f" max(start_s) AS last_s FROM {table} WHERE start_s >= ? AND start_s < ? AND NOT spoiled"
            " AND kind <> 'time' GROUP BY series, kind, name)"
            " SELECT node.name, destination, probe, family, part.kind, part.name, total, latest.value, part.low, part.high"
            f" FROM part CROSS JOIN {table} AS latest ON latest.start_s = last_s AND latest.series = part.series"
            " AND latest.spoiled = 0 AND latest.kind = part.kind AND latest.name = part.name"
            " JOIN series ON series.id = part.series JOIN node ON node.id = series.node",
            (span.start_s, span.end_s),
        )
        for source, destination, probe, family, kind, name, total, latest, low, high in rows:
            key = MeasureKey(source, destination, probe, Family(family), kind, name)
            value = total if kind == "counter" else latest
            _add(found.setdefault(key, MeasureTotals()), kind, (value, low, high, 0, 0, None, None, b""))
    return found


def load_measure_steps(
    connection: sqlite3.Connection,
    spans: Iterable[Span],
    step_s: int,
    path: tuple[str, str],
    names: Iterable[str],
) -> dict[MeasureKey, dict[int, MeasureTotals]]:
    """These measures of clean minutes of one (source, destination), by start of each step that has any."""
    found: dict[MeasureKey, dict[int, MeasureTotals]] = {}
    wanted = json.dumps(sorted(names))
    for span in spans:
        row_s = TIER_SECONDS[span.tier]
        rows = connection.execute(
            "WITH RECURSIVE step(at) AS (VALUES (?1) UNION ALL SELECT at + ?2 FROM step WHERE at + ?2 < ?3)"
            " SELECT start_s, probe, family, kind, measure.name,"
            " value, low, high, count, sum_ns, min_ns, max_ns, histogram"
            " FROM node JOIN series ON series.node = node.id AND destination = ?5 CROSS JOIN step"
            f" CROSS JOIN {span.tier}_measure AS measure ON start_s = step.at AND measure.series = series.id"
            " AND spoiled = 0 AND measure.name IN (SELECT value FROM json_each(?6))"
            " WHERE node.name = ?4 ORDER BY start_s",
            (span.start_s, row_s, span.end_s, *path, wanted),
        )
        for start_s, probe, family, kind, name, *row in rows:
            key = MeasureKey(*path, probe, Family(family), kind, name)
            step = found.setdefault(key, {}).setdefault(start_s // step_s * step_s, MeasureTotals())
            _add(step, kind, tuple(row))
    return found


def _add(totals: MeasureTotals, kind: str, row: tuple[Any, ...]) -> None:
    value, low, high, count, sum_ns, min_ns, max_ns, histogram = row
    if kind == "time":
        totals.times.merge(Histogram(count, sum_ns, min_ns, max_ns, decode_buckets(histogram)))
    elif kind == "counter":
        totals.value = (totals.value or 0) + value
    else:
        totals.value = value
        totals.low = low if totals.low is None else min(totals.low, low)
        totals.high = high if totals.high is None else max(totals.high, high)
