"""Merging many stored rows into few, with numpy: what roll-up and every question about a period have in common.

Rows come from SQL as merge_columns and go into groups named by an integer. Merging is associative, so that any
number of rows passes through in chunks of bounded size. Pure.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.wire.series import ANSWERED, LOST
from collector.store.buckets import BUCKET, BUCKET_BYTES
from collector.store.quality import Flags, add_flags, decode_flags
from collector.store.schema import COUNT_COLUMNS, OUTCOME_COLUMNS

Ints = NDArray[np.int64]

ADDED = ("count", "judged", "over_limit", *OUTCOME_COLUMNS, "minutes", *COUNT_COLUMNS)
LOWS = ("min_ns", "limit_low_ns")
HIGHS = ("max_ns", "limit_high_ns")
NO_LOW, NO_HIGH = 2**62, -1

_ANSWERED = " + ".join(sorted(ANSWERED))
_LOST = " + ".join(sorted(LOST))
OF_A_MINUTE = {
    "minutes": "1",
    "measured": f"{_ANSWERED} + {_LOST} > 0",
    "available": f"{_ANSWERED} > 0",
    "judged_minutes": "judged > 0",
    "judged_squared": "judged * judged",
    "judged_times_over": "judged * over_limit",
    "over_squared": "over_limit * over_limit",
    "sent_squared": f"({_ANSWERED} + {_LOST}) * ({_ANSWERED} + {_LOST})",
    "sent_times_lost": f"({_ANSWERED} + {_LOST}) * ({_LOST})",
    "lost_squared": f"({_LOST}) * ({_LOST})",
}
"""What MinuteCounts.add would add for one minute row."""


def merge_columns(tier: str) -> str:
    """The SELECT list of that tier that merge_rows understands."""
    added = [OF_A_MINUTE.get(column, column) if tier == "minute" else column for column in ADDED]
    lows = [f"ifnull({column}, {NO_LOW})" for column in LOWS]
    highs = [f"ifnull({column}, {NO_HIGH})" for column in HIGHS]
    return ", ".join(
        ("start_s", "series", "spoiled", "histogram", "quality", "sum_ns", *added, *lows, *highs)
    )


BUCKET_KEYS = 2048  # > HIGHEST_INDEX − LOWEST_INDEX
BUCKET_OFFSET = 1024  # > −LOWEST_INDEX

GroupOf = Callable[[Ints, Ints, Ints], Ints]
"""(start_s, series, spoiled) of rows → the group each belongs to, ≥ 0 and < 2**51."""


@dataclass(frozen=True, slots=True)
class Merged:
    """Groups in ascending order. added, lows, highs: one row per group, columns as ADDED, LOWS and HIGHS.

    sum_ns is float64: exact below 2**53 ns (104 days of summed round trips). bucket_key = group × BUCKET_KEYS +
    bucket index + BUCKET_OFFSET, ascending, each once. flags: only groups that have some.
    """

    group: Ints
    sum_ns: NDArray[np.float64]
    added: Ints
    lows: Ints
    highs: Ints
    bucket_key: Ints
    bucket_count: Ints
    flags: dict[int, Flags]

    def bucket_edges(self) -> Ints:
        """Positions in bucket_key at which each group starts, and the end: len(group) + 1 numbers."""
        starts = np.searchsorted(self.bucket_key, self.group * BUCKET_KEYS)
        return np.append(starts, len(self.bucket_key)).astype(np.int64)

    def bucket_index(self) -> Ints:
        """Histogram index of each entry of bucket_key."""
        return self.bucket_key % BUCKET_KEYS - BUCKET_OFFSET


def merge_rows(chunks: Iterable[list[Any]], group_of: GroupOf) -> Merged:
    """All rows of all chunks, merged by group. A row is a tuple of merge_columns."""
    merged = _nothing()
    for rows in chunks:
        merged = _reduce([merged, _arrays(rows, group_of)])
    return merged


def _nothing() -> Merged:
    none = np.empty(0, np.int64)
    return Merged(
        none,
        none.astype(np.float64),
        np.empty((0, len(ADDED)), np.int64),
        np.empty((0, len(LOWS)), np.int64),
        np.empty((0, len(HIGHS)), np.int64),
        none,
        none,
        {},
    )


def _arrays(rows: list[Any], group_of: GroupOf) -> Merged:
    """Rows as arrays, groups not yet merged nor in order."""
    columns = list(zip(*rows, strict=True))
    numbers = np.array(columns[5:], np.int64).T
    start, series, spoiled = (np.array(column, np.int64) for column in columns[:3])
    group = group_of(start, series, spoiled)
    blobs = columns[3]
    buckets = np.frombuffer(b"".join(blobs), BUCKET)
    owner = np.repeat(group, [len(blob) // BUCKET_BYTES for blob in blobs])
    flags: dict[int, Flags] = {}
    for name, text in zip(group.tolist(), columns[4], strict=True):
        if text is not None:
            add_flags(flags.setdefault(name, {}), decode_flags(text))
    lows = 1 + len(ADDED)
    highs = lows + len(LOWS)
    return Merged(
        group,
        numbers[:, 0].astype(np.float64),
        numbers[:, 1:lows],
        numbers[:, lows:highs],
        numbers[:, highs:],
        owner * BUCKET_KEYS + buckets["index"] + BUCKET_OFFSET,
        buckets["count"].astype(np.int64),
        flags,
    )


def _reduce(parts: list[Merged]) -> Merged:
    """Parts joined, each group and each bucket once, in order."""
    group = np.concatenate([part.group for part in parts])
    if not len(group):
        return _nothing()
    order = np.argsort(group, kind="stable")
    group, edges = _runs(group[order])
    bucket_key = np.concatenate([part.bucket_key for part in parts])
    bucket_count = np.concatenate([part.bucket_count for part in parts])
    if len(bucket_key):
        bucket_order = np.argsort(bucket_key, kind="stable")
        bucket_key, bucket_edges = _runs(bucket_key[bucket_order])
        bucket_count = np.add.reduceat(bucket_count[bucket_order], bucket_edges)
    flags: dict[int, Flags] = {}
    for part in parts:
        for name, more in part.flags.items():
            add_flags(flags.setdefault(name, {}), more)
    return Merged(
        group,
        np.add.reduceat(np.concatenate([part.sum_ns for part in parts])[order], edges),
        np.add.reduceat(np.concatenate([part.added for part in parts])[order], edges, axis=0),
        np.minimum.reduceat(np.concatenate([part.lows for part in parts])[order], edges, axis=0),
        np.maximum.reduceat(np.concatenate([part.highs for part in parts])[order], edges, axis=0),
        bucket_key,
        bucket_count,
        flags,
    )


def _runs(ordered: Ints) -> tuple[Ints, Ints]:
    """Distinct values of an ordered array, and where each run of equals starts."""
    edges = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    return ordered[edges], edges
