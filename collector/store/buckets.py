"""A histogram's buckets as bytes: per bucket a signed 16-bit index and an unsigned 32-bit count, little-endian.

Six bytes a bucket, in order of the index: a minute of six samples takes at most 36 bytes, and numpy reads many
rows' bytes at once. Counts cannot overflow: see schema.MOST_SAMPLES_PER_MINUTE.
"""

import struct
from collections.abc import Mapping
from functools import cache

import numpy as np

BUCKET = np.dtype([("index", "<i2"), ("count", "<u4")])
BUCKET_BYTES = 6


@cache
def _layout(buckets: int) -> struct.Struct:
    return struct.Struct("<" + "hI" * buckets)


def encode_buckets(buckets: Mapping[int, int]) -> bytes:
    """Bucket counts as bytes. Raises struct.error when an index or a count does not fit."""
    flat = [number for item in sorted(buckets.items()) for number in item]
    return _layout(len(buckets)).pack(*flat)


def decode_buckets(data: bytes) -> dict[int, int]:
    """Bucket counts by index. Raises ValueError when the length is no whole number of buckets."""
    array = np.frombuffer(data, BUCKET)
    return dict(zip(array["index"].tolist(), array["count"].tolist(), strict=True))


def merge_encoded(one: bytes, other: bytes) -> bytes:
    """Both rows' counts, added."""
    merged = decode_buckets(one)
    for index, count in decode_buckets(other).items():
        merged[index] = merged.get(index, 0) + count
    return encode_buckets(merged)
