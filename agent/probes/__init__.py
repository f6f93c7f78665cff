"""PROBES: the one list of what the agent can measure.

A probe is one module behind one signature, `async run(burst)`: it probes all targets of the burst and calls
burst.record(target, sample) once for each. To add one: its module, one entry here.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agent.probes import icmp, iperf3, mtu, nat, qperf, syn, tcp, tls, trace, udp
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


PROBES: dict[str, Probe] = {
    "tcp": Probe("TCP handshake round trip, timed by the kernel.", tcp.Options, tcp.run, TimeSource.TCP_INFO),
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
    "nat": Probe(
        "Whether a NAT is in front of this node, and how long it keeps an idle UDP mapping.",
        nat.Options,
        nat.run,
        TimeSource.NONE,
        count=1,
        overlapping=False,
        measures=nat.MEASURES,
    ),
    "syn": Probe(
        "SYN to SYN-ACK round trip of raw packets, timed by the kernel.",
        syn.Options,
        syn.run,
        TimeSource.KERNEL,
        measures=syn.MEASURES,
        fleet_only=True,
    ),
    "udp": Probe(
        "STAMP round trip without the reflector's time, and each direction's loss and variation.",
        udp.Options,
        udp.run,
        TimeSource.KERNEL,
        measures=udp.MEASURES,
    ),
    "icmp": Probe(
        "ICMP echo round trip, timed by the kernel.",
        icmp.Options,
        icmp.run,
        TimeSource.KERNEL,
        has_port=False,
        measures=icmp.MEASURES,
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
    "iperf3": Probe(
        "Bandwidth by iperf3: throughput, retransmissions, jitter, loss.",
        iperf3.Iperf3Spec,
        iperf3.run,
        TimeSource.NONE,
        count=1,
        overlapping=False,
        measures=iperf3.MEASURES,
    ),
    "qperf": Probe(
        "Latency and bandwidth of TCP or UDP by qperf.",
        qperf.QperfSpec,
        qperf.run,
        TimeSource.NONE,
        count=1,
        overlapping=False,
        measures=qperf.MEASURES,
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
