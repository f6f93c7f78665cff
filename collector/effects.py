"""Whether a change on a node helped: its own paths and control paths from the store, judged by advice/effect.py.

The command `effect` and the collector's advice both ask here.
"""

import hashlib
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from agent.wire.series import ANSWERED, LOST, TimeSource
from collector.advice.effect import Effect, Figure, Outcome, effects_of, outcome_of
from collector.advice.hours import HOUR_S, LEAST_HOURS_BEFORE
from collector.advice.likelihood import is_set_by_somebody
from collector.fleet import Fleet
from collector.maintenance import Announced
from collector.period import utc
from collector.standing import announced_in
from collector.store.evidence import load_fact_changes
from collector.store.measures import MeasureKey, MeasureTotals, load_measure_steps
from collector.store.query import coverage, load_steps, measured_paths
from collector.store.schema import DAY_S
from collector.store.tiers import Period, plan_steps, widen
from collector.store.totals import Totals

BEFORE_SECONDS, AFTER_SECONDS = 14 * DAY_S, 14 * DAY_S
MOST_TOUCHED, MOST_CONTROLS = 40, 40
"""Paths looked at. More make the answer slower and hardly surer: paths of one node share most of their noise."""
LEAST_SAMPLES = {Figure.P50: 10, Figure.P99: 30, Figure.LOSS: 10}
"""Of one hour, below which its figure says nothing."""
LEAST_SENT = {"segments": 100, "bytes": 100_000}
THROUGHPUTS = ("forward_bits_per_second", "delivery_rate_p50_bits_per_second")
"""A test's result counts before the kernel's estimate for whatever traffic there was."""
MEASURES = (*THROUGHPUTS, *(f"{unit}_{what}" for unit in LEAST_SENT for what in ("sent", "retransmitted")))
ONE_CHANGE_SECONDS = HOUR_S
"""Facts of one node that changed within this time are one change."""

Tracks = dict[Figure, dict[int, float]]


class ChangedFact(msgspec.Struct, frozen=True):
    """One fact that changed at the time in question."""

    name: str
    time: str
    before: Any
    after: Any


class ChangeEffect(msgspec.Struct, frozen=True):
    """What `effect --json` prints: one change of one node and what it did, figure by figure.

    other_changed_nodes: those that changed at the same time, whose paths therefore say nothing.
    """

    node: str
    at: str
    outcome: Outcome
    changed: tuple[ChangedFact, ...]
    effects: tuple[Effect, ...]
    other_changed_nodes: tuple[str, ...]


def effect_of_change(
    connection: sqlite3.Connection, fleet: Fleet, node: str, at_s: int, now_s: int
) -> ChangeEffect:
    """What happened to the node's paths at that time. Raises sqlite3.Error.

    Another change on either end of a path ends what counts as after, and begins what counts as before; a path whose other end
    changed at the same time says nothing.
    """
    whole = Period(max(0, at_s - BEFORE_SECONDS), min(now_s, at_s + AFTER_SECONDS))
    changes = [change for change in load_fact_changes(connection, whole) if is_set_by_somebody(change.name)]
    now = [c for c in changes if c.node == node and abs(c.time_s - at_s) < ONE_CHANGE_SECONDS]
    others: dict[str, list[int]] = defaultdict(list)
    for change in changes:
        if change not in now:
            others[change.node].append(change.time_s)
    touched, controls = _paths(measured_paths(connection), node, others, at_s, whole)
    announced = announced_in(connection, fleet, whole)
    effects = effects_of(
        _by_figure(connection, announced, touched), _by_figure(connection, announced, controls), at_s
    )
    return ChangeEffect(
        node,
        utc(at_s),
        outcome_of(effects),
        tuple(ChangedFact(change.name, utc(change.time_s), change.before, change.after) for change in now),
        tuple(effects),
        tuple(sorted(name for name, times in others.items() if _near(times, at_s))),
    )


def recent_changes(connection: sqlite3.Connection, period: Period) -> list[tuple[str, int]]:
    """(node, time) of every change of facts in the period, facts that changed together once, oldest first."""
    latest: dict[str, int] = {}
    found: list[tuple[str, int]] = []
    for change in load_fact_changes(connection, period):
        if not is_set_by_somebody(change.name):
            continue
        if change.time_s - latest.get(change.node, -ONE_CHANGE_SECONDS) >= ONE_CHANGE_SECONDS:
            found.append((change.node, change.time_s))
            latest[change.node] = change.time_s
    return found


PathSpan = tuple[tuple[str, str], Period]
"""(source, destination), and the time in which neither end changed but for the change in question."""


