"""Calibration: which limit how many paths would keep."""

import pytest

from collector.calibrate import PairTimes, calibrate
from collector.floor import floor_of_length

FLOOR = floor_of_length(1000)  # 9.79 ms


def pair(name, static, dynamic=1.0):
    low = FLOOR.floor_seconds * static
    return PairTimes(name, "z", FLOOR, low, low * dynamic)


ROWS = [pair("good", 1.4), pair("queueing", 1.4, 2.0), pair("long-way", 2.2), pair("impossible", 0.5)]


def test_each_pair_gets_its_ratio_verdict_and_tightest_limit():
    """The tightest of the limits asked about that a path keeps, or none."""
    result = calibrate(ROWS, [1.5, 2.0, 2.5, 3.0], [0.0, 0.005])
    by_name = {p.source: p for p in result.pairs}
    assert {name: p.verdict for name, p in by_name.items()} == {
        "good": "PASS",
        "queueing": "FAIL",
        "long-way": "UNACHIEVABLE",
        "impossible": "IMPLAUSIBLE",
    }
    assert by_name["queueing"].ratio_to_floor == pytest.approx(2.8)
    assert by_name["queueing"].dynamic_inflation == pytest.approx(2.0)
    assert (by_name["good"].tightest.multiplier, by_name["good"].tightest.allowance_seconds) == (1.5, 0.0)
    assert by_name["long-way"].tightest.limit_seconds == pytest.approx(2.5 * FLOOR.floor_seconds)
    assert by_name["impossible"].tightest is None


def test_the_summary_counts_every_path_under_every_combination():
    """Nothing falls out of a denominator."""
    result = calibrate(ROWS, [1.5, 3.0], [0.0, 0.005])
    assert [(s.multiplier, s.allowance_seconds) for s in result.summary] == [
        (1.5, 0),
        (1.5, 0.005),
        (3, 0),
        (3, 0.005),
    ]
    assert all(sum(s.verdicts.values()) == s.paths == len(ROWS) for s in result.summary)
    assert [s.pass_ratio for s in result.summary] == [0.25, 0.25, 0.75, 0.75]


def test_the_verdict_beside_a_pair_is_at_the_default_terms_where_asked_for():
    """2 × floor and no allowance if that is among them, otherwise the first combination; the output says which."""
    assert calibrate(ROWS, [3.0, 2.0], [5.0, 0.0]).judged_at.multiplier == 2.0
    first = calibrate(ROWS, [3.0, 1.5], [0.01]).judged_at
    assert (first.multiplier, first.allowance_seconds) == (3.0, 0.01)


def test_one_place_has_no_ratio():
    """A floor of zero divides nothing."""
    (found,) = calibrate([PairTimes("a", "a", floor_of_length(0), 0.0, 0.001)], [2.0], [0.0]).pairs
    assert found.ratio_to_floor is found.static_inflation is found.dynamic_inflation is None
    assert found.verdict == "TOO_CLOSE"


def test_nothing_to_calibrate_on_is_an_error():
    """An empty table is not a good one."""
    with pytest.raises(ValueError, match="no pairs"):
        calibrate([], [2.0], [0.0])
