"""Which tiers answer a period. Pure.

A period is answered from days where a whole day lies in it and is merged, else from hours, else from minutes; the
answer is the same whichever tier gives it. Where the finer rows are deleted already, the period is widened to the
coarser rows that are left, and the answer says which period it covers.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from collector.store.schema import DAY_S, HOUR_S, MINUTE_S, TIER_SECONDS


@dataclass(frozen=True, slots=True)
class Period:
    """start_s ≤ time < end_s, Unix seconds, both whole minutes."""

    start_s: int
    end_s: int

    def __post_init__(self) -> None:
        if not 0 <= self.start_s < self.end_s:
            raise ValueError("a period ends after it starts")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch that one tier answers."""

    tier: str
    start_s: int
    end_s: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the tiers hold. horizons: tier → first start kept; pending_hours, pending_days: starts not merged yet."""

    horizons: dict[str, int]
    pending_hours: frozenset[int] = frozenset()
    pending_days: frozenset[int] = frozenset()


def widen(period: Period, coverage: Coverage) -> Period:
    """The period in whole minutes, or in whole hours or days where only those are left."""

    def step(time_s: int) -> int:
        if time_s < coverage.horizons["hour"]:
            return DAY_S
        return HOUR_S if time_s < coverage.horizons["minute"] else MINUTE_S

    first, last = step(period.start_s), step(period.end_s - 1)
    return Period(period.start_s // first * first, -(-period.end_s // last) * last)


def without(period: Period, cuts: Sequence[Period], coverage: Coverage) -> list[Period]:
    """What is left of a widened period when the cuts are taken out.

    Where only hours or days are left a cut takes the whole ones it touches: rather too little counts than too much.
    """
    left, at = [], period.start_s
    for cut in sorted((widen(cut, coverage) for cut in cuts), key=lambda cut: cut.start_s):
        if at < min(cut.start_s, period.end_s):
            left.append(Period(at, min(cut.start_s, period.end_s)))
        at = max(at, cut.end_s)
    if at < period.end_s:
        left.append(Period(at, period.end_s))
    return left


def split(period: Period, cuts: Iterable[Period]) -> list[Period]:
    """A widened period in pieces, each wholly inside or wholly outside every one of the widened cuts."""
    edges = {edge for cut in cuts for edge in (cut.start_s, cut.end_s)}
    inner = sorted(edge for edge in edges if period.start_s < edge < period.end_s)
    bounds = [period.start_s, *inner, period.end_s]
    return [Period(start_s, end_s) for start_s, end_s in itertools.pairwise(bounds)]


def plan(period: Period, coverage: Coverage) -> list[Span]:
    """The fewest rows that answer a widened period, in order of time, neighbours of one tier joined."""
    pending_days = coverage.pending_days | {hour // DAY_S * DAY_S for hour in coverage.pending_hours}
    spans: list[Span] = []
    at = period.start_s
    while at < period.end_s:
        if at % DAY_S == 0 and at + DAY_S <= period.end_s and at not in pending_days:
            tier = "day"
        elif at % HOUR_S == 0 and at + HOUR_S <= period.end_s and at not in coverage.pending_hours:
            tier = "hour"
        else:
            tier = "minute"
        until = at + TIER_SECONDS[tier]
        if spans and spans[-1].tier == tier:
            spans[-1] = Span(tier, spans[-1].start_s, until)
        else:
            spans.append(Span(tier, at, until))
        at = until
    return spans


def plan_steps(period: Period, held: Coverage, step_s: int) -> list[Span]:
    """As plan, but no row may cover more than one step unless nothing finer is left."""
    spans = []
    for span in plan(period, held):
        tier = span.tier
        if tier == "day" and step_s < DAY_S and span.start_s >= held.horizons["hour"]:
            tier = "hour"
        if tier == "hour" and step_s < HOUR_S and span.start_s >= held.horizons["minute"]:
            tier = "minute"
        spans.append(Span(tier, span.start_s, span.end_s))
    return spans
