"""PROBES: the one list of what the agent can measure.

A probe is one module behind one signature, `async run(burst)`: it probes all targets of the burst and calls
burst.record(target, sample) once for each. To add one: its module, one entry here.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agent.probes import icmp, mtu, syn, tcp, tls, trace, udp
from agent.sample import Burst, Measure
from agent.wire.series import TimeSource


@dataclass(frozen=True, slots=True)
class Probe:
    """options: the struct that a probe's `options` table is checked against; time_source: where its times come from.

    has_port: its target is HOST:PORT; count: how many a probe by hand sends unless told; overlapping: False for
    a probe that must have ended before the next one to the same peer starts (that one is then skipped).
    fleet_only: by hand it refuses targets that are no peers. show: lines for people, of a result that is a table.
    default_port: where the target names none; a peer's own port, its agent's, is not meant.
    """

    summary: str
    options: type[Any]
    run: Callable[[Burst], Awaitable[None]]
    time_source: TimeSource
    has_port: bool = True
    count: int = 10
    overlapping: bool = True
    measures: tuple[Measure, ...] = ()
    fleet_only: bool = False
    default_port: int | None = None
    show: Callable[[Mapping[str, Any]], list[str]] | None = None


_LATE = "Answers up to 30 s after the deadline, already counted as timeout."


def _after_the_outcome(probe: str) -> tuple[Measure, ...]:
    """What a packet probe counts of answers that decide nothing any more."""
    return (
        Measure(
            "duplicates", "counter", f"lightfloor_{probe}_duplicates_total", "Second answers to one probe."
        ),
        Measure(
            "late",
            "counter",
            f"lightfloor_{probe}_late_total",
            "Answers up to 30 s after the deadline, already counted as timeout.",
        ),
    )


UDP_MEASURES = (
    Measure("late", "counter", "lightfloor_udp_late_total", _LATE),
    Measure(
        "lost_forward",
        "counter",
        "lightfloor_udp_lost_forward_total",
        "Requests that the reflector never counted.",
    ),
    Measure(
        "lost_backward", "counter", "lightfloor_udp_lost_backward_total", "Replies lost on the way back."
    ),
    Measure(
        "reordered_forward",
        "counter",
        "lightfloor_udp_reordered_forward_total",
        "Requests that the reflector got after a later one.",
    ),
    Measure(
        "reordered_backward",
        "counter",
        "lightfloor_udp_reordered_backward_total",
        "Replies that came after a later one.",
    ),
    Measure(
        "duplicated_forward",
        "counter",
        "lightfloor_udp_duplicated_forward_total",
        "Requests that the reflector got again.",
    ),
    Measure(
        "duplicated_backward",
        "counter",
        "lightfloor_udp_duplicated_backward_total",
        "Replies that came again.",
    ),
    Measure(
        "restarts",
        "counter",
        "lightfloor_udp_reflector_restarts_total",
        "Times the reflector began to count anew, as after a NAT's rebinding.",
    ),
    Measure(
        "reflector_ns",
        "time",
        "lightfloor_udp_reflector_seconds",
        "Time that the reflector had the packet, not part of the round trip.",
    ),
    Measure(
        "variation_forward_ns",
        "time",
        "lightfloor_udp_variation_forward_seconds",
        "Delay above the last minute's least, to the peer (RFC 5481 PDV).",
    ),
    Measure(
        "variation_backward_ns",
        "time",
        "lightfloor_udp_variation_backward_seconds",
        "Delay above the last minute's least, from the peer (RFC 5481 PDV).",
    ),
    Measure(
        "delay_forward_ns",
        "time",
        "lightfloor_udp_delay_forward_seconds",
        "One-way delay to the peer, while both clocks are synchronised.",
    ),
    Measure(
        "delay_backward_ns",
        "time",
        "lightfloor_udp_delay_backward_seconds",
        "One-way delay from the peer, while both clocks are synchronised.",
    ),
    Measure(
        "one_way_error_seconds",
        "gauge",
        "lightfloor_udp_one_way_error_seconds",
        "How far one-way delays can be off, by what both clocks state.",
    ),
    Measure("ttl", "gauge", "lightfloor_udp_ttl", "TTL or hop limit of the reply as it arrived."),
    Measure(
        "ttl_forward",
        "gauge",
        "lightfloor_udp_ttl_forward",
        "TTL or hop limit of the request as it reached the peer.",
    ),
)


PROBES: dict[str, Probe] = {
    "tcp": Probe("TCP handshake round trip, timed by the kernel.", tcp.Options, tcp.run, TimeSource.TCP_INFO),
    "syn": Probe(
        "SYN to SYN-ACK round trip of raw packets, timed by the kernel.",
        syn.Options,
        syn.run,
        TimeSource.KERNEL,
        fleet_only=True,
        measures=(
            *_after_the_outcome("syn"),
            Measure(
                "lossy_legs",
                "gauge",
                "lightfloor_syn_lossy_legs",
                "Fixed source ports that lose more than chance explains.",
            ),
            Measure(
                "worst_leg_loss_ratio",
                "gauge",
                "lightfloor_syn_worst_leg_loss_ratio",
                "Loss ratio of the fixed source port that loses most.",
            ),
        ),
    ),
    "udp": Probe(
        "STAMP round trip without the reflector's time, and each direction's loss and variation.",
        udp.Options,
        udp.run,
        TimeSource.KERNEL,
        measures=UDP_MEASURES,
    ),
    "icmp": Probe(
        "ICMP echo round trip, timed by the kernel.",
        icmp.Options,
        icmp.run,
        TimeSource.KERNEL,
        has_port=False,
        measures=(
            *_after_the_outcome("icmp"),
            Measure("ttl", "gauge", "lightfloor_icmp_ttl", "TTL or hop limit of the reply as it arrived."),
        ),
    ),
    "mtu": Probe(
        "Path MTU by DF packets, exact to the byte, and black holes.",
        mtu.Options,
        mtu.run,
        TimeSource.NONE,
        has_port=False,
        count=1,
        overlapping=False,
        measures=mtu.MEASURES,
    ),
    "trace": Probe(
        "Route: who answers at each hop, how fast, and when it changes.",
        trace.Options,
        trace.run,
        TimeSource.NONE,
        has_port=False,
        count=1,
        overlapping=False,
        measures=trace.MEASURES,
        show=trace.as_table,
    ),
    "tls": Probe(
        "TLS handshake apart from TCP's, certificate, chain, name and resumption.",
        tls.Options,
        tls.run,
        TimeSource.USER,
        default_port=443,
        count=1,
        measures=tls.MEASURES,
    ),
}
