"""Exact tails, checked against rational arithmetic."""

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.binomial import (
    EXACT_BELOW_VARIANCE,
    _exact_ranks,
    at_least,
    at_most,
    largest_proving_at_most,
    mass,
    proves_at_most,
    proves_more,
    quantile_ranks,
    smallest_proving_more,
    wilson_interval,
)


def exact_at_most(k, n, p):
    p = Fraction(p)
    return float(sum(comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1)))


@given(st.integers(1, 300), st.floats(1e-4, 1 - 1e-4), st.data())
def test_tails_equal_rational_arithmetic(n, p, data):
    """Both tails are exact to ten digits, whatever n, k and p."""
    k = data.draw(st.integers(0, n))
    below = exact_at_most(k, n, p)
    assert at_most(k, n, p) == pytest.approx(below, rel=1e-10, abs=1e-12)
    assert at_least(k + 1, n, p) == pytest.approx(1 - below, rel=1e-8, abs=1e-12)


@pytest.mark.parametrize("n", [2, 30, 32, 34, 64, 1000])
def test_the_mass_is_exact_to_the_last_digits(n):
    """On both sides of where the series takes over from the logarithm of the gamma function."""
    assert mass(n // 2, n, 0.5) == pytest.approx(float(Fraction(comb(n, n // 2), 2**n)), rel=5e-13)


def test_a_hundred_million_samples_keep_their_precision():
    """Summed over everything that matters, the mass is 1: no digits are lost to the logarithm of a huge factorial."""
    n, p = 10**8, 0.01
    total = at_most(10**6, n, p) + at_least(10**6 + 1, n, p)
    assert total == pytest.approx(1, abs=1e-11)
    around = sum(mass(k, n, p) for k in range(10**6 - 9000, 10**6 + 9001))
    assert around == pytest.approx(1, abs=1e-11)


@pytest.mark.parametrize(
    ("n", "passes_at_most", "fails_at_least"),
    [
        (100, None, 4),
        (298, None, 7),
        (299, 0, 7),
        (500, 1, 10),
        (1000, 4, 16),
        (1440, 7, 22),
        (8640, 70, 103),
    ],
)
def test_the_published_thresholds(n, passes_at_most, fails_at_least):
    """The table of the contract, reproduced at its borders."""
    ratio = 1 - 0.99
    assert largest_proving_at_most(n, ratio) == passes_at_most
    assert smallest_proving_more(n, ratio) == fails_at_least
    assert not proves_more(fails_at_least - 1, n, ratio)
    if passes_at_most is not None:
        assert not proves_at_most(passes_at_most + 1, n, ratio)


def test_p999_needs_2995_clean_samples():
    """The stricter the percentile, the more samples a proof takes."""
    assert largest_proving_at_most(2994, 0.001) is None
    assert largest_proving_at_most(2995, 0.001) == 0


@given(st.integers(1, 5000), st.floats(0.001, 0.2))
def test_no_count_proves_both(n, ratio):
    """A PASS and a FAIL never hold at once."""
    passes, fails = largest_proving_at_most(n, ratio), smallest_proving_more(n, ratio)
    assert passes is None or fails is None or passes < fails


def test_nothing_is_proven_by_nothing():
    """No samples, no verdict."""
    assert not proves_at_most(0, 0, 0.01)
    assert not proves_more(0, 0, 0.01)
    assert smallest_proving_more(0, 0.01) is None
    assert wilson_interval(0, 0) is None


@given(st.integers(1, 3000), st.sampled_from([0.5, 0.9, 0.99, 0.999]))
def test_order_statistics_enclose_the_quantile(n, q):
    """The interval covers with at least 95 %, and is open where no sample can close it."""
    low, high = quantile_ranks(n, q)
    assert low is None or at_most(low - 1, n, q) <= 0.025
    assert high is None or at_least(high, n, q) <= 0.025
    if low is None and n * q * (1 - q) < EXACT_BELOW_VARIANCE:
        assert at_most(0, n, q) > 0.025


@given(st.integers(2600, 6000), st.sampled_from([0.5, 0.9, 0.99]))
def test_the_fast_ranks_are_at_most_three_wider_than_the_exact_ones(n, q):
    """Large samples get the expansion, which gives away next to nothing."""
    low, high = quantile_ranks(n, q)
    exact_low, exact_high = _exact_ranks(n, q)
    assert exact_low - 3 <= low <= exact_low
    assert exact_high <= high <= exact_high + 3


def test_wilson_interval_of_a_known_case():
    """10 of 100: Wilson's published 5.5 % to 17.4 %."""
    assert wilson_interval(10, 100) == pytest.approx((0.0552, 0.1744), abs=1e-4)
