"""The books: every sample becomes counts in the open window and in the running totals. Pure.

The totals feed /metrics and only ever grow; the open window becomes wire Windows when the minute closes.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.probes import PROBES
from agent.sample import Measure, Sample
from agent.wire.batch import Window
from agent.wire.histogram import Histogram
from agent.wire.series import ANSWERED, LOST, Outcome, SeriesKey


@dataclass(slots=True)
class Tally:
    """Counts of one series over some time. limit_ns: the limit that applied to the latest judged sample."""

    outcomes: dict[Outcome, int] = field(default_factory=dict)
    rtt: Histogram = field(default_factory=Histogram)
    times: dict[str, Histogram] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    gauges: dict[str, float] = field(default_factory=dict)
    limit_ns: int | None = None
    judged: int = 0
    over_limit: int = 0

    def add(
        self, sample: Sample, limit_ns: int | None, count: int = 1, measures: tuple[Measure, ...] = ()
    ) -> None:
        """Count a sample; count > 1 only for samples without a time.

        Raises ValueError or TypeError, with nothing counted, for a value that the wire would refuse.
        """
        rtt_ns = sample.rtt_ns
        if rtt_ns is not None and rtt_ns < 0:
            raise ValueError(f"a round-trip time cannot be {rtt_ns} ns")
        found = () if sample.result is None else tuple(_found(sample.result, measures))
        self.outcomes[sample.outcome] = self.outcomes.get(sample.outcome, 0) + count
        for measure, value in found:
            self._keep(measure, value)
        if rtt_ns is None:
            return
        self.rtt.add(rtt_ns)
        if limit_ns is not None:
            self.limit_ns = limit_ns
            self.judged += 1
            self.over_limit += rtt_ns > limit_ns

    def _keep(self, measure: Measure, value: float) -> None:
        if measure.kind == "gauge":
            self.gauges[measure.name] = value
        elif measure.kind == "counter":
            self.counters[measure.name] = self.counters.get(measure.name, 0) + int(value)
        else:
            self.times.setdefault(measure.name, Histogram()).add(int(value))


def _found(result: Mapping[str, Any], measures: tuple[Measure, ...]) -> Iterator[tuple[Measure, float]]:
    """The measures that the sample has, as finite numbers: gauges as float, counters and times as int."""
    for measure in measures:
        value = result.get(measure.name)
        if value is None:
            continue
        number = float(value) if measure.kind == "gauge" else int(value)
        if not math.isfinite(number) or (measure.kind != "gauge" and number < 0):
            raise ValueError(f"{measure.name} cannot be {value}")
        yield measure, number


class Ledger:
    """All series of this node: the open window of each, and its totals since the agent started."""

    def __init__(self) -> None:
        self.totals: dict[SeriesKey, Tally] = {}
        self._open: dict[SeriesKey, Tally] = {}

    def expect(self, series: SeriesKey) -> None:
        """Open a series' totals, before its first sample, so that its counters start at 0 rather than at 1."""
        self.totals.setdefault(series, Tally())

    def record(self, series: SeriesKey, sample: Sample, limit_ns: int | None, count: int = 1) -> None:
        """Count a sample in the open window, and in the totals unless the series has left meanwhile.

        Raises ValueError or TypeError, with nothing counted, for a sample with impossible numbers.
        """
        tally = self._open.get(series) or Tally()
        measures = PROBES[series.probe].measures
        tally.add(sample, limit_ns, count, measures)
        self._open[series] = tally
        total = self.totals.get(series)
        if total is not None:
            total.add(sample, limit_ns, count, measures)

    def probe_counts(self) -> tuple[int, int]:
        """(lost, answered) probes of all series since the start; they fall when a series leaves."""
        outcomes = [tally.outcomes for tally in self.totals.values()]
        lost, answered = (
            sum(counts.get(outcome, 0) for counts in outcomes for outcome in kinds)
            for kinds in (LOST, ANSWERED)
        )
        return lost, answered

    def close_window(self, start_s: int, length_s: int, quality: dict[str, float]) -> list[Window]:
        """The open window's series as wire windows, in series order; a new window is open after."""
        closed, self._open = self._open, {}
        return list(_windows(closed, start_s, length_s, quality))

    def keep_only(self, series: Iterable[SeriesKey]) -> None:
        """Drop the totals of series that are not measured any more. Their open window still closes as usual."""
        wanted = set(series)
        self.totals = {series: tally for series, tally in self.totals.items() if series in wanted}


def _windows(
    tallies: dict[SeriesKey, Tally], start_s: int, length_s: int, quality: dict[str, float]
) -> Iterator[Window]:
    for series in sorted(tallies):
        tally = tallies[series]
        yield Window(
            series=series,
            start_s=start_s,
            length_s=length_s,
            outcomes=tally.outcomes,
            rtt=tally.rtt,
            limit_ns=tally.limit_ns,
            times=tally.times,
            counters=tally.counters,
            gauges=tally.gauges,
            judged=tally.judged,
            over_limit=tally.over_limit,
            quality=quality,
        )
