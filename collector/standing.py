"""How every path stands over a period: stored rows, the fleet and the rules of sla.py brought together.

The command `sla`, GET /v1/sla, the page and /metrics all show what standing_of_period returns.
"""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from agent.wire.series import PASSIVE_KINDS, Family, SeriesKey, TimeSource
from collector.fleet import Fleet
from collector.measured import Measured
from collector.period import utc
from collector.sla import PathVerdict, judge
from collector.store.blocks import UNTIMED_PROBES
from collector.store.measures import load_measures
from collector.store.query import coverage, load
from collector.store.schema import MINUTE_S
from collector.store.tiers import Period, plan, widen
from collector.store.totals import SeriesTotals

MTU = "path_mtu_bytes"

MINIMUM_SENT = {"bytes": 1_000_000, "segments": 1000}
"""What a path's connections must have sent in the period before their retransmit ratio is more than noise, by unit."""

PathFigures = dict[tuple[str, str, str], float]
"""(source, destination, family) → one figure of the path over the period."""


class Exclusion(msgspec.Struct, frozen=True):
    """Minutes that do not count, and why: a quality flag with its worst figure, or announced maintenance."""

    reason: str
    minutes: int
    worst: float | None = None


class PathStanding(PathVerdict, frozen=True, kw_only=True):
    """One row of `sla --json`: the verdict, the period it covers, and what of it did not count.

    excluded_minutes: minutes with data that were left out because the source host itself spoiled them.
    """

    period_start: str
    period_end: str
    minutes: int
    excluded_minutes: int
    exclusions: tuple[Exclusion, ...]


class Standing(msgspec.Struct, frozen=True):
    """Every path over one period, in order of source, destination, probe and family."""

    period: Period
    rows: tuple[PathStanding, ...]


def standing_of_period(
    connection: sqlite3.Connection, fleet: Fleet, period: Period, path: tuple[str, str] | None = None
) -> Standing:
    """Judge every series with data in the period and every path of the fleet without; or one path's, (source, destination).

    Raises sqlite3.Error.
    """
    period, found = load(connection, period, lambda series: _cuts(fleet, series, period), path)
    source = path[0] if path else None
    mtus = _path_mtus(connection, period, source)
    retransmits = _retransmit_ratios(connection, period, source)
    for series in _expected(fleet, period, path):
        found.setdefault(series, SeriesTotals())
    timed = {
        (s.source, s.destination, s.probe, s.family) for s, totals in found.items() if totals.clean.minutes
    }
    rows = [
        _row(fleet, series, found[series], (mtus, retransmits), period)
        for series in sorted(found)
        if not _is_redundant(series, timed)
    ]
    return Standing(period, tuple(rows))


def _is_redundant(series: SeriesKey, timed: set[tuple[str, str, str, Family]]) -> bool:
    """A series without times, where none are expected or where another clock has brought some."""
    if series.probe in PASSIVE_KINDS:
        return True
    if series.time_source is not TimeSource.NONE:
        return False
    here = (series.source, series.destination, series.probe, series.family)
    return series.probe in UNTIMED_PROBES or here in timed


def _expected(fleet: Fleet, period: Period, only: tuple[str, str] | None) -> Iterator[SeriesKey]:
    """Series that the fleet file asks for, their clock unknown."""
    for pair in fleet.pairs if only is None else {only} & fleet.pairs.keys():
        path = fleet.path(*pair, _judged_at(period))
        for spec in path.probes:
            if spec.kind not in UNTIMED_PROBES:
                for family in path.families:
                    yield SeriesKey(*pair, spec.kind, family, TimeSource.NONE)


def _row(
    fleet: Fleet,
    series: SeriesKey,
    totals: SeriesTotals,
    figures: tuple[PathFigures, PathFigures],
    period: Period,
) -> PathStanding:
    known = series.source in fleet.nodes and series.destination in fleet.nodes
    at = _judged_at(period)
    clean = totals.clean
    path = (series.source, series.destination, series.family)
    mtu, retransmit_ratio = (of_paths.get(path) for of_paths in figures)
    measured = Measured(
        clean.rtt,
        clean.judged,
        clean.over_limit,
        clean.outcomes,
        clean.counts,
        None if mtu is None else int(mtu),
        retransmit_ratio,
    )
    verdict = judge(
        series,
        measured,
        fleet.floor(series.source, series.destination) if known else None,
        fleet.sla(series.source, series.destination, at) if known else None,
    )
    return PathStanding(
        **{name: getattr(verdict, name) for name in PathVerdict.__struct_fields__},
        period_start=utc(period.start_s),
        period_end=utc(period.end_s),
        minutes=clean.minutes,
        excluded_minutes=totals.spoiled.minutes,
        exclusions=tuple(_exclusions(fleet, series, totals, period)),
    )


def _judged_at(period: Period) -> datetime:
    """The class in force in the last second of the period: a month's last day still has that month's terms."""
    return datetime.fromtimestamp(period.end_s - 1, UTC)


def _exclusions(fleet: Fleet, series: SeriesKey, totals: SeriesTotals, period: Period) -> Iterator[Exclusion]:
    for flag, (worst, minutes) in sorted(totals.spoiled.flags.items()):
        yield Exclusion(flag, minutes, worst)
    for window in fleet.maintenance_of(series.source, series.destination):
        start_s, end_s = (
            max(window.start.timestamp(), period.start_s),
            min(window.end.timestamp(), period.end_s),
        )
        if start_s < end_s:
            yield Exclusion(f"maintenance: {window.reason}", round((end_s - start_s) / MINUTE_S))


def _cuts(fleet: Fleet, series: SeriesKey, period: Period) -> list[Period]:
    """Announced maintenance of a series within the period, in whole minutes."""
    cuts = []
    for window in fleet.maintenance_of(series.source, series.destination):
        start_s = int(window.start.timestamp()) // MINUTE_S * MINUTE_S
        end_s = -(-int(window.end.timestamp()) // MINUTE_S) * MINUTE_S
        if start_s < period.end_s and end_s > period.start_s:
            cuts.append(Period(max(0, start_s), end_s))
    return cuts


def _path_mtus(connection: sqlite3.Connection, period: Period, source: str | None) -> PathFigures:
    """The smallest path MTU seen, by any probe."""
    held = coverage(connection)
    measures = load_measures(connection, plan(widen(period, held), held), MTU, source)
    return {
        (key.source, key.destination, key.family): totals.low
        for key, totals in measures.items()
        if totals.low is not None
    }


def _retransmit_ratios(connection: sqlite3.Connection, period: Period, source: str | None) -> PathFigures:
    """Retransmitted ÷ sent by the connections with the peer, as the source's kernel counted; absent below MINIMUM_SENT."""
    held = coverage(connection)
    spans = list(plan(widen(period, held), held))
    ratios: PathFigures = {}
    for unit, fewest in MINIMUM_SENT.items():
        sent = load_measures(connection, spans, f"{unit}_sent", source)
        again = load_measures(connection, spans, f"{unit}_retransmitted", source)
        retransmitted = {
            (key.source, key.destination, key.family): totals.value for key, totals in again.items()
        }
        for key, totals in sent.items():
            path = (key.source, key.destination, key.family)
            if totals.value is not None and totals.value >= fewest and path in retransmitted:
                ratios[path] = (retransmitted[path] or 0.0) / totals.value
    return ratios
