"""What was measured on every path over a period, less what does not count: the stored side of a verdict."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from agent.wire.series import SeriesKey
from collector.measured import Measured
from collector.store.measures import load_measures
from collector.store.query import CutsOf, coverage, load
from collector.store.tiers import Coverage, Period, Span, plan, split, widen
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
    """period: what they cover; totals: by series; the rest by path, absent where it was not measured."""

    period: Period
    totals: dict[SeriesKey, SeriesTotals]
    path_mtus: PathFigures
    retransmit_ratios: PathFigures

    def measured(self, series: SeriesKey, limit_seconds: float | None) -> Measured:
        """The input of a verdict at this limit; None where the path has none."""
        clean = self.totals[series].clean if series in self.totals else Totals()
        path = (series.source, series.destination, series.family)
        mtu = self.path_mtus.get(path)
        judged = limit_seconds is None or _compared_with(clean, limit_seconds)
        return Measured(
            clean.rtt,
            clean.judged if judged else 0,
            clean.over_limit if judged else 0,
            clean.outcomes,
            clean.counts,
            None if mtu is None else int(mtu),
            self.retransmit_ratios.get(path),
        )


def figures_of_period(
    connection: sqlite3.Connection, period: Period, cuts_of: CutsOf, path: tuple[str, str] | None = None
) -> Figures:
    """Every series with data in the period, or one path's, (source, destination). Raises sqlite3.Error."""
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
        _path_mtus(connection, spans, source, cuts),
        _retransmit_ratios(connection, spans, source, cuts),
    )


def _widened(
    cuts_of: CutsOf, paths: Iterable[tuple[str, str]], held: Coverage
) -> dict[tuple[str, str], list[Period]]:
    """Cuts of the paths that have some, in whole rows."""
    found = ((path, [widen(cut, held) for cut in cuts_of(*path)]) for path in paths)
    return {path: cuts for path, cuts in found if cuts}


def _compared_with(totals: Totals, limit_seconds: float) -> bool:
    """Whether the counts of these rows are of this very limit: it may have changed since, or come late."""
    low, high = totals.limit_low_ns, totals.limit_high_ns
    if (
        low is None
        or high is None
        or totals.rtt.count - totals.judged > MOST_UNJUDGED_RATIO * totals.rtt.count
    ):
        return False
    near_ns = LIMIT_TOLERANCE * limit_seconds * 1e9 + 1
    return all(abs(limit_ns - limit_seconds * 1e9) <= near_ns for limit_ns in (low, high))


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
