"""Error budget and burn rates of every path that the fleet asks for: counts from the store, terms from the fleet.

All windows end now, so the time between their starts is cut into rings, each read once; a window is the sum of the
rings within it. A ring is as long as the tiers allow: thirty days of ten thousand paths are mostly rows of days.
"""

import itertools
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from agent.wire.series import UNTIMED_PROBES, Family
from collector.budget import (
    MONTH,
    ROLLING,
    ROLLING_SECONDS,
    WINDOWS,
    Counts,
    PathBudget,
    budget_of,
    burns_of,
    month_start,
    silence_window,
    state_of,
)
from collector.fleet import Fleet, Terms
from collector.maintenance import Announced
from collector.period import utc
from collector.standing import announced_in
from collector.store.counts import SeriesCounts, series_counts
from collector.store.query import coverage, series_names, snapshot
from collector.store.schema import DAY_S, HOUR_S, MINUTE_S
from collector.store.tiers import Coverage, Period, plan, widen, without

Pair = tuple[str, str]
Counted = tuple[Period, Mapping["Wanted", SeriesCounts]]
"""A ring and what was counted in it, by path."""
Wanted = tuple[str, str, str, Family]
"""Source, destination, probe, family: of several clocks of one probe all count."""


@dataclass(frozen=True, slots=True)
class _Starts:
    """When each window began, Unix seconds, in whole rows of what is left; all end at end_s."""

    end_s: int
    by_window: dict[str, int]

    def rings(self, changes: Sequence[int]) -> list[Period]:
        """The time of the longest window in pieces, none across a start or a change of contract."""
        first = min(self.by_window.values())
        edges = {*self.by_window.values(), self.end_s, *(at for at in changes if first < at < self.end_s)}
        return [Period(*bounds) for bounds in itertools.pairwise(sorted(edges))]


