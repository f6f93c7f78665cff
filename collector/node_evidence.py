"""What the store knows of every node, as the rules of agent.advice want it: facts, counters, and its measured paths."""

import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agent.advice.evidence import Counted, Evidence, PathEvidence
from agent.wire.batch import Fact
from agent.wire.series import ANSWERED, LOST, Outcome, SeriesKey
from collector.fleet import Fleet
from collector.standing import announced_in
from collector.store.evidence import StoredEvent, latest_events, load_facts
from collector.store.measures import MeasureKey, MeasureTotals, load_measure_sums, load_measures
from collector.store.query import coverage, load
from collector.store.schema import MINUTE_S
from collector.store.tiers import Period, plan, widen
from collector.store.totals import SeriesTotals, Totals

TIMED_PROBES = ("udp", "syn", "tcp", "icmp")
"""Whose round trips stand for a path, the first that measured it; the same order as on a node without a collector."""
PORT_PROBES = ("tcp", "syn")
TEST = "own_test_seconds"
LEAST_LOADED_SAMPLES = 5
TLS_TIME = "tls_handshake_ns"
OF_A_PATH = {
    "path_mtu_bytes": "path_mtu_bytes",
    "interface_mtu_bytes": "interface_mtu_bytes",
    "tcp_mss_bytes": "tcp_mss_bytes",
    "segments_sent": "segments_sent",
    "segments_retransmitted": "segments_retransmitted",
    "bytes_sent": "bytes_sent",
    "bytes_retransmitted": "bytes_retransmitted",
}
"""Measures that stand in PathEvidence as whole numbers, by name there."""
FLAGS_OF_A_PATH = {
    "black_hole": "black_hole",
    "icmp_seen": "icmp_seen",
    "tls_resumed": "resumed",
    "nat": "nat",
}
SECONDS_OF_A_PATH = {
    "busy_seconds": "busy_us",
    "rwnd_limited_seconds": "rwnd_limited_us",
    "sndbuf_limited_seconds": "sndbuf_limited_us",
}

