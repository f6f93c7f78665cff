"""The mergeable histogram: base-2 exponential buckets at scale 5, over seconds.

Bucket i holds base**i < value <= base**(i+1) with base = 2**(1/32), as OpenTelemetry's exponential
histogram (data model, "ExponentialHistogram") at scale 5; Prometheus' native histogram of schema 5 numbers
the same buckets i + 1. The layout is fixed by the wire version, never by a host.
"""

import math
from collections.abc import Iterable, Mapping

import msgspec

SCALE = 5
BUCKETS_PER_DOUBLING: int = 2**SCALE
LOWEST_INDEX, HIGHEST_INDEX = -957, 447  # 1 ns … 2**14 s
MIN_NS, MAX_NS = 1, 2**14 * 10**9
RELATIVE_ERROR = 2 ** (1 / (2 * BUCKETS_PER_DOUBLING)) - 1
"""A quantile differs from the exact order statistic by at most this ratio (1.09%)."""


def bucket_index(value_ns: int) -> int:
    """Index of the bucket that holds this many nanoseconds; values outside 1 ns … 2**14 s go to the last one."""
    clamped = min(max(value_ns, MIN_NS), MAX_NS)
    return math.ceil(math.log2(clamped / 1e9) * BUCKETS_PER_DOUBLING) - 1


def bucket_upper_seconds(index: int) -> float:
    """Inclusive upper bound of a bucket, in seconds."""
    return float(2.0 ** ((index + 1) / BUCKETS_PER_DOUBLING))


class Histogram(msgspec.Struct, omit_defaults=True):
    """Counts per bucket plus exact count, sum, minimum and maximum, in integer nanoseconds.

    An empty histogram has min_ns and max_ns None and no quantile.
    Raises ValueError when built from parts that contradict each other.
    """

    count: int = 0
    sum_ns: int = 0
    min_ns: int | None = None
    max_ns: int | None = None
    buckets: dict[int, int] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.count and not self.buckets and self.min_ns is None and self.max_ns is None:
            return
        if self.count != sum(self.buckets.values()) or min(self.buckets.values(), default=0) < 1:
            raise ValueError("bucket counts must be positive and add up to count")
        if min(self.buckets) < LOWEST_INDEX or max(self.buckets) > HIGHEST_INDEX:
            raise ValueError(f"bucket index outside {LOWEST_INDEX} … {HIGHEST_INDEX}")
        if self.min_ns is None or self.max_ns is None or not 0 <= self.min_ns <= self.max_ns:
            raise ValueError("min_ns and max_ns must be given, in order and not negative")
        if bucket_index(self.min_ns) != min(self.buckets) or bucket_index(self.max_ns) != max(self.buckets):
            raise ValueError("min_ns and max_ns must lie in the first and last bucket")
        if not self.count * self.min_ns <= self.sum_ns <= self.count * self.max_ns:
            raise ValueError("sum_ns must lie between count × min_ns and count × max_ns")

    @classmethod
    def of(cls, values_ns: Iterable[int]) -> "Histogram":
        """A histogram of these values."""
        histogram = cls()
        for value in values_ns:
            histogram.add(value)
        return histogram

    def add(self, value_ns: int) -> None:
        """Count one value. Raises ValueError for a negative one."""
        if value_ns < 0:
            raise ValueError(f"a duration cannot be negative: {value_ns} ns")
        index = bucket_index(value_ns)
        self.buckets[index] = self.buckets.get(index, 0) + 1
        self.count += 1
        self.sum_ns += value_ns
        if self.min_ns is None or value_ns < self.min_ns:
            self.min_ns = value_ns
        if self.max_ns is None or value_ns > self.max_ns:
            self.max_ns = value_ns

    def merge(self, other: "Histogram") -> None:
        """Add another histogram's counts to this one; the other is left alone. Commutative and associative."""
        for index, count in other.buckets.items():
            self.buckets[index] = self.buckets.get(index, 0) + count
        self.count += other.count
        self.sum_ns += other.sum_ns
        if other.min_ns is not None and (self.min_ns is None or other.min_ns < self.min_ns):
            self.min_ns = other.min_ns
        if other.max_ns is not None and (self.max_ns is None or other.max_ns > self.max_ns):
            self.max_ns = other.max_ns

    def quantile_ns(self, q: float) -> float | None:
        """The value of rank ceil(q × count), within RELATIVE_ERROR; exact at the ends; None when empty."""
        if self.min_ns is None or self.max_ns is None:
            return None
        return quantile_of_buckets(self.buckets, self.count, self.min_ns, self.max_ns, q)


def quantile_of_buckets(buckets: Mapping[int, int], count: int, min_ns: int, max_ns: int, q: float) -> float:
    """Nearest-rank quantile: geometric middle of the bucket holding rank ceil(q × count), within min and max."""
    if not 0 <= q <= 1:
        raise ValueError(f"a quantile lies between 0 and 1, not {q}")
    rank = max(1, math.ceil(q * count - 1e-9))
    if rank == 1:
        return float(min_ns)
    if rank == count:
        return float(max_ns)
    seen = 0
    for index in sorted(buckets):
        seen += buckets[index]
        if seen >= rank:
            middle: float = 2.0 ** ((index + 0.5) / BUCKETS_PER_DOUBLING) * 1e9
            return min(max(middle, float(min_ns)), float(max_ns))
    raise ValueError("bucket counts do not add up to count")
