"""Did a change help: before and after on the touched paths, set against paths it did not touch. Pure.

Difference in differences on hourly figures. Each path is compared with its own mean before the change, the touched
paths' mean deviation with that of the control paths, and each hour with the same hour of the day before (hours.py). What
is left is judged by Student's t.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec
import numpy as np
from numpy.typing import NDArray

from collector.advice.hours import (
    HOUR_S,
    HOURS_PER_DAY,
    LEAST_HOURS_BEFORE,
    Floats,
    Hourly,
    Matched,
    Spread,
    by_hour_of_day,
    mean_deviation,
    spread_of,
    table_of,
)

ERROR = 0.05
"""Over all figures of one change: each is judged at this ÷ their number (Bonferroni)."""
LEAST_HOURS_AFTER = 6
LONGEST_WAIT_HOURS = 30 * HOURS_PER_DAY
POWER_MARGIN = 0.7
"""The interval's half width at which four of five true changes are proven, as a share of the change: 1.97 ÷ (1.97 + 0.84)."""


class Outcome(StrEnum):
    """What a change did."""

    HELPED = "helped"
    NO_EFFECT = "no effect"
    HARMED = "harmed"
    CANNOT_TELL = "cannot tell yet"


class Figure(StrEnum):
    """What is compared."""

    P50 = "p50_seconds"
    P99 = "p99_seconds"
    LOSS = "loss_ratio"
    RETRANSMITS = "retransmit_ratio"
    THROUGHPUT = "throughput_bits_per_second"


@dataclass(frozen=True, slots=True)
class Scale:
    """relative: changes are ratios to before, else differences. more_is_better: the sign of help.

    least: the smallest change worth having; an interval that lies wholly within ± least is no effect.
    """

    relative: bool
    more_is_better: bool
    least: float


SCALES = {
    Figure.P50: Scale(relative=True, more_is_better=False, least=0.03),
    Figure.P99: Scale(relative=True, more_is_better=False, least=0.05),
    Figure.LOSS: Scale(relative=False, more_is_better=False, least=0.001),
    Figure.RETRANSMITS: Scale(relative=False, more_is_better=False, least=0.001),
    Figure.THROUGHPUT: Scale(relative=True, more_is_better=True, least=0.05),
}
"""Times and rates differ by ratios from path to path; a lossless path has no ratio, so losses are subtracted."""


class Effect(msgspec.Struct, frozen=True):
    """One figure's answer. change, low, high: as a ratio to before (−0.1: a tenth less) or as a difference.

    before: mean of the touched paths before. All four None where nothing can be said; reason says why, or what is
    doubtful. more_hours: how much longer to wait, None where waiting does not decide.
    """

    figure: Figure
    outcome: Outcome
    relative: bool
    before: float | None = None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    touched_paths: int = 0
    control_paths: int = 0
    hours_before: int = 0
    hours_after: int = 0
    more_hours: int | None = None
    reason: str | None = None


def effects_of(
    touched: Mapping[Figure, Sequence[Hourly]], controls: Mapping[Figure, Sequence[Hourly]], change_s: int
) -> list[Effect]:
    """The effect on every figure that touched paths have. change_s: when; the hour it lies in counts on neither side."""
    figures = [figure for figure in Figure if touched.get(figure)]
    return [
        effect_of(figure, touched[figure], controls.get(figure, ()), change_s, ERROR / len(figures))
        for figure in figures
    ]


def outcome_of(effects: Sequence[Effect]) -> Outcome:
    """One word for all figures: harm outweighs help, help outweighs what is not yet known."""
    found = {effect.outcome for effect in effects}
    for outcome in (Outcome.HARMED, Outcome.HELPED, Outcome.CANNOT_TELL):
        if outcome in found:
            return outcome
    return Outcome.NO_EFFECT if found else Outcome.CANNOT_TELL