PathKey = tuple[str, str, str]
"""(source, destination, family)."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """Everything the store said of the period, by path where it is of a path."""

    period: Period
    series: Mapping[PathKey, Mapping[str, SeriesTotals]]
    measures: Mapping[PathKey, Mapping[tuple[str, str], MeasureTotals]]
    handshakes: Mapping[PathKey, MeasureTotals]
    routes: Mapping[PathKey, tuple[int, StoredEvent]]
    tls: Mapping[PathKey, tuple[int, StoredEvent]]


def evidence_of_nodes(connection: sqlite3.Connection, fleet: Fleet, period: Period) -> dict[str, Evidence]:
    """Evidence of every node of the fleet file over the period, by name. Raises sqlite3.Error.

    Facts are the latest, whenever they were told; a certificate's key is as last told, too.
    """
    facts = _facts(connection, fleet)
    found = _stored(connection, fleet, period)
    paths: dict[str, list[PathEvidence]] = defaultdict(list)
    for key in sorted(found.series.keys() | found.measures.keys()):
        if key[0] in facts and key[0] != key[1]:
            paths[key[0]].append(_path(fleet, found, key))
    return {
        node: Evidence(node, own, _counted(found, node), tuple(paths[node])) for node, own in facts.items()
    }


def _facts(connection: sqlite3.Connection, fleet: Fleet) -> dict[str, dict[str, Fact]]:
    facts: dict[str, dict[str, Fact]] = {name: {} for name in fleet.nodes}
    for stored in load_facts(connection):
        if stored.node in facts:
            facts[stored.node][stored.fact.name] = stored.fact
    return facts


def _stored(connection: sqlite3.Connection, fleet: Fleet, period: Period) -> _Stored:
    period, loaded = load(connection, period, announced_in(connection, fleet, period).cuts)
    held = coverage(connection)
    spans = plan(widen(period, held), held)
    series: dict[PathKey, dict[str, SeriesTotals]] = defaultdict(dict)
    for key, totals in loaded.items():
        here = series[key.source, key.destination, key.family]
        before = here.get(key.probe)
        if before is None or _samples(totals) > _samples(before):
            here[key.probe] = totals
    measures: dict[PathKey, dict[tuple[str, str], MeasureTotals]] = defaultdict(dict)
    for measure, sums in load_measure_sums(connection, spans).items():
        measures[_path_key(measure)][measure.probe, measure.name] = sums
    handshakes = load_measures(connection, spans, TLS_TIME)
    return _Stored(
        period,
        series,
        measures,
        {_path_key(key): totals for key, totals in handshakes.items()},
        latest_events(connection, "route_changed", period),
        latest_events(connection, "tls", Period(0, period.end_s)),
    )


def _samples(totals: SeriesTotals) -> int:
    return sum(totals.clean.outcomes.values())


def _path_key(key: SeriesKey | MeasureKey) -> PathKey:
    return key.source, key.destination, key.family


def _counted(found: _Stored, node: str) -> Counted | None:
    """The series of kind kernel, which goes from the node to itself."""
    own = {
        name: totals
        for (probe, name), totals in found.measures.get((node, node, "ipv4"), {}).items()
        if probe == "kernel"
    }
    if not own:
        return None
    gauges = {name: totals for name, totals in own.items() if totals.low is not None}
    return Counted(
        "counted by the node's kernel",
        found.period.start_s,
        found.period.end_s,
        {name: int(totals.value or 0) for name, totals in own.items() if name not in gauges},
        {name: totals.value for name, totals in gauges.items() if totals.value is not None},
        {name: totals.high for name, totals in gauges.items() if totals.high is not None},
    )


def _path(fleet: Fleet, found: _Stored, key: PathKey) -> PathEvidence:
    source, destination, family = key
    series, measures = found.series.get(key, {}), found.measures.get(key, {})
    probe, totals = _standing_for(series)
    rtt = totals.rtt
    p50_ns, p99_ns = rtt.quantile_ns(0.5), rtt.quantile_ns(0.99)
    there = fleet.nodes.get(destination)
    return PathEvidence(
        destination=destination,
        family=family,
        address=None if there is None else getattr(there, family),
        probe=probe,
        start_s=found.period.start_s,
        end_s=found.period.end_s,
        samples=rtt.count,
        answered=sum(totals.outcomes.get(outcome, 0) for outcome in ANSWERED),
        lost=sum(totals.outcomes.get(outcome, 0) for outcome in LOST),
        min_ns=rtt.min_ns,
        p50_ns=None if p50_ns is None else round(p50_ns),
        p99_ns=None if p99_ns is None else round(p99_ns),
        loaded_p50_ns=_loaded_p50_ns(series[probe].spoiled) if probe in series else None,
        closed_port=_closed_port(series),
        **_physics(fleet, source, destination, found.period),
        **_measured(measures),
        **_bandwidth(found, key),
        **_of_events(found, key, series),
    )


def _standing_for(series: Mapping[str, SeriesTotals]) -> tuple[str, Totals]:
    """The probe whose answers and losses stand for the path, and its clean minutes."""
    known = [probe for probe in TIMED_PROBES if probe in series and series[probe].clean.minutes]
    with_times = [probe for probe in known if series[probe].clean.rtt.count]
    for probe in (*with_times, *known):
        return probe, series[probe].clean
    return "", Totals()


def _physics(fleet: Fleet, source: str, destination: str, period: Period) -> dict[str, Any]:
    if destination not in fleet.nodes:
        return {"floor_ns": None, "limit_ns": None}
    path = fleet.path(source, destination, datetime.fromtimestamp(period.end_s - 1, UTC))
    floor, limit = path.floor, path.limit_seconds
    return {
        "floor_ns": None if floor is None else round(floor.floor_seconds * 1e9),
        "limit_ns": None if limit is None else round(limit * 1e9),
    }


def _measured(measures: Mapping[tuple[str, str], MeasureTotals]) -> dict[str, Any]:
    """What other probes and the sockets with the peer brought; absent where they brought nothing."""
    values: dict[str, float] = {}
    for (_, name), totals in measures.items():
        if totals.value is not None:
            values[name] = totals.value
    found: dict[str, Any] = {}
    for figure, name in OF_A_PATH.items():
        if name in values:
            found[figure] = int(values[name])
    for figure, name in FLAGS_OF_A_PATH.items():
        if name in values:
            found[figure] = bool(values[name])
    for figure, name in SECONDS_OF_A_PATH.items():
        if name in values:
            found[figure] = values[name] / 1e6
    if "mapping_lifetime_seconds" in values:
        found["mapping_lifetime_seconds"] = values["mapping_lifetime_seconds"]
    if "cwnd_p50_segments" in values:
        found["cwnd_segments"] = values["cwnd_p50_segments"]
    if "delivery_rate_p50_bits_per_second" in values:
        found["delivery_rate_bits_per_second"] = values["delivery_rate_p50_bits_per_second"]
    return found


def _bandwidth(found: _Stored, key: PathKey) -> dict[str, Any]:
    """The most that any test measured on the way there; a test from the peer may have measured it in reverse."""
    source, destination, family = key
    own, theirs = (found.measures.get(path, {}) for path in (key, (destination, source, family)))
    rates = [
        totals.high
        for measures, name in (
            (own, ("iperf3", "forward_bits_per_second")),
            (own, ("qperf", "bits_per_second")),
            (theirs, ("iperf3", "reverse_bits_per_second")),
        )
        if (totals := measures.get(name)) is not None and totals.high
    ]
    return {"throughput_bits_per_second": max(rates)} if rates else {}


def _loaded_p50_ns(spoiled: Totals) -> int | None:
    """The median of the samples taken while an own bandwidth test ran.

    Windows are of minutes and a test is shorter, so these are the slowest part of such a minute's samples, as large as the test's
    part of the minute. None where other flags spoiled minutes too, or with too few samples.
    """
    if spoiled.flags.keys() != {TEST}:
        return None
    share = min(1.0, spoiled.flags[TEST][0] / MINUTE_S)
    if spoiled.rtt.count * share < LEAST_LOADED_SAMPLES:
        return None
    value_ns = spoiled.rtt.quantile_ns(1 - share / 2)
    return None if value_ns is None else round(value_ns)


def _closed_port(series: Mapping[str, SeriesTotals]) -> str | None:
    """How the port answered if it never was open; silence only where another probe shows that the peer is there."""
    for probe in PORT_PROBES:
        outcomes = series[probe].clean.outcomes if probe in series else {}
        if not outcomes or outcomes.get(Outcome.OK) or outcomes.get(Outcome.SYN_RETRANSMITTED):
            continue
        if outcomes.get(Outcome.REFUSED):
            return "rst"
        if outcomes.get(Outcome.UNREACHABLE):
            return "icmp"
        others = (totals.clean.outcomes for other, totals in series.items() if other not in PORT_PROBES)
        if outcomes.get(Outcome.TIMEOUT) and any(outcome.get(Outcome.OK) for outcome in others):
            return "silence"
    return None


def _of_events(found: _Stored, key: PathKey, series: Mapping[str, SeriesTotals]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    traced = "trace" in series and series["trace"].clean.minutes > 0
    if key in found.routes:
        count, latest = found.routes[key]
        result |= {"route_changes": count, "route_changed_s": latest.time_s}
    elif traced:
        result["route_changes"] = 0
    if key in found.tls:
        after = found.tls[key][1].detail.get("after")
        shown = after if isinstance(after, dict) else {}
        result |= {
            "tls_protocol": shown.get("protocol"),
            "peer_certificate_key": shown.get("key_type"),
        }
    if key in found.handshakes:
        p50_ns = found.handshakes[key].times.quantile_ns(0.5)
        result["tls_handshake_p50_ns"] = None if p50_ns is None else round(p50_ns)
    return result
