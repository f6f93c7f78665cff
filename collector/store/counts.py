"""Samples judged and over the limit, added up by series without their histograms."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agent.wire.series import ANSWERED, LOST
from collector.store.merge import OF_A_MINUTE
from collector.store.query import selection
from collector.store.tiers import Span

_SUMMED = ("judged", "over_limit", "judged_minutes", "judged_squared", "judged_times_over", "over_squared")
_OF_LIMIT: dict[str, Mapping[str, str]] = {"minute": OF_A_MINUTE, "hour": {}, "day": {}}
_ANSWERED, _LOST = " + ".join(sorted(ANSWERED)), " + ".join(sorted(LOST))


@dataclass(frozen=True, slots=True)
class SeriesCounts:
    """Of clean minutes: samples judged, those over the limit, probes by how they ended. results: rows, spoiled ones too."""

    judged: int = 0
    over_limit: int = 0
    answered: int = 0
    lost: int = 0
    results: int = 0

    def __add__(self, other: "SeriesCounts") -> "SeriesCounts":
        return SeriesCounts(
            self.judged + other.judged,
            self.over_limit + other.over_limit,
            self.answered + other.answered,
            self.lost + other.lost,
            self.results + other.results,
        )


@dataclass(frozen=True, slots=True)
class LimitCounts:
    """Clean samples of rows that were judged by limits from low_ns to high_ns, with the sums over their minutes."""

    low_ns: int
    high_ns: int
    judged: int
    over_limit: int
    judged_minutes: int
    judged_squared: int
    judged_times_over: int
    over_squared: int


def counts_by_limit(
    connection: sqlite3.Connection, spans: Iterable[Span], series: Sequence[int]
) -> dict[int, list[LimitCounts]]:
    """By series id, one for each pair of lowest and highest limit that rows of a span have; rows without one are left out."""
    found: dict[int, list[LimitCounts]] = {}
    for span in spans:
        named = [f"{_OF_LIMIT[span.tier].get(name, name)} AS {name}" for name in _SUMMED]
        rows, values = selection(
            f"series, spoiled, limit_low_ns, limit_high_ns, {', '.join(named)}", span, series
        )
        summed = connection.execute(
            f"SELECT series, limit_low_ns, limit_high_ns, {', '.join(f'SUM({name})' for name in _SUMMED)} FROM ({rows})"
            " WHERE NOT spoiled AND limit_low_ns IS NOT NULL GROUP BY series, limit_low_ns, limit_high_ns",
            values,
        )
        for number, *counts in summed:
            found.setdefault(number, []).append(LimitCounts(*counts))
    return found


def series_counts(
    connection: sqlite3.Connection, spans: Iterable[Span], series: Sequence[int] | None = None
) -> dict[int, SeriesCounts]:
    """By series id, over these spans; of these series only, or of all with a row."""
    found: dict[int, SeriesCounts] = {}
    columns = f"series, 1 - spoiled AS counts, judged, over_limit, {_ANSWERED} AS answered, {_LOST} AS lost"
    for span in spans:
        rows, values = selection(columns, span, series)
        summed = connection.execute(
            "SELECT series, SUM(counts * judged), SUM(counts * over_limit), SUM(counts * answered),"
            f" SUM(counts * lost), SUM(1) FROM ({rows}) GROUP BY series",
            values,
        )
        for number, *counts in summed:
            found[number] = found.get(number, SeriesCounts()) + SeriesCounts(*counts)
    return found
