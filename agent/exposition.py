"""The mesh's metric families as exposition text, rendered from templates. Pure.

prometheus-client needs about 10 µs for each line and blocks the loop meanwhile; one %-template per series,
made once, needs 0.2 µs. Series of peers that left are not in the totals any more, so they are not here.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from agent.ledger import Tally
from agent.probes import PROBES
from agent.sample import Measure
from agent.wire.assignment import Peer
from agent.wire.histogram import BUCKETS_PER_DOUBLING, HIGHEST_INDEX, LOWEST_INDEX, Histogram
from agent.wire.series import Outcome, SeriesKey

CLASSIC_EXPONENTS = range(-13, 2)
"""Classic buckets end at 2**k seconds, 122 µs … 2 s: every one a bound of the wire's own buckets, so counts are exact."""

_BOUNDS = tuple(2.0**exponent for exponent in CLASSIC_EXPONENTS)


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family. kind: counter, gauge or histogram; a counter's name has no _total here."""

    name: str
    kind: str
    help: str


RTT = Family("lightfloor_probe_rtt_seconds", "histogram", "Round-trip time of answered probes.")
OUTCOMES = Family(
    "lightfloor_probe_outcomes", "counter", "Probes by how they ended; each scheduled probe ends once."
)
OVER_LIMIT = Family(
    "lightfloor_probe_over_limit", "counter", "Round-trip times above the limit of their path."
)
JUDGED = Family(
    "lightfloor_probe_judged", "counter", "Round-trip times compared with the limit of their path."
)
FLOOR = Family(
    "lightfloor_path_floor_seconds", "gauge", "Round trip of light in fibre over the path's great circle."
)
LIMIT = Family("lightfloor_path_limit_seconds", "gauge", "Round-trip time that the SLA allows on the path.")
DELAY = Family(
    "lightfloor_schedule_delay_seconds", "histogram", "How late the agent woke for its own probes."
)
MESH_FAMILIES = (RTT, OUTCOMES, OVER_LIMIT, JUDGED, FLOOR, LIMIT, DELAY)


def labels(**values: str) -> str:
    """`a="x",b="y"` with the text format's escapes."""
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in values.items())


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


class Exposition:
    """Renders the mesh families; keeps one set of templates for each series that is there."""

    def __init__(self) -> None:
        self._templates: dict[SeriesKey, _Templates] = {}

    def render(
        self,
        totals: Mapping[SeriesKey, Tally],
        peers: Iterable[Peer],
        delays: Histogram,
        *,
        openmetrics: bool,
    ) -> bytes:
        """All mesh families in text format 0.0.4, or OpenMetrics 1.0 without its closing `# EOF`."""
        rows = [(self._template(series), tally) for series, tally in totals.items()]
        if len(self._templates) > len(totals):
            self._templates = {series: self._templates[series] for series in totals}
        peers = list(peers)
        lines: list[str] = []

        def family(kind: Family, samples: Iterator[str]) -> None:
            name = kind.name if openmetrics or kind.kind != "counter" else f"{kind.name}_total"
            lines.append(f"# HELP {name} {kind.help}\n# TYPE {name} {kind.kind}\n")
            lines.extend(samples)

        family(RTT, (template.rtt % _histogram_values(tally.rtt) for template, tally in rows))
        family(OUTCOMES, (template.outcomes(tally.outcomes) for template, tally in rows))
        family(OVER_LIMIT, (template.over_limit % tally.over_limit for template, tally in rows))
        family(JUDGED, (template.judged % tally.judged for template, tally in rows))
        for probe in PROBES:
            own = [row for row, series in zip(rows, totals, strict=True) if series.probe == probe]
            for measure in PROBES[probe].measures:
                kind = _family_of(measure)
                family(kind, _measured(kind, measure, own))
        family(FLOOR, _path_gauge(FLOOR, peers, lambda peer: peer.floor_seconds))
        family(LIMIT, _path_gauge(LIMIT, peers, lambda peer: peer.limit_seconds))
        family(DELAY, iter([_histogram_template(DELAY.name, "") % _histogram_values(delays)]))
        return "".join(lines).encode()

    @staticmethod
    def buckets(
        totals: Mapping[SeriesKey, Tally], delays: Histogram
    ) -> dict[tuple[str, str], dict[int, int]]:
        """The wire's own buckets of every histogram that render shows: (family, labels as there) → a copy of them."""
        found = {(DELAY.name, ""): dict(delays.buckets)}
        for series, tally in totals.items():
            own = labels(destination=series.destination, family=series.family)
            common = labels(destination=series.destination, probe=series.probe, family=series.family)
            found[RTT.name, common] = dict(tally.rtt.buckets)
            for measure in PROBES[series.probe].measures:
                if measure.name in tally.times:
                    found[measure.metric, own] = dict(tally.times[measure.name].buckets)
        return found

    def _template(self, series: SeriesKey) -> "_Templates":
        template = self._templates.get(series)
        if template is None:
            template = self._templates[series] = _Templates(series)
        return template


