"""How far the difference of before and after may be off."""

import math

import numpy as np
import pytest

from collector.advice.hours import HOUR_S, Matched, spread_of

BEFORE, AFTER = 10 * 24, 2 * 24


def matched(rng, shape):
    """Ten days before and two after; shape: (hours, day of each) → deviations."""
    hours = np.arange(BEFORE + AFTER) * HOUR_S
    values = shape(np.arange(BEFORE + AFTER), np.arange(BEFORE + AFTER) // 24)
    return Matched(values[:BEFORE], hours[:BEFORE], values[BEFORE:], hours[BEFORE:], 1 / BEFORE)


def half_width(found):
    return spread_of(found, 0.05).half_width(AFTER)


def test_independent_hours_give_students_interval():
    """1.97 × σ × √(1/48 + 1/240), within what the estimate of σ and the days allow."""
    rng = np.random.default_rng(1)
    found = [half_width(matched(rng, lambda hours, _: rng.normal(size=len(hours)))) for _ in range(50)]
    assert np.median(found) == pytest.approx(1.97 * math.sqrt(1 / AFTER + 1 / BEFORE), rel=0.25)


def test_hours_that_follow_one_another_are_worth_less():
    """Waves of half a day, whose daily means are nought, give a wider interval than as many shuffled hours."""
    rng = np.random.default_rng(2)
    phases = rng.uniform(0, math.tau, 12)
    waves = matched(rng, lambda hours, days: np.sin(hours / 12 * math.tau + phases[days]))
    mixed = matched(rng, lambda hours, days: rng.permutation(np.sin(hours / 12 * math.tau + phases[days])))
    assert half_width(waves) > 2 * half_width(mixed)


def test_days_that_differ_widen_the_interval_though_hours_look_independent():
    """A small offset of each day under much noise: only the days' means tell."""
    rng = np.random.default_rng(3)
    offsets = np.tile([1.0, -1.0], 6)
    alternating = np.tile([1.0, -1.0], (BEFORE + AFTER) // 2)
    found = matched(rng, lambda _, days: 0.5 * offsets[days] + 2 * alternating)
    of_hours = 1.97 * 2.06 * math.sqrt(1 / AFTER + 1 / BEFORE)
    assert half_width(found) > 1.3 * of_hours


def test_too_few_hours_and_days_have_no_interval():
    """Three hours are no distribution."""
    few = np.array([0.1, -0.1, 0.0])
    hours = np.arange(3) * HOUR_S
    assert spread_of(Matched(few, hours, few, hours + 86400, 1.0), 0.05) is None
