"""What one series measured over some time: as a value, and as a stored row. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from agent.wire.batch import Window
from agent.wire.histogram import Histogram
from agent.wire.series import Outcome
from collector.measured import MinuteCounts
from collector.store.buckets import encode_buckets
from collector.store.merge import ADDED, NO_HIGH, NO_LOW, Merged
from collector.store.quality import Flags, encode_flags
from collector.store.schema import MINUTE_S, OUTCOME_COLUMNS

_OUTCOMES = slice(ADDED.index(OUTCOME_COLUMNS[0]), ADDED.index(OUTCOME_COLUMNS[-1]) + 1)
_MINUTES = ADDED.index("minutes")
_ZEROS = (0,) * len(OUTCOME_COLUMNS)


@dataclass(frozen=True, slots=True)
class Totals:
    """One series over some time, of clean or of spoiled minutes. minutes: how many had data; counts: sums over them.

    limit_low_ns, limit_high_ns: the limits that samples were judged by, equal unless it changed; None without one.
    flags: quality flag → (worst figure, minutes that carried it).
    """

    outcomes: dict[Outcome, int] = field(default_factory=dict)
    rtt: Histogram = field(default_factory=Histogram)
    judged: int = 0
    over_limit: int = 0
    limit_low_ns: int | None = None
    limit_high_ns: int | None = None
    minutes: int = 0
    counts: MinuteCounts = field(default_factory=MinuteCounts)
    flags: Flags = field(default_factory=dict)


@dataclass(slots=True)
class SeriesTotals:
    """What one series measured: the minutes that count, and those this host itself spoiled."""

    clean: Totals = field(default_factory=Totals)
    spoiled: Totals = field(default_factory=Totals)


def minute_row(series: int, window: Window) -> tuple[Any, ...]:
    """A window as the row of its minute, in the order of MINUTE_COLUMNS; shorter windows share one."""
    rtt = window.rtt
    return (
        window.start_s // MINUTE_S * MINUTE_S,
        series,
        1 if window.quality else 0,
        rtt.count,
        rtt.sum_ns,
        rtt.min_ns,
        rtt.max_ns,
        window.judged,
        window.over_limit,
        window.limit_ns,
        window.limit_ns,
        *map(window.outcomes.get, Outcome, _ZEROS),
        encode_flags({flag: (figure, 1) for flag, figure in window.quality.items()}),
        encode_buckets(rtt.buckets),
    )


def coarse_row(start_s: int, series: int, spoiled: int, totals: Totals) -> tuple[Any, ...]:
    """The row of an hour or a day, in the order of COARSE_COLUMNS."""
    rtt = totals.rtt
    return (
        start_s,
        series,
        spoiled,
        rtt.count,
        rtt.sum_ns,
        rtt.min_ns,
        rtt.max_ns,
        totals.judged,
        totals.over_limit,
        totals.limit_low_ns,
        totals.limit_high_ns,
        *map(totals.outcomes.get, Outcome, _ZEROS),
        totals.minutes,
        *msgspec.structs.astuple(totals.counts),
        encode_flags(totals.flags),
        encode_buckets(rtt.buckets),
    )


def totals_by_group(merged: Merged) -> Iterator[tuple[int, Totals]]:
    """Each group's merged numbers as Totals."""
    edges = merged.bucket_edges().tolist()
    index, counts = merged.bucket_index().tolist(), merged.bucket_count.tolist()
    added, lows, highs = merged.added.tolist(), merged.lows.tolist(), merged.highs.tolist()
    for at, (group, sum_ns) in enumerate(zip(merged.group.tolist(), merged.sum_ns.tolist(), strict=True)):
        count, judged, over_limit = added[at][:3]
        low, limit_low = (None if number == NO_LOW else number for number in lows[at])
        high, limit_high = (None if number == NO_HIGH else number for number in highs[at])
        here = slice(edges[at], edges[at + 1])
        buckets = dict(zip(index[here], counts[here], strict=True))
        outcomes = zip(Outcome, added[at][_OUTCOMES], strict=True)
        yield (
            group,
            Totals(
                {outcome: number for outcome, number in outcomes if number},
                _histogram(count, sum_ns, low, high, buckets),
                judged,
                over_limit,
                limit_low,
                limit_high,
                added[at][_MINUTES],
                MinuteCounts(*added[at][_MINUTES + 1 :]),
                merged.flags.get(group, {}),
            ),
        )


def _histogram(
    count: int, sum_ns: float, low: int | None, high: int | None, buckets: dict[int, int]
) -> Histogram:
    if low is None or high is None:
        return Histogram()
    # beyond 2**53 the float may have rounded past what the samples allow
    return Histogram(count, min(max(int(sum_ns), count * low), count * high), low, high, buckets)
