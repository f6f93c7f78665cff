"""The histogram keeps its promise: any quantile within RELATIVE_ERROR, whatever was merged with what."""

import csv
import itertools
import math
import random
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.wire.histogram import (
    HIGHEST_INDEX,
    LOWEST_INDEX,
    MAX_NS,
    RELATIVE_ERROR,
    Histogram,
    bucket_index,
    bucket_upper_seconds,
)
from corpus import corpus_file

MS = 1_000_000
QUANTILES = ("0", "0.001", "0.01", "0.07", "0.25", "0.5", "0.75", "0.9", "0.95", "0.99", "0.999", "1")
IN_RANGE_NS = st.integers(1, MAX_NS)
SERIES_NS = st.lists(st.integers(0, 2 * MAX_NS), max_size=60)

DISTRIBUTIONS = {
    "constant": lambda dice: 37 * MS,
    "uniform": lambda dice: dice.randint(1 * MS, 300 * MS),
    "normal": lambda dice: max(1, round(dice.gauss(80, 3) * MS)),
    "lognormal": lambda dice: round(dice.lognormvariate(3, 1.5) * MS) + 1,
    "pareto": lambda dice: min(MAX_NS, round(dice.paretovariate(0.8) * MS)),
    "exponential": lambda dice: round(dice.expovariate(0.05) * MS) + 1,
    "bimodal": lambda dice: round(dice.gauss(*dice.choice([(12, 0.2), (240, 9)])) * MS),
    "loopback": lambda dice: dice.randint(8_000, 60_000),
    "two values": lambda dice: dice.choice([5 * MS, 3000 * MS]),
}


def exact_ns(ordered_ns, quantile):
    """Nearest rank, in exact arithmetic."""
    return ordered_ns[max(1, math.ceil(Fraction(quantile) * len(ordered_ns))) - 1]


def assert_quantiles(histogram, values_ns):
    ordered = sorted(values_ns)
    for quantile in QUANTILES:
        true = exact_ns(ordered, quantile)
        found = histogram.quantile_ns(float(quantile))
        assert abs(found - true) <= true * RELATIVE_ERROR * (1 + 1e-9), (quantile, found, true)


@pytest.mark.parametrize("size", [1, 2, 3, 10, 100, 5000])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_quantiles_of_many_distributions(name, size):
    """Every quantile of every distribution is within RELATIVE_ERROR of the exact nearest rank."""
    dice = random.Random(f"{name}{size}")
    values = [DISTRIBUTIONS[name](dice) for _ in range(size)]
    assert_quantiles(Histogram.of(values), values)


@given(st.lists(IN_RANGE_NS, min_size=1, max_size=200))
def test_quantiles_of_any_values(values):
    """The same for any values that the layout has buckets for."""
    assert_quantiles(Histogram.of(values), values)


@given(SERIES_NS, SERIES_NS, SERIES_NS)
def test_merging_parts_gives_the_whole_in_any_order(a, b, c):
    """Merging is commutative and associative, equals counting everything once, and leaves its argument alone."""
    whole = Histogram.of(a + b + c)
    for order in itertools.permutations((a, b, c)):
        parts = [Histogram.of(part) for part in order]
        left = Histogram()
        for part in parts:
            before = msgspec.json.encode(part)
            left.merge(part)
            assert msgspec.json.encode(part) == before
        right = parts[1]
        right.merge(parts[2])
        parts[0].merge(right)
        assert left == whole
        assert parts[0] == whole


@given(SERIES_NS)
def test_what_is_encoded_decodes_to_the_same(values):
    """Nothing is lost or invented on the wire."""
    histogram = Histogram.of(values)
    assert msgspec.json.decode(msgspec.json.encode(histogram), type=Histogram) == histogram


@given(IN_RANGE_NS)
def test_a_value_lies_in_its_bucket(value):
    """The bucket's bounds hold the value, up to rounding of the bounds themselves."""
    index = bucket_index(value)
    assert LOWEST_INDEX <= index <= HIGHEST_INDEX
    assert (
        bucket_upper_seconds(index - 1) * (1 - 1e-12)
        < value / 1e9
        <= bucket_upper_seconds(index) * (1 + 1e-12)
    )


