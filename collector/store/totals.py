"""What one series measured over some time: as a value, and as a stored row. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from agent.wire.histogram import Histogram
from agent.wire.series import Outcome
from collector.store.buckets import encode_buckets
from collector.store.merge import ADDED, NO_HIGH, NO_LOW, Merged
from collector.store.quality import Flags, encode_flags
from collector.store.schema import OUTCOME_COLUMNS

_OUTCOMES_AT = ADDED.index(OUTCOME_COLUMNS[0])


@dataclass(frozen=True, slots=True)
class Totals:
    """One series over some time, of clean or of spoiled minutes. minutes: how many of them had data.

    limit_low_ns, limit_high_ns: the limits that samples were judged by, equal unless it changed; None without one.
    flags: quality flag → (worst figure, minutes that carried it).
    """

    minutes: int = 0
    outcomes: dict[Outcome, int] = field(default_factory=dict)
    rtt: Histogram = field(default_factory=Histogram)
    judged: int = 0
    over_limit: int = 0
    limit_low_ns: int | None = None
    limit_high_ns: int | None = None
    flags: Flags = field(default_factory=dict)


@dataclass(slots=True)
class Measured:
    """What one series measured: the minutes that count, and those this host itself spoiled."""

    clean: Totals = field(default_factory=Totals)
    spoiled: Totals = field(default_factory=Totals)


def stored_row(start_s: int, series: int, spoiled: int, totals: Totals) -> tuple[Any, ...]:
    """The row of any tier, in the order of ROW_COLUMNS."""
    rtt = totals.rtt
    return (
        start_s,
        series,
        spoiled,
        totals.minutes,
        rtt.count,
        rtt.sum_ns,
        rtt.min_ns,
        rtt.max_ns,
        totals.judged,
        totals.over_limit,
        totals.limit_low_ns,
        totals.limit_high_ns,
        *(totals.outcomes.get(outcome, 0) for outcome in Outcome),
        encode_flags(totals.flags),
        encode_buckets(rtt.buckets),
    )


def totals_by_group(merged: Merged) -> Iterator[tuple[int, Totals]]:
    """Each group's merged numbers as Totals."""
    edges = merged.bucket_edges().tolist()
    index, counts = merged.bucket_index().tolist(), merged.bucket_count.tolist()
    sums = merged.sum_ns.tolist()
    added, lows, highs = merged.added.tolist(), merged.lows.tolist(), merged.highs.tolist()
    for at, group in enumerate(merged.group.tolist()):
        minutes, count, judged, over_limit = added[at][:_OUTCOMES_AT]
        low, limit_low = (None if number == NO_LOW else number for number in lows[at])
        high, limit_high = (None if number == NO_HIGH else number for number in highs[at])
        here = slice(edges[at], edges[at + 1])
        rtt = Histogram()
        if low is not None and high is not None:
            # beyond 2**53 the float may round past what the samples allow
            sum_ns = min(max(int(sums[at]), count * low), count * high)
            rtt = Histogram(count, sum_ns, low, high, dict(zip(index[here], counts[here], strict=True)))
        outcomes = zip(Outcome, added[at][_OUTCOMES_AT:], strict=True)
        yield (
            group,
            Totals(
                minutes,
                {outcome: number for outcome, number in outcomes if number},
                rtt,
                judged,
                over_limit,
                limit_low,
                limit_high,
                merged.flags.get(group, {}),
            ),
        )
