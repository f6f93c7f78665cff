"""Is a path's latency within its limit, and can that be said at all? The rules of docs/verdicts.md. Pure."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from collector.binomial import proves_at_most, proves_more
from collector.floor import Floor, limit_seconds
from collector.measured import Measured, above, design_effect


class Verdict(StrEnum):
    """What is said of a path."""

    PASS = "PASS"  # noqa: S105 - a verdict, no password
    FAIL = "FAIL"
    NOT_PROVEN = "NOT_PROVEN"  # too few samples for either, or no limit to hold them against
    NO_DATA = "NO_DATA"
    UNACHIEVABLE = "UNACHIEVABLE"  # even the best sample breaks the limit: the route is too long
    TOO_CLOSE = "TOO_CLOSE"  # where the machines stand within the stated uncertainty would decide
    IMPLAUSIBLE = "IMPLAUSIBLE"  # faster than light in fibre: a stated location is wrong


@dataclass(frozen=True, slots=True)
class Promise:
    """The limit's terms on one path."""

    floor: Floor
    multiplier: float
    allowance_seconds: float

    @property
    def limit_seconds(self) -> float:
        """The limit as stated."""
        return limit_seconds(self.floor.floor_seconds, self.multiplier, self.allowance_seconds)

    @property
    def lowest_limit_seconds(self) -> float:
        """The limit if the machines stand as close to each other as the uncertainty admits."""
        return limit_seconds(self.floor.lowest_seconds, self.multiplier, self.allowance_seconds)

    @property
    def highest_limit_seconds(self) -> float:
        """The limit if they stand as far apart as the uncertainty admits."""
        return limit_seconds(self.floor.highest_seconds, self.multiplier, self.allowance_seconds)

    @property
    def dominated_by_uncertainty(self) -> bool:
        """The distance cannot be told from zero, and the allowance does not outweigh what is not known of it."""
        unknown_seconds = self.floor.uncertainty_seconds
        return (
            unknown_seconds >= self.floor.floor_seconds
            and self.allowance_seconds <= self.multiplier * unknown_seconds
        )


def decide(promise: Promise, min_seconds: float, at_limit: Callable[[float], Verdict]) -> Verdict:
    """The verdict that holds wherever within the uncertainty the machines stand.

    at_limit(seconds) says PASS, FAIL or NOT_PROVEN for one exact limit and never turns from PASS to FAIL as the
    limit grows. Precedence: IMPLAUSIBLE, PASS, TOO_CLOSE by domination, UNACHIEVABLE, FAIL, TOO_CLOSE, NOT_PROVEN.
    """
    if min_seconds < promise.floor.lowest_seconds:
        return Verdict.IMPLAUSIBLE
    at_lowest = at_limit(promise.lowest_limit_seconds)
    if at_lowest is Verdict.PASS:
        return Verdict.PASS
    if promise.dominated_by_uncertainty:
        return Verdict.TOO_CLOSE
    if min_seconds > promise.highest_limit_seconds:
        return Verdict.UNACHIEVABLE
    at_highest = at_limit(promise.highest_limit_seconds)
    if at_highest is Verdict.FAIL:
        return Verdict.FAIL
    if at_limit(promise.limit_seconds) is not Verdict.NOT_PROVEN:
        return Verdict.TOO_CLOSE
    flips = at_lowest is Verdict.FAIL and at_highest is Verdict.PASS
    return Verdict.TOO_CLOSE if flips else Verdict.NOT_PROVEN


def decide_by_values(promise: Promise, min_seconds: float, p99_seconds: float) -> Verdict:
    """The verdict where only the values are known and no counts: P99 at or under the limit passes, above it fails."""
    return decide(promise, min_seconds, lambda limit: Verdict.PASS if p99_seconds <= limit else Verdict.FAIL)


@dataclass(frozen=True, slots=True)
class Proof:
    """What the counts of a verdict rest on.

    samples: those compared with the limit; over_limit: of these, above it; exact: counted one by one (False: taken
    from the histogram's buckets). design_effect: samples divided by this are worth as much as independent ones.
    basis: the same in words.
    """

    samples: int
    over_limit: int
    exact: bool
    design_effect: float
    basis: str

    @property
    def effective_samples(self) -> int:
        """Independent samples these are worth."""
        return int(self.samples / self.design_effect + 1e-9)


def proof(measured: Measured, stated_limit_seconds: float | None) -> Proof:
    """The counts that a verdict at this limit rests on."""
    if measured.judged:
        effect = design_effect(measured.judged, measured.over_limit, measured.minutes)
        return Proof(measured.judged, measured.over_limit, True, effect, _basis(measured, effect))
    if stated_limit_seconds is None:
        return Proof(0, 0, True, 1.0, "nothing was compared with a limit")
    estimate = above(measured.rtt, stated_limit_seconds * 1e9).estimate
    return Proof(
        measured.rtt.count, round(estimate), False, 1.0, "samples, counted from the histogram's buckets"
    )


def _basis(measured: Measured, effect: float) -> str:
    if measured.minutes is None:
        return "samples, taken as independent: no minute counts"
    if effect > 1:
        return f"samples divided by {effect:.2f}: slow ones cluster within minutes"
    return "samples: slow ones do not cluster within minutes"


def decide_by_counts(promise: Promise, measured: Measured, counts: Proof, objective: float) -> Verdict:
    """The verdict of the exact binomial test, one-sided at 95 %. measured.rtt must not be empty."""
    stated = promise.limit_seconds
    estimate_at_stated = above(measured.rtt, stated * 1e9).estimate

    def over_at(limit: float) -> tuple[float, float]:
        there = above(measured.rtt, limit * 1e9)
        if not counts.exact:
            return there.at_least, there.at_most
        if limit == stated:
            return counts.over_limit, counts.over_limit
        moved = (there.estimate - estimate_at_stated) * counts.samples / measured.rtt.count
        shifted = min(max(counts.over_limit + moved, 0.0), float(counts.samples))
        return shifted, shifted

    def at_limit(limit: float) -> Verdict:
        at_least, at_most = over_at(limit)
        return binomial_verdict(at_least, at_most, counts, 1 - objective)

    assert measured.rtt.min_ns is not None  # noqa: S101 - stated above; the caller said NO_DATA otherwise
    return decide(promise, measured.rtt.min_ns / 1e9, at_limit)


def binomial_verdict(at_least: float, at_most: float, counts: Proof, ratio: float) -> Verdict:
    """PASS where the larger count still proves at most this ratio, FAIL where the smaller one proves more."""
    n = counts.effective_samples
    most = min(n, math.ceil(at_most / counts.design_effect - 1e-9))
    least = min(n, int(at_least / counts.design_effect + 1e-9))
    if proves_at_most(most, n, ratio):
        return Verdict.PASS
    return Verdict.FAIL if proves_more(least, n, ratio) else Verdict.NOT_PROVEN