def _paths(
    measured: Iterable[tuple[str, str]],
    node: str,
    changes: Mapping[str, list[int]],
    at_s: int,
    whole: Period,
) -> tuple[list[PathSpan], list[PathSpan]]:
    """The node's paths, and control paths with time enough before; of many a sample that is always the same.

    changes: node → when it changed, the change in question left out.
    """
    touched: list[PathSpan] = []
    controls: list[PathSpan] = []
    for path in sorted(measured, key=lambda path: hashlib.sha256(" ".join(path).encode()).digest()):
        span = _span([time_s for end in path for time_s in changes.get(end, ())], at_s, whole)
        if path[0] == path[1] or span is None:
            continue
        if node in path:
            touched.append((path, span))
        elif span.start_s <= at_s - LEAST_HOURS_BEFORE * HOUR_S:
            controls.append((path, span))
    return touched[:MOST_TOUCHED], controls[:MOST_CONTROLS]


def _span(changes_s: list[int], at_s: int, whole: Period) -> Period | None:
    """Between the last change before and the first after, in whole hours; None with one at the same time."""
    if _near(changes_s, at_s):
        return None
    start_s = max([whole.start_s, *(-(-time_s // HOUR_S) * HOUR_S for time_s in changes_s if time_s < at_s)])
    end_s = min([whole.end_s, *(time_s // HOUR_S * HOUR_S for time_s in changes_s if time_s > at_s)])
    return Period(start_s, end_s) if start_s < end_s else None


def _near(changes_s: Iterable[int], at_s: int) -> bool:
    return any(abs(time_s - at_s) < ONE_CHANGE_SECONDS for time_s in changes_s)


def _by_figure(
    connection: sqlite3.Connection, announced: Announced, paths: Iterable[PathSpan]
) -> dict[Figure, list[Mapping[int, float]]]:
    found: dict[Figure, list[Mapping[int, float]]] = {figure: [] for figure in Figure}
    for path, span in paths:
        for tracks in (_timed(connection, announced, span, path), _counted(connection, span, path)):
            for figure, track in tracks.items():
                if track:
                    found[figure].append(track)
    return found


def _timed(
    connection: sqlite3.Connection, announced: Announced, period: Period, path: tuple[str, str]
) -> Tracks:
    """P50, P99 and loss by hour, of the path's series with most samples; hours of announced maintenance left out."""
    _, steps = load_steps(connection, period, HOUR_S, *path)
    timed = {
        series: {start_s: totals.clean for start_s, totals in hours.items()}
        for series, hours in steps.items()
        if series.time_source is not TimeSource.NONE
    }
    if not timed:
        return {}
    hours = max(timed.values(), key=lambda hours: sum(totals.rtt.count for totals in hours.values()))
    found: Tracks = defaultdict(dict)
    cuts = announced.cuts(*path)
    for start_s, totals in hours.items():
        if not any(cut.start_s < start_s + HOUR_S and start_s < cut.end_s for cut in cuts):
            for figure, value in _figures(totals):
                found[figure][start_s] = value
    return found


def _figures(totals: Totals) -> Iterator[tuple[Figure, float]]:
    for figure, q in ((Figure.P50, 0.5), (Figure.P99, 0.99)):
        value_ns = totals.rtt.quantile_ns(q)
        if value_ns is not None and totals.rtt.count >= LEAST_SAMPLES[figure]:
            yield figure, value_ns / 1e9
    answered, lost = (sum(totals.outcomes.get(outcome, 0) for outcome in kind) for kind in (ANSWERED, LOST))
    if answered + lost >= LEAST_SAMPLES[Figure.LOSS]:
        yield Figure.LOSS, lost / (answered + lost)


def _counted(connection: sqlite3.Connection, period: Period, path: tuple[str, str]) -> Tracks:
    """Retransmit ratio and throughput by hour, as the source's kernel and its bandwidth tests counted them."""
    held = coverage(connection)
    spans = plan_steps(widen(period, held), held, HOUR_S)
    steps = load_measure_steps(connection, spans, HOUR_S, path, MEASURES)
    found: Tracks = {Figure.RETRANSMITS: dict(_retransmit_ratios(steps))}
    for name in THROUGHPUTS:
        for key, hours in steps.items():
            if key.name == name and len(hours) > len(found.get(Figure.THROUGHPUT, {})):
                found[Figure.THROUGHPUT] = {
                    start_s: totals.value for start_s, totals in hours.items() if totals.value
                }
        if found.get(Figure.THROUGHPUT):
            break
    return found


def _retransmit_ratios(
    steps: Mapping[MeasureKey, Mapping[int, MeasureTotals]],
) -> Iterator[tuple[int, float]]:
    """Both families of a path together: they share the way."""
    sums: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for key, hours in steps.items():
        for start_s, totals in hours.items():
            sums[key.name][start_s] += totals.value or 0.0
    for unit, least in LEAST_SENT.items():
        again = sums[f"{unit}_retransmitted"]
        for start_s, sent in sums[f"{unit}_sent"].items():
            if sent >= least and start_s in again:
                yield start_s, again[start_s] / sent
