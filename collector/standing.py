"""How every path stands over a period: stored rows, the fleet and the rules of sla.py brought together.

The command `sla`, GET /v1/sla, the page and /metrics all show what standing_of_period returns.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import msgspec

from agent.wire.series import PASSIVE_KINDS, UNTIMED_PROBES, Family, SeriesKey, TimeSource
from collector.figures import Figures, figures_of_period
from collector.fleet import Fleet, Terms
from collector.floor import limit_seconds
from collector.maintenance import Announced, Announcement, of_fleet_file
from collector.period import utc
from collector.sla import PathVerdict, judge
from collector.store.maintenance import announcements_in
from collector.store.query import snapshot
from collector.store.tiers import Period
from collector.store.totals import SeriesTotals
from collector.versions import by_versions, version_of

FiguresByPeriod = Mapping[Period, Figures]


class Exclusion(msgspec.Struct, frozen=True):
    """Minutes that do not count, and why: a quality flag with its worst figure, or announced maintenance.

    minutes: of maintenance those that no exclusion listed before it has taken out; of flags those that carried it, and
    a minute may carry several. The rest is None for a flag: when the work began and ended, who announced it when (None
    too for the fleet file), and whether that was only after it had begun.
    """

    reason: str
    minutes: int
    worst: float | None = None
    start: str | None = None
    end: str | None = None
    origin: str | None = None
    added: str | None = None
    added_by: str | None = None
    late: bool | None = None


class PathStanding(PathVerdict, frozen=True, kw_only=True):
    """One row of `sla --json`: the verdict, the period it covers, and what of it did not count.

    excluded_minutes: minutes with data that were left out because the source host itself spoiled them, each once;
    maintenance_minutes: minutes of the period left out as announced work, each once and never also in excluded_minutes.
    """

    period_start: str
    period_end: str
    minutes: int
    excluded_minutes: int
    maintenance_minutes: int
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
    with snapshot(connection):
        announced = announced_in(connection, fleet, period)
        figures = figures_of_period(connection, period, announced.cuts, path)
        period, found = figures.period, figures.totals
        for series in _expected(fleet, period, path):
            found.setdefault(series, SeriesTotals())
        terms = {
            pair: fleet.terms(*pair, period)
            for pair in {(series.source, series.destination) for series in found}
            if fleet.nodes.keys() >= set(pair)
        }
        by_period = _figures_by_version(connection, announced, period, terms, path)
    timed = {
        (s.source, s.destination, s.probe, s.family) for s, totals in found.items() if totals.clean.minutes
    }
    rows = [
        _row(fleet, series, figures, terms.get((series.source, series.destination), ()), by_period, announced)
        for series in sorted(found)
        if not _is_redundant(series, timed)
    ]
    return Standing(period, tuple(rows))


def announced_in(connection: sqlite3.Connection, fleet: Fleet, period: Period) -> Announced:
    """The maintenance of the fleet file and of the store within a period."""
    stated = [of_fleet_file(window) for window in fleet.maintenance]
    return Announced([*stated, *announcements_in(connection, period)], fleet.nodes, period)


def _figures_by_version(
    connection: sqlite3.Connection,
    announced: Announced,
    period: Period,
    terms: Mapping[tuple[str, str], tuple[Terms, ...]],
    path: tuple[str, str] | None,
) -> dict[Period, Figures]:
    """For each stretch of time that is a version's of some path: the figures of these paths over it."""
    changed = {pair: {each.period for each in own} for pair, own in terms.items() if len(own) > 1}

    def figures_over(part: Period) -> Figures:
        rest = [
            Period(*bounds)
            for bounds in ((period.start_s, part.start_s), (part.end_s, period.end_s))
            if bounds[0] < bounds[1]
        ]

        def cuts(source: str, destination: str) -> tuple[Period, ...]:
            if part not in changed.get((source, destination), ()):
                return (period,)
            return (*announced.cuts(source, destination), *rest)

        return figures_of_period(connection, period, cuts, path)

    return {part: figures_over(part) for part in set().union(*changed.values())}


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
        path = fleet.path(*pair, datetime.fromtimestamp(period.end_s - 1, UTC))
        for spec in path.probes:
            if spec.kind not in UNTIMED_PROBES:
                for family in path.families:
                    yield SeriesKey(*pair, spec.kind, family, TimeSource.NONE)


def _row(
    fleet: Fleet,
    series: SeriesKey,
    figures: Figures,
    terms: tuple[Terms, ...],
    by_period: FiguresByPeriod,
    announced: Announced,
) -> PathStanding:
    """terms: of the path, in order; empty where an end is not in the fleet."""
    verdict = _judged(fleet, series, figures, terms[-1] if terms else None)
    if len(terms) > 1:
        versions = []
        for each in terms:
            judged = _judged(fleet, series, by_period[each.period], each)
            versions.append(version_of(judged, utc(each.period.start_s), utc(each.period.end_s)))
        verdict = by_versions(verdict, versions)
    totals, period = figures.totals[series], figures.period
    return PathStanding(
        **{name: getattr(verdict, name) for name in PathVerdict.__struct_fields__},
        period_start=utc(period.start_s),
        period_end=utc(period.end_s),
        minutes=totals.clean.minutes,
        excluded_minutes=totals.spoiled.minutes,
        maintenance_minutes=sum(
            minutes for _, minutes in announced.shares(series.source, series.destination)
        ),
        exclusions=tuple(_exclusions(series, totals, announced)),
    )


def _judged(fleet: Fleet, series: SeriesKey, figures: Figures, terms: Terms | None) -> PathVerdict:
    """terms: None where an end is not in the fleet: no floor, no promise."""
    if terms is None:
        return judge(series, figures.measured(series, None), None, None)
    floor, sla = fleet.floor(series.source, series.destination), terms.sla
    limit = (
        limit_seconds(floor.floor_seconds, sla.multiplier, sla.allowance_ms / 1000) if floor and sla else None
    )
    verdict = judge(series, figures.measured(series, limit), floor, sla)
    stated = fleet.multiplier_of_override(series.source, series.destination)
    if stated is None or verdict.limit_how is None:
        return verdict
    return msgspec.structs.replace(verdict, limit_how=f"{verdict.limit_how}; {stated}")


def _exclusions(series: SeriesKey, totals: SeriesTotals, announced: Announced) -> Iterator[Exclusion]:
    for flag, (worst, minutes) in sorted(totals.spoiled.flags.items()):
        yield Exclusion(flag, minutes, worst)
    for each, minutes in announced.shares(series.source, series.destination):
        yield _listed(each, minutes)


def _listed(each: Announcement, minutes: int) -> Exclusion:
    return Exclusion(
        f"maintenance: {each.reason}",
        minutes,
        start=utc(each.start_s),
        end=utc(each.end_s),
        origin=each.origin,
        added=None if each.added_s is None else utc(each.added_s),
        added_by=each.added_by,
        late=each.late,
    )
