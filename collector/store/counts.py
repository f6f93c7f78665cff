"""Samples judged and over the limit, added up by series without their histograms: what a budget is made of."""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.wire.series import ANSWERED, LOST
from collector.store.query import selection
from collector.store.tiers import Span

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
