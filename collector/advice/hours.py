"""Hours before and after a change: matched by the hour of the day, and how far their difference may be off. Pure.

Hours follow one another and days differ, so the interval is the wider of two: from the hours, with the loss of
independence that a first-order autoregression implies (Bartlett 1946), and from the means of whole days.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collector.advice.student import t_quantile

HOUR_S, HOURS_PER_DAY = 3600, 24
LEAST_HOURS_BEFORE = 48
"""Two days show how much one hour of the day differs from the next day's."""
FULL_DAY_HOURS = 12
"""A day with fewer of its hours measured is no day's mean."""
LEAST_DEGREES = 3.0

Floats = NDArray[np.float64]
Hourly = Mapping[int, float]
"""Start of an hour (Unix seconds) → the figure of that hour."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How far the effect may lie from its estimate: half_width = sqrt(per_hour / hours_after + fixed)."""

    per_hour: float
    fixed: float

    def half_width(self, hours_after: float) -> float:
        return math.sqrt(self.per_hour / hours_after + self.fixed)


@dataclass(frozen=True, slots=True)
class Matched:
    """Differences less the profile of the hours of the day before. before is scaled for what the profile took.

    *_days: the number of the day of each entry. profile_weight: Σ share² ÷ days over the hours of the day, what the
    profile's own uncertainty adds.
    """

    before: Floats
    before_hours: NDArray[np.int64]
    after: Floats
    after_hours: NDArray[np.int64]
    profile_weight: float


def table_of(
    paths: Sequence[Hourly], hours: NDArray[np.int64], before: NDArray[np.bool_], *, relative: bool
) -> Floats:
    """Paths with enough hours on both sides, one row each, on the scale on which changes add up; NaN unknown."""
    rows = []
    for path in paths:
        values = np.array([path.get(int(hour), math.nan) for hour in hours])
        if relative:
            with np.errstate(divide="ignore", invalid="ignore"):
                values = np.where(values > 0, np.log(values), np.nan)
        known = np.isfinite(values)
        if (known & before).sum() >= LEAST_HOURS_BEFORE and (known & ~before).sum() >= 1:
            rows.append(values)
    return np.array(rows).reshape(len(rows), len(hours))


def mean_deviation(table: Floats, before: NDArray[np.bool_]) -> Floats:
    """Each path less its own mean before, averaged over the paths known in that hour; NaN where none is.

    So a path that comes or goes shifts nothing.
    """
    deviation = table - np.nanmean(table[:, before], axis=1)[:, None]
    known = np.isfinite(deviation)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, deviation, 0).sum(axis=0) / known.sum(axis=0))


def by_hour_of_day(hours: NDArray[np.int64], values: Floats, before: NDArray[np.bool_]) -> Matched:
    """Hours of the day without two days before the change have no profile and are left out."""
    of_day = hours // HOUR_S % HOURS_PER_DAY
    days = np.bincount(of_day[before], minlength=HOURS_PER_DAY)
    profile = np.bincount(of_day[before], values[before], HOURS_PER_DAY) / np.maximum(days, 1)
    kept = days[of_day] >= 2
    left = values - profile[of_day]
    first, second = before & kept, ~before & kept
    scaled = left[first] * np.sqrt(days[of_day[first]] / (days[of_day[first]] - 1))
    share = np.bincount(of_day[second], minlength=HOURS_PER_DAY) / max(1, second.sum())
    weight = float((share**2 / np.maximum(days, 1)).sum())
    return Matched(scaled, hours[first], left[second], hours[second], weight)


def spread_of(matched: Matched, error: float) -> Spread | None:
    """The wider of what hours and what days say; None with too few of both."""
    candidates = [
        spread for spread in (_spread_of_hours(matched, error), _spread_of_days(matched, error)) if spread
    ]
    return max(candidates, key=lambda spread: spread.half_width(len(matched.after)), default=None)


def _spread_of_hours(matched: Matched, error: float) -> Spread | None:
    after = matched.after - matched.after.mean()
    residuals = np.concatenate([matched.before, after])
    degrees = len(residuals) - HOURS_PER_DAY - 1.0
    if degrees < LEAST_DEGREES:
        return None
    variance = float((residuals**2).sum() / (len(residuals) - 1))
    inflation = _inflation(matched)
    t = t_quantile(1 - error / 2, max(LEAST_DEGREES, degrees / inflation))
    per_hour = t * t * variance * inflation
    return Spread(per_hour, per_hour * matched.profile_weight)


def _inflation(matched: Matched) -> float:
    """(1 + ρ) / (1 − ρ): how many dependent hours are worth one independent, from neighbours an hour apart."""
    neighbours = np.diff(matched.before_hours) == HOUR_S
    first, second = matched.before[:-1][neighbours], matched.before[1:][neighbours]
    power = float((matched.before**2).mean())
    if len(first) < HOURS_PER_DAY or power == 0:
        return 1.0
    rho = float((first * second).mean()) / power
    rho += (1 + 4 * rho) / len(first)  # the estimate's own bias (Kendall 1954)
    rho = min(max(rho, 0.0), 0.95)
    return (1 + rho) / (1 - rho)


def _spread_of_days(matched: Matched, error: float) -> Spread | None:
    before = _day_means(matched.before, matched.before_hours)
    after = _day_means(matched.after, matched.after_hours)
    degrees = len(before) + max(0, len(after) - 1) - 1.0
    if degrees < LEAST_DEGREES:
        return None
    squares = float((before**2).sum()) + (float(((after - after.mean()) ** 2).sum()) if len(after) else 0.0)
    t = t_quantile(1 - error / 2, degrees)
    per_day = t * t * squares / degrees
    return Spread(per_day * HOURS_PER_DAY, per_day / len(before))


def _day_means(values: Floats, hours: NDArray[np.int64]) -> Floats:
    _, day, count = np.unique(hours // (HOUR_S * HOURS_PER_DAY), return_inverse=True, return_counts=True)
    means = np.bincount(day, values) / count if len(count) else values
    return np.asarray(means[count >= FULL_DAY_HOURS])
