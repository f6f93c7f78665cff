"""What one series measured over a period: the input of a verdict. Everything in it merges by addition. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from agent.wire.histogram import BUCKETS_PER_DOUBLING, Histogram
from agent.wire.series import ANSWERED, LOST, Outcome


class MinuteCounts(msgspec.Struct, omit_defaults=True):
    """Sums over the minutes of a period, from which availability and the clustering of slow or lost samples follow.

    measured: minutes with at least one probe answered or lost; available: those with at least one answered.
    judged_minutes: minutes with judged > 0. The rest are sums over minutes of judged², judged × over_limit and
    over_limit², and of sent², sent × lost and lost², where sent = answered + lost.
    """

    measured: int = 0
    available: int = 0
    judged_minutes: int = 0
    judged_squared: int = 0
    judged_times_over: int = 0
    over_squared: int = 0
    sent_squared: int = 0
    sent_times_lost: int = 0
    lost_squared: int = 0

    def add(self, outcomes: Mapping[Outcome, int], judged: int, over_limit: int) -> None:
        """Count one minute."""
        answered = sum(outcomes.get(o, 0) for o in ANSWERED)
        lost = sum(outcomes.get(o, 0) for o in LOST)
        self.measured += answered + lost > 0
        self.available += answered > 0
        self.judged_minutes += judged > 0
        self.judged_squared += judged * judged
        self.judged_times_over += judged * over_limit
        self.over_squared += over_limit * over_limit
        self.sent_squared += (answered + lost) ** 2
        self.sent_times_lost += (answered + lost) * lost
        self.lost_squared += lost * lost

    def merge(self, other: "MinuteCounts") -> None:
        """Add another period's sums to these."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(frozen=True, slots=True)
class Measured:
    """One series over one period.

    judged, over_limit: samples the agent compared with the very limit that is judged now, and those above it. Windows
    compared with another limit (a contract or a coordinate changed) or with none count in rtt only; where they are
    more than a few, give judged 0, and the histogram answers within its buckets. minutes: of the judged windows.
    minutes, path_mtu_bytes, retransmit_ratio: None where not known.
    """

    rtt: Histogram = field(default_factory=Histogram)
    judged: int = 0
    over_limit: int = 0
    outcomes: Mapping[Outcome, int] = field(default_factory=dict)
    minutes: MinuteCounts | None = None
    path_mtu_bytes: int | None = None
    retransmit_ratio: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.over_limit <= self.judged <= self.rtt.count:
            raise ValueError("0 ≤ over_limit ≤ judged ≤ rtt.count does not hold")

    @property
    def answered(self) -> int:
        """Probes the peer answered."""
        return sum(self.outcomes.get(o, 0) for o in ANSWERED)

    @property
    def lost(self) -> int:
        """Probes the path lost."""
        return sum(self.outcomes.get(o, 0) for o in LOST)


def design_effect(judged: int, over_limit: int, minutes: MinuteCounts | None) -> float:
    """How many times fewer independent samples there are than samples: 1 where slow ones do not cluster by minute."""
    if minutes is None:
        return 1.0
    sums = minutes.judged_squared, minutes.judged_times_over, minutes.over_squared
    return _cluster_effect(judged, over_limit, minutes.judged_minutes, *sums)


def loss_design_effect(sent: int, lost: int, minutes: MinuteCounts | None) -> float | None:
    """The same of probes that were lost; None where the minutes' sums are not known."""
    if (
        minutes is None or minutes.sent_squared * minutes.measured < sent * sent
    ):  # Cauchy-Schwarz: never with all sums
        return None
    sums = minutes.sent_squared, minutes.sent_times_lost, minutes.lost_squared
    return _cluster_effect(sent, lost, minutes.measured, *sums)


def _cluster_effect(n: int, k: int, blocks: int, n_squared: int, n_times_k: int, k_squared: int) -> float:
    """Variance of the ratio k / n between blocks (ratio estimator for clusters of unequal size; Cochran, Sampling
    Techniques, 1977, section 3.12) divided by the variance that independent samples would have; at least 1.
    """
    if blocks < 2 or not 0 < k < n:
        return 1.0
    ratio = k / n
    residuals = k_squared - 2 * ratio * n_times_k + ratio * ratio * n_squared
    between = blocks / (blocks - 1) * residuals / (n * n)
    return max(1.0, between / (ratio * (1 - ratio) / n))


@dataclass(frozen=True, slots=True)
class Above:
    """How many values of a histogram lie above a limit: the bounds its buckets allow, and an estimate between."""

    at_least: int
    estimate: float
    at_most: int


def above(rtt: Histogram, limit_ns: float) -> Above:
    """Values above limit_ns. Only the bucket that holds the limit is in doubt; within it values are taken as
    spread evenly over the logarithm, between minimum and maximum.
    """
    if rtt.min_ns is None or rtt.max_ns is None or limit_ns >= rtt.max_ns:
        return Above(0, 0.0, 0)
    if limit_ns < rtt.min_ns:
        return Above(rtt.count, float(rtt.count), rtt.count)
    limit_position = math.log2(limit_ns / 1e9) * BUCKETS_PER_DOUBLING
    surely = sum(c for i, c in rtt.buckets.items() if i >= limit_position)
    straddling = math.ceil(limit_position) - 1
    inside = rtt.buckets.get(straddling, 0)
    low = max(float(straddling), math.log2(max(rtt.min_ns, 1) / 1e9) * BUCKETS_PER_DOUBLING)
    high = min(straddling + 1.0, math.log2(rtt.max_ns / 1e9) * BUCKETS_PER_DOUBLING)
    share = min(1.0, max(0.0, (high - limit_position) / (high - low))) if high > low else 0.0
    # The bucket of the maximum holds at least one value above the limit, the bucket of the minimum one that is not.
    at_least = max(surely, 1)
    at_most = min(surely + inside, rtt.count - 1)
    return Above(at_least, min(max(surely + inside * share, at_least), at_most), at_most)
