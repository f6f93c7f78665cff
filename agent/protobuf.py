"""A page of metrics as Prometheus' protobuf exposition, with native histograms beside the classic ones. Pure.

Made from the text page, so that both formats always say the same; only what the text cannot carry, the wire's own
buckets, comes beside it. Messages: io.prometheus.client in github.com/prometheus/client_model, metrics.proto;
encoding: protobuf.dev/programming-guides/encoding; each family is preceded by its length ("delimited").
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from struct import Struct

from agent.wire.histogram import SCALE

MEDIA_TYPE = "application/vnd.google.protobuf"
CONTENT_TYPE = f"{MEDIA_TYPE}; proto=io.prometheus.client.MetricFamily; encoding=delimited"
ZERO_THRESHOLD_SECONDS = 2.0**-128
"""Prometheus' own default. Above 0 it marks a histogram as native even before its first sample."""

NativeBuckets = Mapping[tuple[str, str], Mapping[int, int]]
"""(family name, labels as in the text) → the histogram's buckets by index of the wire."""

_TYPES = {"counter": 0, "gauge": 1, "untyped": 3, "histogram": 4}
_VALUE_FIELDS = {"counter": 3, "gauge": 2, "untyped": 5}
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPES = {r"\\": "\\", r"\"": '"', r"\n": "\n"}
_DOUBLE = Struct("<d")


@dataclass(slots=True)
class _Family:
    """One family of the text page. rows: (suffix of the name, labels, value)."""

    name: str
    help: str
    kind: str = "untyped"
    rows: list[tuple[str, str, str]] = field(default_factory=list)


def is_preferred(accept: str) -> bool:
    """Whether this Accept header (RFC 9110 section 12.5.1) ranks delimited protobuf at least as high as all else."""
    weights: dict[bool, float] = {True: 0.0, False: 0.0}
    for part in accept.split(","):
        media, *parameters = (piece.strip().lower() for piece in part.split(";"))
        stated = dict(each.partition("=")[::2] for each in parameters)
        try:
            weight = float(stated.get("q", "1"))
        except ValueError:
            weight = 0.0
        ours = (
            media == MEDIA_TYPE
            and stated.get("proto") == "io.prometheus.client.metricfamily"
            and stated.get("encoding") == "delimited"
        )
        weights[ours] = max(weights[ours], weight)
    return weights[True] > 0 and weights[True] >= weights[False]


def delimited(page: str, native: NativeBuckets) -> bytes:
    """The text page (format 0.0.4, `le` the last label of a bucket) as delimited MetricFamily messages."""
    return b"".join(_prefixed(_family(family, native)) for family in _families(page))


def _families(page: str) -> Iterator[_Family]:
    family: _Family | None = None
    for line in page.splitlines():
        if line.startswith("# HELP "):
            if family is not None and family.rows:
                yield family
            name, _, words = line[7:].partition(" ")
            family = _Family(name, _unescaped(words))
        elif family is not None and line.startswith("# TYPE "):
            family.kind = line.rpartition(" ")[2]
        elif family is not None and line:
            series, _, value = line.rpartition(" ")
            name, _, labels = series.partition("{")
            family.rows.append((name[len(family.name) :], labels.removesuffix("}"), value))
    if family is not None and family.rows:
        yield family


def _family(family: _Family, native: NativeBuckets) -> bytes:
    metrics = _histograms(family, native) if family.kind == "histogram" else _plain(family)
    return (
        _message(1, family.name.encode())
        + _message(2, family.help.encode())
        + _integer(3, _TYPES[family.kind])
        + b"".join(_message(4, metric) for metric in metrics)
    )


def _plain(family: _Family) -> Iterator[bytes]:
    number = _VALUE_FIELDS[family.kind]
    for _, labels, value in family.rows:
        yield _labels(labels) + _message(number, _double(1, float(value)))


def _histograms(family: _Family, native: NativeBuckets) -> Iterator[bytes]:
    """A histogram's lines stand together: buckets in order, then count and sum."""
    buckets, count = b"", 0
    for suffix, labels, value in family.rows:
        if suffix == "_bucket":
            bound = float(labels.rpartition('le="')[2].removesuffix('"'))
            buckets += _message(3, _integer(1, int(value)) + _double(2, bound))
        elif suffix == "_count":
            count = int(value)
        else:
            body = _integer(1, count) + _double(2, float(value)) + buckets
            own = native.get((family.name, labels))
            yield _labels(labels) + _message(7, body + (b"" if own is None else _native(own)))
            buckets = b""


def _native(buckets: Mapping[int, int]) -> bytes:
    """Schema, zero bucket, spans and deltas. The wire's bucket i is Prometheus' i + 1: its upper bound is base**(i + 1)."""
    indexes = sorted(buckets)
    body = _integer(5, _zigzag(SCALE)) + _double(6, ZERO_THRESHOLD_SECONDS) + _integer(7, 0)
    end = -1
    for _, run in groupby(enumerate(indexes), lambda pair: pair[1] - pair[0]):
        span = [index for _, index in run]
        body += _message(12, _integer(1, _zigzag(span[0] - end)) + _integer(2, len(span)))
        end = span[-1] + 1
    counts = [buckets[index] for index in indexes]
    deltas = (after - before for before, after in zip([0, *counts], counts, strict=False))
    return body + _message(13, b"".join(map(_varint, map(_zigzag, deltas))))


@lru_cache(maxsize=16384)
def _labels(text: str) -> bytes:
    return _pairs(_LABEL.findall(text))


def _pairs(pairs: Iterable[tuple[str, str]]) -> bytes:
    return b"".join(
        _message(1, _message(1, name.encode()) + _message(2, _unescaped(value).encode()))
        for name, value in pairs
    )


def _unescaped(text: str) -> str:
    return re.sub(r"\\.", lambda found: _ESCAPES.get(found[0], found[0]), text) if "\\" in text else text


def _prefixed(body: bytes) -> bytes:
    return _varint(len(body)) + body


def _message(number: int, body: bytes) -> bytes:
    """A length-delimited field."""
    return _varint(number << 3 | 2) + _prefixed(body)


def _integer(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _double(number: int, value: float) -> bytes:
    return _varint(number << 3 | 1) + _DOUBLE.pack(value)


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