@pytest.mark.parametrize("exponent", range(-9, 14))
def test_powers_of_two_are_upper_bounds(exponent):
    """2**k seconds belongs to the bucket that ends there: classic buckets cut at powers of two count exactly."""
    value = round(2.0**exponent * 1e9)
    assert bucket_index(value) == 32 * exponent - 1
    assert bucket_index(value + 1) == 32 * exponent


def test_an_empty_histogram_has_no_quantile():
    """No data is None, never zero."""
    assert Histogram().quantile_ns(0.99) is None


@pytest.mark.parametrize("wrong", [-0.1, 1.1, math.nan])
def test_a_quantile_outside_its_range_is_refused(wrong):
    """A percentage given for a ratio does not pass as the maximum."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        Histogram.of([1, 2, 3]).quantile_ns(wrong)


def test_a_negative_duration_is_refused():
    """A clock that ran backwards is an error where it enters."""
    with pytest.raises(ValueError, match="negative"):
        Histogram().add(-1)


GOOD = {
    "count": 2,
    "sum_ns": 30,
    "min_ns": 10,
    "max_ns": 20,
    "buckets": {bucket_index(10): 1, bucket_index(20): 1},
}


@pytest.mark.parametrize(
    "change",
    [
        {"count": 3},
        {"count": 0},
        {"sum_ns": 10},
        {"sum_ns": 1000},
        {"min_ns": None},
        {"max_ns": None},
        {"min_ns": 21},
        {"min_ns": -1},
        {"max_ns": 10},
        {"buckets": {}},
        {"buckets": {bucket_index(10): 2, bucket_index(20): 0}},
        {"buckets": {bucket_index(10): 3, bucket_index(20): -1}},
        {"buckets": {bucket_index(10): 1, HIGHEST_INDEX + 1: 1}},
        {"buckets": {LOWEST_INDEX - 1: 1, bucket_index(20): 1}},
        {"count": 0, "buckets": {}},
    ],
    ids=str,
)
def test_contradictory_parts_are_refused(change):
    """Counts, bounds and sum must fit each other; a histogram that lies does not get in."""
    Histogram(**GOOD)
    with pytest.raises(ValueError, match=r"must|outside"):
        Histogram(**(GOOD | change))


@pytest.mark.corpus
def test_quantiles_of_real_heavy_tailed_series_after_any_merging():
    """Real series, cut into windows and merged in random order, keep every quantile within 1.1%."""
    with corpus_file("1-rtt/seattle_688_slices_nodes0-9.tsv").open(newline="") as file:
        slices = list(csv.DictReader(file, delimiter="\t"))
    pairs = [name for name in slices[0] if name != "slice"]
    assert len(pairs) == 90
    dice = random.Random(7)
    for pair in pairs:
        values = [round(float(row[pair]) * 1e9) for row in slices if row[pair]]
        values = [value for value in values if value > 0]
        assert_quantiles(merged_at_random(values, dice), values)


@pytest.mark.corpus
def test_quantiles_of_cloud_rtts_after_any_merging():
    """7,187 minimum, mean and maximum RTTs of TCP flows between clouds, merged at random: within 1.1%."""
    path = corpus_file("1-rtt/cloudpilot_iperf3_tcp_rtt_shared.csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for column in ("min_rtt_us", "mean_rtt_us", "max_rtt_us"):
        values = [round(float(row[column]) * 1000) for row in rows if row[column]]
        values = [value for value in values if value > 0]
        assert_quantiles(merged_at_random(values, random.Random(column)), values)


def merged_at_random(values, dice):
    """Cut into windows of random size, merge any two until one is left."""
    rest = list(values)
    dice.shuffle(rest)
    windows = []
    while rest:
        size = dice.randint(1, 40)
        windows.append(Histogram.of(rest[:size]))
        del rest[:size]
    while len(windows) > 1:
        one = windows.pop(dice.randrange(len(windows)))
        windows[dice.randrange(len(windows))].merge(one)
    return windows[0]
