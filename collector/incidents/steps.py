"""Steps in the fastest round trip: a path's route became longer or shorter for hours, or a machine moved.

A level is the median of six hourly minima, of which none strays by more than a third of the step. Steps of one hour are
explained by causes as incidents are: all paths of one node at once are that node's, as after a live migration.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from statistics import median_low

import msgspec

from agent.wire.series import SeriesKey
from collector.fleet import Fleet
from collector.incidents.attribution import Cause, explain
from collector.incidents.breach import Kind
from collector.incidents.episodes import Pair
from collector.incidents.finding import mesh_of
from collector.period import utc
from collector.store.minima import hourly_minima, minute_minima
from collector.store.schema import HOUR_S
from collector.store.tiers import Period

HOURS, FEWEST_HOURS = 6, 3
LEAST_STEP_NS, LEAST_STEP_RATIO = 1_000_000, 0.05
STRAY_SHARE = 1 / 3
WIDEST_S = 12 * HOUR_S
"""A level's hours lie within this: what was before a long silence is not what was just before."""
PREFERRED_PROBE = "tcp"

Minima = Mapping[int, int]
"""Start of the hour → smallest RTT in ns."""


class PathStep(msgspec.Struct, frozen=True):
    """One path's fastest round trip before and after, seconds."""

    source: str
    destination: str
    before_seconds: float
    after_seconds: float


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Paths that stepped together. time: UTC, to the minute where minutes are kept, else to the hour.

    measured_paths: all that the cause would move. change_seconds: the median path's.
    """

    time: str
    cause: Cause
    paths: tuple[PathStep, ...]
    measured_paths: int
    change_seconds: float


def steps_of_period(connection: sqlite3.Connection, fleet: Fleet, period: Period) -> list[Step]:
    """In order of time. A step is seen from three hours after it on. Raises sqlite3.Error."""
    lead_s = HOURS * HOUR_S
    around = Period(max(0, period.start_s - lead_s), period.end_s + lead_s)
    by_hour: dict[tuple[int, bool], dict[Pair, PathStep]] = {}
    minima = _by_pair(hourly_minima(connection, around))
    for pair, (_, levels) in minima.items():
        for hour_s, before_ns, after_ns in steps_in(levels):
            if period.start_s - HOUR_S < hour_s < period.end_s:
                found = by_hour.setdefault((hour_s, after_ns > before_ns), {})
                found[pair] = PathStep(*pair, before_ns / 1e9, after_ns / 1e9)
    mesh = mesh_of(fleet)
    measured = mesh.pairs[Kind.LATENCY] & minima.keys()
    steps = []
    for (hour_s, _), found in by_hour.items():
        for explained in explain(found, (), measured, mesh.places):
            paths = tuple(found[pair] for pair in sorted(explained.broken))
            probe = minima[paths[0].source, paths[0].destination][0]
            time_s = _refined(connection, hour_s, paths[0], probe)
            change = median_low([path.after_seconds - path.before_seconds for path in paths])
            steps.append(
                Step(
                    time=utc(time_s),
                    cause=explained.cause,
                    paths=paths,
                    measured_paths=len(explained.measured),
                    change_seconds=change,
                )
            )
    return sorted(steps, key=lambda step: (step.time, step.cause.kind, step.cause.name))


def steps_in(minima: Minima) -> list[tuple[int, int, int]]:
    """(hour, level before, level after) of one path, in order of time; minima may have gaps."""
    hours = sorted(minima)
    found = []
    for at in range(FEWEST_HOURS, len(hours) - FEWEST_HOURS + 1):
        hour_s = hours[at]
        earlier = [minima[h] for h in hours[max(0, at - HOURS) : at] if h >= hour_s - WIDEST_S]
        later = [minima[h] for h in hours[at : at + HOURS] if h < hour_s + WIDEST_S]
        if min(len(earlier), len(later)) < FEWEST_HOURS:
            continue
        before, after = median_low(earlier), median_low(later)
        change = abs(after - before)
        large = change >= max(LEAST_STEP_NS, LEAST_STEP_RATIO * before)
        if large and _steady(earlier, before, change) and _steady(later, after, change):
            found.append((hour_s, before, after))
    return found


def _steady(values: Iterable[int], level: int, change: int) -> bool:
    return all(abs(value - level) <= STRAY_SHARE * change for value in values)


def _by_pair(rows: Iterable[tuple[int, SeriesKey, int]]) -> dict[Pair, tuple[str, dict[int, int]]]:
    """For each path the probe that is looked at, tcp where there is one, and its minima; families as one."""
    by_probe: dict[Pair, dict[str, dict[int, int]]] = {}
    for hour_s, series, min_ns in rows:
        levels = by_probe.setdefault((series.source, series.destination), {}).setdefault(series.probe, {})
        levels[hour_s] = min(min_ns, levels.get(hour_s, min_ns))
    return {
        pair: min(probes.items(), key=lambda each: (each[0] != PREFERRED_PROBE, each[0]))
        for pair, probes in by_probe.items()
    }


def _refined(connection: sqlite3.Connection, hour_s: int, path: PathStep, probe: str) -> int:
    """The minute that best parts fast from slow around the hour; the hour where minutes are gone."""
    around = Period(max(0, hour_s - HOUR_S), hour_s + HOUR_S)
    rows = minute_minima(connection, around, path.source, path.destination, probe)
    if not rows:
        return hour_s
    middle = (path.before_seconds + path.after_seconds) / 2 * 1e9
    is_after = [(min_ns > middle) == (path.after_seconds > path.before_seconds) for _, min_ns in rows]
    wrong = sum(not after for after in is_after)  # were all of it after the step
    best, at = wrong, rows[0][0]
    for following, after in zip(rows[1:], is_after, strict=False):
        wrong += 1 if after else -1
        if wrong < best:
            best, at = wrong, following[0]
    return at