class _Templates:
    """The lines of one series with its labels filled in and its numbers left open."""

    __slots__ = ("_histograms", "_outcome", "judged", "over_limit", "own", "rtt")

    def __init__(self, series: SeriesKey) -> None:
        common = labels(destination=series.destination, probe=series.probe, family=series.family).replace(
            "%", "%%"
        )
        self.own = labels(destination=series.destination, family=series.family)
        self._histograms: dict[str, str] = {}
        self.rtt = _histogram_template(RTT.name, common + ",")
        self.over_limit = f"{OVER_LIMIT.name}_total{{{common}}} %d\n"
        self.judged = f"{JUDGED.name}_total{{{common}}} %d\n"
        self._outcome = f'{OUTCOMES.name}_total{{{common},outcome="%s"}} %d\n'

    def histogram(self, name: str) -> str:
        """The template of one of the probe's own times; made when the first one is there."""
        template = self._histograms.get(name)
        if template is None:
            template = self._histograms[name] = _histogram_template(name, self.own.replace("%", "%%") + ",")
        return template

    def outcomes(self, counts: Mapping[Outcome, int]) -> str:
        line = self._outcome
        shown = counts if Outcome.OK in counts else {Outcome.OK: 0, **counts}
        return "".join([line % pair for pair in shown.items()])


def _histogram_template(name: str, prefix: str) -> str:
    own = f"{{{prefix.rstrip(',')}}}" if prefix else ""
    buckets = "".join(f'{name}_bucket{{{prefix}le="{bound!r}"}} %d\n' for bound in _BOUNDS)
    return f'{buckets}{name}_bucket{{{prefix}le="+Inf"}} %d\n{name}_count{own} %d\n{name}_sum{own} %r\n'


def _slot(index: int) -> int:
    """Which classic bucket, or the one after the last, holds a bucket of the wire."""
    octave = index // BUCKETS_PER_DOUBLING + 1 - CLASSIC_EXPONENTS.start
    return min(max(octave, 0), len(_BOUNDS))


_SLOTS = bytes(_slot(index) for index in range(LOWEST_INDEX, HIGHEST_INDEX + 1))


def _histogram_values(histogram: Histogram) -> tuple[float, ...]:
    """Cumulative classic counts, +Inf, count and sum, in the template's order."""
    counts = [0] * (len(_BOUNDS) + 1)
    for index, count in histogram.buckets.items():
        counts[_SLOTS[index - LOWEST_INDEX]] += count
    return (*accumulate(counts), histogram.count, histogram.sum_ns / 1e9)


def _family_of(measure: Measure) -> Family:
    """A probe's own measure as a family. A time's family is a histogram, named in seconds."""
    kinds = {"gauge": "gauge", "counter": "counter", "time": "histogram"}
    return Family(measure.metric.removesuffix("_total"), kinds[measure.kind], measure.help)


def _measured(family: Family, measure: Measure, rows: Iterable[tuple["_Templates", Tally]]) -> Iterator[str]:
    for template, tally in rows:
        if measure.kind == "gauge" and measure.name in tally.gauges:
            yield f"{family.name}{{{template.own}}} {tally.gauges[measure.name]!r}\n"
        elif measure.kind == "counter":
            yield f"{family.name}_total{{{template.own}}} {tally.counters.get(measure.name, 0)}\n"
        elif measure.name in tally.times:
            yield template.histogram(family.name) % _histogram_values(tally.times[measure.name])


def _path_gauge(
    family: Family, peers: Iterable[Peer], value: Callable[[Peer], float | None]
) -> Iterator[str]:
    for peer in peers:
        seconds = value(peer)
        if seconds is not None:
            yield f"{family.name}{{{_destination(peer.name)}}} {seconds!r}\n"


@lru_cache(maxsize=4096)
def _destination(name: str) -> str:
    return labels(destination=name)