def budgets_now(
    connection: sqlite3.Connection, fleet: Fleet, now_s: int, zone: ZoneInfo, path: Pair | None = None
) -> tuple[PathBudget, ...]:
    """In order of source, destination, probe and family; of one path, (source, destination), where given.

    zone: of the calendar month. Raises sqlite3.Error.
    """
    with snapshot(connection):
        held = coverage(connection)
        starts = _starts(now_s // MINUTE_S * MINUTE_S, zone, held)
        whole = Period(min(starts.by_window.values()), starts.end_s)
        announced = announced_in(connection, fleet, whole)
        pairs = fleet.pairs.keys() if path is None else {path} & fleet.pairs.keys()
        terms = {pair: fleet.terms(*pair, whole) for pair in pairs}
        changes = sorted({each.period.start_s for own in terms.values() for each in own[1:]})
        rings = starts.rings([widen(Period(at, at + MINUTE_S), held).start_s for at in changes])
        series = {
            number: (key.source, key.destination, key.probe, key.family)
            for number, key in series_names(connection, path).items()
        }
        only = None if path is None else sorted(series)
        counted = [(ring, _ring(connection, ring, held, announced, series, only)) for ring in rings]
    return tuple(
        _path(wanted, interval, terms[wanted[:2]], starts, counted, announced)
        for wanted, interval in sorted(_wanted(fleet, pairs))
    )


def _starts(end_s: int, zone: ZoneInfo, held: Coverage) -> _Starts:
    """Windows of a day and longer begin with a whole hour: their first rows are then rows of hours. A month begins when
    it does, half past in some zones, as long as minutes are kept.
    """
    wanted = {name: end_s - seconds for name, seconds in WINDOWS.items()}
    wanted |= {ROLLING: end_s - ROLLING_SECONDS, MONTH: min(month_start(end_s, zone), end_s - MINUTE_S)}
    starts = {}
    for name, at in wanted.items():
        step_s = HOUR_S if end_s - at >= DAY_S and name != MONTH else MINUTE_S
        start_s = max(0, at // step_s * step_s)
        starts[name] = widen(Period(start_s, start_s + MINUTE_S), held).start_s
    return _Starts(end_s, starts)


def _wanted(fleet: Fleet, pairs: Collection[Pair]) -> Iterator[tuple[Wanted, float]]:
    """What the fleet asks for that brings times, with the interval of its probe."""
    for source, destination in pairs:
        families = fleet.families(source, destination)
        for spec in fleet.pairs[source, destination]:
            if spec.kind not in UNTIMED_PROBES:
                for family in families:
                    yield (source, destination, spec.kind, family), spec.interval_seconds


def _path(
    wanted: Wanted,
    interval_seconds: float,
    terms: Sequence[Terms],
    starts: _Starts,
    counted: Sequence[Counted],
    announced: Announced,
) -> PathBudget:
    by_window = _by_window(wanted, terms, starts, counted)
    window = silence_window(interval_seconds)
    silence = Period(starts.by_window[window], starts.end_s)
    recent = replace(by_window[window], excluded_seconds=_excluded_seconds(announced, wanted, silence))
    source, destination, probe, family = wanted
    sla = terms[-1].sla
    return PathBudget(
        source=source,
        destination=destination,
        probe=probe,
        family=family,
        state=state_of(recent, silence.end_s - silence.start_s),
        objective=None if sla is None else sla.objective,
        budgets=tuple(
            budget_of(name, utc(starts.by_window[name]), utc(starts.end_s), by_window[name])
            for name in (ROLLING, MONTH)
        ),
        burns=burns_of(by_window),
        rates={name: by_window[name].burn_rate for name in WINDOWS},
    )


def _by_window(
    wanted: Wanted, terms: Sequence[Terms], starts: _Starts, counted: Sequence[Counted]
) -> dict[str, Counts]:
    """Sums from now backwards, ring by ring."""
    so_far, since = Counts(), {}
    for ring, by_path in reversed(counted):
        if wanted in by_path:
            so_far += _promised(by_path[wanted], terms, ring)
        since[ring.start_s] = so_far
    return {name: since[start_s] for name, start_s in starts.by_window.items()}


def _promised(found: SeriesCounts, terms: Sequence[Terms], ring: Period) -> Counts:
    """With what the class in force at the ring's end allows; without a class nothing was promised."""
    sla = next((each.sla for each in terms if ring.end_s <= each.period.end_s), terms[-1].sla)
    if sla is None:
        return Counts(answered=found.answered, lost=found.lost, results=found.results)
    allowed = found.judged * (1 - sla.objective)
    return Counts(found.judged, found.over_limit, allowed, found.answered, found.lost, found.results)


def _excluded_seconds(announced: Announced, wanted: Wanted, period: Period) -> int:
    overlaps = (
        min(cut.end_s, period.end_s) - max(cut.start_s, period.start_s)
        for cut in announced.cuts(wanted[0], wanted[1])
    )
    return sum(max(0, seconds) for seconds in overlaps)


def _ring(
    connection: sqlite3.Connection,
    ring: Period,
    held: Coverage,
    announced: Announced,
    series: Mapping[int, Wanted],
    only: Sequence[int] | None,
) -> dict[Wanted, SeriesCounts]:
    """Counts over one ring, less what was announced. only: these series are looked up; None reads all in one scan."""
    found = series_counts(connection, plan(ring, held), only)
    by_cuts: dict[tuple[Period, ...], list[int]] = {}
    for number, (source, destination, *_) in series.items():
        cuts = tuple(
            c
            for c in announced.cuts(source, destination)
            if c.start_s < ring.end_s and c.end_s > ring.start_s
        )
        if cuts:
            by_cuts.setdefault(cuts, []).append(number)
    for cuts, numbers in by_cuts.items():
        spans = [span for part in without(ring, cuts, held) for span in plan(part, held)]
        left = series_counts(connection, spans, numbers)
        found |= {number: left.get(number, SeriesCounts()) for number in numbers}
    total: dict[Wanted, SeriesCounts] = {}
    for number, counts in found.items():
        if number in series:
            total[series[number]] = total.get(series[number], SeriesCounts()) + counts
    return total