def effect_of(
    figure: Figure, touched: Sequence[Hourly], controls: Sequence[Hourly], change_s: int, error: float = ERROR
) -> Effect:
    """One figure's effect at the confidence 1 − error, from one mapping of hours for each path."""
    scale = SCALES[figure]
    hours = np.array(sorted({hour for path in (*touched, *controls) for hour in path}), np.int64)
    change_hour_s = change_s // HOUR_S * HOUR_S
    before = hours < change_hour_s
    ours, theirs = (table_of(paths, hours, before, relative=scale.relative) for paths in (touched, controls))

    def cannot_tell(reason: str, more_hours: int | None = None, hours_after: int = 0) -> Effect:
        return Effect(
            figure, Outcome.CANNOT_TELL, scale.relative, touched_paths=len(ours), control_paths=len(theirs),
            hours_after=hours_after, more_hours=more_hours, reason=reason,
        )  # fmt: skip

    if not len(ours):
        return cannot_tell(f"no touched path has {LEAST_HOURS_BEFORE} hours before it and any after")
    if not len(theirs):
        return cannot_tell(
            "no path without a changed end was measured: what else changed cannot be told apart"
        )
    difference = mean_deviation(ours, before) - mean_deviation(theirs, before)
    usable = np.isfinite(difference) & (hours != change_hour_s)
    matched = by_hour_of_day(hours[usable], difference[usable], before[usable])
    if len(matched.before) < LEAST_HOURS_BEFORE:
        return cannot_tell("touched and control paths have too few hours before it in common")
    if len(matched.after) < LEAST_HOURS_AFTER:
        short = LEAST_HOURS_AFTER - len(matched.after)
        return cannot_tell(f"{len(matched.after)} hours after it so far", short, len(matched.after))
    spread = spread_of(matched, error)
    if spread is None:
        return cannot_tell("too few days before the change to know how much they differ")
    return _judged(figure, matched, spread, _level(ours, before, scale), (len(ours), len(theirs)), error)


def _level(table: Floats, before: NDArray[np.bool_], scale: Scale) -> float:
    level = float(np.nanmean(table[:, before]))
    return math.exp(level) if scale.relative else level


def _judged(
    figure: Figure, matched: Matched, spread: Spread, level: float, paths: tuple[int, int], error: float
) -> Effect:
    scale = SCALES[figure]
    hours_after = len(matched.after)
    change, half = float(matched.after.mean()), spread.half_width(hours_after)
    low, high = (_shown(edge, scale) for edge in (change - half, change + half))
    shown = _shown(change, scale)
    outcome = _outcome(shown, low, high, scale)
    more_hours = reason = None
    if outcome is Outcome.CANNOT_TELL:
        more_hours = _more_hours(change, spread, hours_after, scale)
        reason = (
            "the interval is still too wide"
            if more_hours is not None
            else "no reasonable wait makes the interval narrow enough: figures before the change vary too much"
        )
    return Effect(
        figure, outcome, scale.relative, level, shown, low, high, 1 - error, *paths, len(matched.before), hours_after,
        more_hours, reason,
    )  # fmt: skip


def _shown(change: float, scale: Scale) -> float:
    return math.expm1(change) if scale.relative else change


def _outcome(change: float, low: float, high: float, scale: Scale) -> Outcome:
    if -scale.least <= low and high <= scale.least:
        return Outcome.NO_EFFECT
    if low <= 0 <= high or abs(change) < scale.least:
        return Outcome.CANNOT_TELL
    return Outcome.HELPED if (change > 0) == scale.more_is_better else Outcome.HARMED


def _more_hours(change: float, spread: Spread, hours_after: int, scale: Scale) -> int | None:
    """Until the interval leaves out zero, or fits within ± least, whichever comes first; None where neither does."""
    least = math.log1p(scale.least) if scale.relative else scale.least
    target = abs(change) if abs(change) >= least else least - abs(change)
    room = (POWER_MARGIN * target) ** 2 - spread.fixed
    if room <= 0:
        return None
    wanted = math.ceil(spread.per_hour / room) - hours_after
    return max(1, wanted) if wanted <= LONGEST_WAIT_HOURS else None
