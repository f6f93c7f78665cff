"""A CSV of measured pairs (a public latency matrix) to paths with floors. Pure: text in, rows or one error out."""

import csv
import io
import math

from collector.calibrate import PairTimes
from collector.floor import Coordinates, floor_between

COLUMNS = (
    "source",
    "destination",
    "source_latitude",
    "source_longitude",
    "destination_latitude",
    "destination_longitude",
    "min_ms",
    "p99_ms",
)
"""Columns that must be there, in any order; others are ignored."""


class PairsError(ValueError):
    """A CSV that is not a list of pairs. The message says file, line, column and what is wrong."""


def parse_pairs(text: str, where: str, uncertainty_km: float) -> list[PairTimes]:
    """The rows of a CSV with a header line. uncertainty_km: of every coordinate in it. Raises PairsError."""
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(header, where)
        rows = [
            _row(header, fields, f"{where}: line {reader.line_num}", uncertainty_km)
            for fields in reader
            if fields
        ]
    except csv.Error as error:
        raise PairsError(f"{where}: line {reader.line_num}: not CSV: {error}") from error
    if not rows:
        raise PairsError(f"{where}: there is a header but no pair under it")
    return rows


def _check_header(header: list[str], where: str) -> None:
    if not header:
        raise PairsError(f"{where}: the file is empty; it needs a header line: {','.join(COLUMNS)}")
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise PairsError(
            f"{where}: line 1: missing column {', '.join(missing)}; needed: {', '.join(COLUMNS)}"
        )
    twice = [name for name in COLUMNS if header.count(name) > 1]
    if twice:
        raise PairsError(f"{where}: line 1: column {', '.join(twice)} stands twice")


def _row(header: list[str], fields: list[str], line: str, uncertainty_km: float) -> PairTimes:
    if len(fields) != len(header):
        raise PairsError(f"{line}: {len(fields)} fields, but the header names {len(header)} columns")
    row = dict(zip(header, fields, strict=True))
    for name in ("source", "destination"):
        if not row[name].strip():
            raise PairsError(f"{line}, column {name}: empty; the name of a place is needed")
    from_place, to_place = (
        Coordinates(
            _number(row, f"{end}_latitude", line, -90, 90),
            _number(row, f"{end}_longitude", line, -180, 180),
            uncertainty_km,
        )
        for end in ("source", "destination")
    )
    min_ms, p99_ms = (_number(row, name, line, 0, math.inf) for name in ("min_ms", "p99_ms"))
    if min_ms > p99_ms:
        raise PairsError(f"{line}, column p99_ms: {p99_ms:g} is smaller than min_ms {min_ms:g}")
    return PairTimes(
        source=row["source"].strip(),
        destination=row["destination"].strip(),
        floor=floor_between(from_place, to_place),
        min_seconds=min_ms / 1000,
        p99_seconds=p99_ms / 1000,
        from_place=from_place,
        to_place=to_place,
    )


def _number(row: dict[str, str], name: str, line: str, low: float, high: float) -> float:
    try:
        value = float(row[name])
    except ValueError:
        raise PairsError(f"{line}, column {name}: not a number: {row[name][:40]!r}") from None
    if not math.isfinite(value) or not low <= value <= high:
        bounds = f"between {low:g} and {high:g}" if math.isfinite(high) else f"at least {low:g}"
        raise PairsError(f"{line}, column {name}: {value:g} is not a number {bounds}")
    return value
