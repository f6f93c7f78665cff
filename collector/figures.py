"""What was measured on every path over a period, less what does not count: the stored side of a verdict."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from agent.wire.series import SeriesKey
from collector.measured import Measured, MinuteCounts
from collector.store.counts import LimitCounts, counts_by_limit
from collector.store.measures import load_measures
from collector.store.query import CutsOf, coverage, load, series_names, snapshot
from collector.store.tiers import Coverage, Period, Span, plan, split, widen, without
from collector.store.totals import SeriesTotals, Totals

MTU = "path_mtu_bytes"

MINIMUM_SENT = {"bytes": 1_000_000, "segments": 1000}
"""What a path's connections must have sent in the period before their retransmit ratio is more than noise, by unit."""

LIMIT_TOLERANCE = 0.001
"""Limits this close are one limit: coordinates looked up anew move it by less, and a bucket is 22 times as wide."""
MOST_UNJUDGED_RATIO = 0.05
"""With more samples than these not compared with the limit, the histogram speaks for all of them."""

PathFigures = dict[tuple[str, str, str], float]
"""(source, destination, family) → one figure of the path over the period."""


@dataclass(frozen=True, slots=True)
class Figures:
    """period: what they cover; totals: by series; by_limit: of the series whose limit changed in it; the rest by path,
    absent where it was not measured.
    """

    period: Period
    totals: dict[SeriesKey, SeriesTotals]
    by_limit: dict[SeriesKey, list[LimitCounts]]
    path_mtus: PathFigures
    retransmit_ratios: PathFigures

    def measured(self, series: SeriesKey, limit_seconds: float | None) -> Measured:
        """The input of a verdict at this limit; None where the path has none."""
        clean = self.totals[series].clean if series in self.totals else Totals()
        path = (series.source, series.destination, series.family)
        mtu = self.path_mtus.get(path)
        judged, over_limit, counts = _compared_with(clean, self.by_limit.get(series), limit_seconds)
        return Measured(
            clean.rtt,
            judged,
            over_limit,
            clean.outcomes,
            counts,
            None if mtu is None else int(mtu),
            self.retransmit_ratios.get(path),
        )


def figures_of_period(
    connection: sqlite3.Connection, period: Period, cuts_of: CutsOf, path: tuple[str, str] | None = None
) -> Figures:
    """Every series with data in the period, or one path's, (source, destination). Raises sqlite3.Error."""
    with snapshot(connection):
        period, totals = load(connection, period, cuts_of, path)
        held = coverage(connection)
        widened = _widened(cuts_of, {(s.source, s.destination) for s in totals}, held)

        def cuts(source: str, destination: str) -> list[Period]:
            return widened.get((source, destination), [])

        pieces = split(period, (cut for cuts in widened.values() for cut in cuts))
        spans = [span for piece in pieces for span in plan(piece, held)]
        source = path[0] if path else None
        return Figures(
            period,
            totals,
            _by_limit(connection, period, held, cuts_of, totals),
            _path_mtus(connection, spans, source, cuts),
            _retransmit_ratios(connection, spans, source, cuts),
        )


def _widened(
    cuts_of: CutsOf, paths: Iterable[tuple[str, str]], held: Coverage
) -> dict[tuple[str, str], list[Period]]:
    """Cuts of the paths that have some, in whole rows."""
    found = ((path, [widen(cut, held) for cut in cuts_of(*path)]) for path in paths)
    return {path: cuts for path, cuts in found if cuts}


def _by_limit(
    connection: sqlite3.Connection,
    period: Period,
    held: Coverage,
    cuts_of: CutsOf,
    totals: dict[SeriesKey, SeriesTotals],
) -> dict[SeriesKey, list[LimitCounts]]:
    """Counts by limit of the series that were judged by more than one: a contract changed, or an agent heard of it late."""
    mixed = {key for key, each in totals.items() if each.clean.limit_low_ns != each.clean.limit_high_ns}
    if not mixed:
        return {}
    names = {number: key for number, key in series_names(connection).items() if key in mixed}
    by_cuts: dict[tuple[Period, ...], list[int]] = {}
    for number, key in names.items():
        by_cuts.setdefault(tuple(cuts_of(key.source, key.destination)), []).append(number)
    found: dict[SeriesKey, list[LimitCounts]] = {}
    for cuts, numbers in by_cuts.items():
        spans = [span for part in without(period, cuts, held) for span in plan(part, held)]
        for number, counts in counts_by_limit(connection, spans, numbers).items():
            found[names[number]] = counts
    return found


def _compared_with(
    totals: Totals, by_limit: list[LimitCounts] | None, limit_seconds: float | None
) -> tuple[int, int, MinuteCounts]:
    """Samples compared with this very limit, those above it, and the sums over their minutes.

    None are where they would be too few to speak for all: the limit has changed since, or came late.
    """
    none = replace(totals.counts, judged_minutes=0, judged_squared=0, judged_times_over=0, over_squared=0)
    if limit_seconds is None:
        return totals.judged, totals.over_limit, totals.counts
    near_ns = LIMIT_TOLERANCE * limit_seconds * 1e9 + 1

    def is_it(limit_ns: int) -> bool:
        return abs(limit_ns - limit_seconds * 1e9) <= near_ns

    judged, over_limit, counts = 0, 0, none
    if (
        totals.limit_low_ns is not None
        and totals.limit_low_ns == totals.limit_high_ns
        and is_it(totals.limit_low_ns)
    ):
        judged, over_limit, counts = totals.judged, totals.over_limit, totals.counts
    for each in by_limit or ():
        if is_it(each.low_ns) and is_it(each.high_ns):
            judged, over_limit, counts = (
                judged + each.judged,
                over_limit + each.over_limit,
                _added(counts, each),
            )
    if totals.rtt.count - judged > MOST_UNJUDGED_RATIO * totals.rtt.count:
        return 0, 0, none
    return judged, over_limit, counts


def _added(counts: MinuteCounts, each: LimitCounts) -> MinuteCounts:
    return replace(
        counts,
        judged_minutes=counts.judged_minutes + each.judged_minutes,
        judged_squared=counts.judged_squared + each.judged_squared,
        judged_times_over=counts.judged_times_over + each.judged_times_over,
        over_squared=counts.over_squared + each.over_squared,
    )


def _path_mtus(
    connection: sqlite3.Connection, spans: list[Span], source: str | None, cuts_of: CutsOf
) -> PathFigures:
    """The smallest path MTU seen, by any probe."""
    found: PathFigures = {}
    for key, totals in load_measures(connection, spans, MTU, source, cuts_of).items():
        path = (key.source, key.destination, key.family)
        if totals.low is not None:
            found[path] = min(found.get(path, totals.low), totals.low)
    return found


def _retransmit_ratios(
    connection: sqlite3.Connection, spans: list[Span], source: str | None, cuts_of: CutsOf
) -> PathFigures:
    """Retransmitted ÷ sent by the connections with the peer, as the source's kernel counted; absent below MINIMUM_SENT."""
    ratios: PathFigures = {}
    for unit, fewest in MINIMUM_SENT.items():
        sent = load_measures(connection, spans, f"{unit}_sent", source, cuts_of)
        again = load_measures(connection, spans, f"{unit}_retransmitted", source, cuts_of)
        retransmitted = {
            (key.source, key.destination, key.family): totals.value for key, totals in again.items()
        }
        for key, totals in sent.items():
            path = (key.source, key.destination, key.family)
            if totals.value is not None and totals.value >= fewest and path in retransmitted:
                ratios[path] = (retransmitted[path] or 0.0) / totals.value
    return ratios
