"""One path over time: what its page and GET /v1/paths/SOURCE/DESTINATION show."""

import sqlite3
from typing import Any

import msgspec

from agent.wire.series import ANSWERED, LOST, Family, SeriesKey, TimeSource
from collector.fleet import Fleet
from collector.period import utc
from collector.standing import PathStanding, standing_of_period
from collector.store.evidence import events_of_path
from collector.store.measures import load_measures
from collector.store.query import coverage, load_steps
from collector.store.schema import DAY_S, HOUR_S, MINUTE_S
from collector.store.tiers import Period, plan, widen
from collector.store.totals import SeriesTotals

MOST_POINTS = 400
STEPS = (MINUTE_S, 5 * MINUTE_S, 15 * MINUTE_S, HOUR_S, 4 * HOUR_S, DAY_S, 7 * DAY_S)


class Point(msgspec.Struct, frozen=True):
    """One step. Times in seconds; None without samples, which is not 0. excluded_minutes: spoiled by the host itself."""

    start: str
    samples: int
    min_seconds: float | None
    p50_seconds: float | None
    p90_seconds: float | None
    p99_seconds: float | None
    max_seconds: float | None
    answered: int
    lost: int
    loss_ratio: float | None
    judged: int
    over_limit: int
    outcomes: dict[str, int]
    excluded_minutes: int


class SeriesTimeline(msgspec.Struct, frozen=True):
    """One series of the path; steps without any data are absent from points."""

    probe: str
    family: Family
    time_source: TimeSource
    points: tuple[Point, ...]


class PathMeasure(msgspec.Struct, frozen=True):
    """What a probe found beside round-trip times. value: a counter's sum or a gauge's latest, low and high its range."""

    probe: str
    family: Family
    kind: str
    name: str
    value: float | None
    low: float | None
    high: float | None
    samples: int
    p50_seconds: float | None
    p99_seconds: float | None


class PathEvent(msgspec.Struct, frozen=True):
    """Something that happened once on the path."""

    time: str
    kind: str
    family: str | None
    detail: dict[str, Any]


class PathTimeline(msgspec.Struct, frozen=True):
    """The whole answer. standing: the path's rows of `sla` over the same period."""

    source: str
    destination: str
    period_start: str
    period_end: str
    step_seconds: int
    standing: tuple[PathStanding, ...]
    series: tuple[SeriesTimeline, ...]
    measures: tuple[PathMeasure, ...]
    events: tuple[PathEvent, ...]


def step_for(period: Period) -> int:
    """The finest step that keeps a chart readable."""
    length_s = period.end_s - period.start_s
    return next((step for step in STEPS if length_s <= step * MOST_POINTS), STEPS[-1])


def timeline_of_path(
    connection: sqlite3.Connection, fleet: Fleet, period: Period, source: str, destination: str
) -> PathTimeline:
    """Raises sqlite3.Error. A path nobody measured has no series, and NO_DATA where the fleet asks for it."""
    step_s = step_for(period)
    whole = standing_of_period(connection, fleet, period, (source, destination))
    widened, steps = load_steps(connection, whole.period, step_s, source, destination)
    return PathTimeline(
        source,
        destination,
        utc(widened.start_s),
        utc(widened.end_s),
        step_s,
        whole.rows,
        tuple(
            _series(series, points)
            for series, points in sorted(steps.items())
            if series.time_source is not TimeSource.NONE
        ),
        tuple(_measures(connection, whole.period, source, destination)),
        tuple(
            PathEvent(utc(event.time_s), event.kind, event.family, event.detail)
            for event in events_of_path(connection, whole.period, source, destination)
        ),
    )


def _series(series: SeriesKey, steps: dict[int, SeriesTotals]) -> SeriesTimeline:
    points = tuple(_point(start_s, totals) for start_s, totals in sorted(steps.items()))
    return SeriesTimeline(series.probe, series.family, series.time_source, points)


def _point(start_s: int, totals: SeriesTotals) -> Point:
    clean = totals.clean
    answered = sum(clean.outcomes.get(outcome, 0) for outcome in ANSWERED)
    lost = sum(clean.outcomes.get(outcome, 0) for outcome in LOST)
    rtt = clean.rtt
    return Point(
        start=utc(start_s),
        samples=rtt.count,
        min_seconds=_seconds(rtt.min_ns),
        p50_seconds=_seconds(rtt.quantile_ns(0.5)),
        p90_seconds=_seconds(rtt.quantile_ns(0.9)),
        p99_seconds=_seconds(rtt.quantile_ns(0.99)),
        max_seconds=_seconds(rtt.max_ns),
        answered=answered,
        lost=lost,
        loss_ratio=lost / (answered + lost) if answered + lost else None,
        judged=clean.judged,
        over_limit=clean.over_limit,
        outcomes={outcome.value: count for outcome, count in clean.outcomes.items()},
        excluded_minutes=totals.spoiled.minutes,
    )


def _measures(
    connection: sqlite3.Connection, period: Period, source: str, destination: str
) -> list[PathMeasure]:
    held = coverage(connection)
    found = load_measures(connection, plan(widen(period, held), held), source=source)
    return [
        PathMeasure(
            key.probe,
            key.family,
            key.kind,
            key.name,
            totals.value,
            totals.low,
            totals.high,
            totals.times.count,
            _seconds(totals.times.quantile_ns(0.5)),
            _seconds(totals.times.quantile_ns(0.99)),
        )
        for key, totals in sorted(found.items())
        if key.destination == destination
    ]


def _seconds(value_ns: float | None) -> float | None:
    return None if value_ns is None else value_ns / 1e9
