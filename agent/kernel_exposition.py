"""Metric families of what the kernel knows, as exposition text. Pure."""

from collections.abc import Collection, Iterator

from agent.exposition import Family, labels
from agent.kernel.counters import counts, retransmits_by_kind, value
from agent.kernel.netstat import Counters
from agent.net.tcp_counters import TcpReading
from agent.socket_groups import own_group_key
from agent.sockets import GroupReading, Quantiles, SocketReading

SENT = Family(
    "lightfloor_tcp_segments_sent",
    "counter",
    "Segments sent, without those only retransmitted (Tcp OutSegs).",
)
RETRANSMITTED = Family(
    "lightfloor_tcp_segments_retransmitted", "counter", "Segments retransmitted (Tcp RetransSegs)."
)
KINDS = Family(
    "lightfloor_tcp_retransmits", "counter", "Retransmissions and their signs by kind; kinds overlap."
)
CONNECTIONS = Family("lightfloor_peer_connections", "gauge", "TCP connections with the peer.")
RETRANSMIT_RATIO = Family(
    "lightfloor_peer_retransmit_ratio",
    "gauge",
    "Retransmitted ÷ sent to the peer in the last interval; absent below 1 MB.",
)
RWND_LIMITED = Family(
    "lightfloor_peer_rwnd_limited_ratio", "gauge", "Share of busy time spent waiting for the peer's window."
)
SNDBUF_LIMITED = Family(
    "lightfloor_peer_sndbuf_limited_ratio", "gauge", "Share of busy time spent waiting for send buffer."
)
SSTHRESH_UNSET = Family(
    "lightfloor_peer_ssthresh_unset", "gauge", "Connections still in their first slow start."
)
CONGESTION = Family(
    "lightfloor_peer_congestion", "gauge", "Connections with the peer by congestion control algorithm."
)
QUANTILES = {
    "rtt_seconds": Family("lightfloor_peer_rtt_seconds", "gauge", "Smoothed RTT of the peer's connections."),
    "min_rtt_seconds": Family(
        "lightfloor_peer_min_rtt_seconds", "gauge", "Minimum RTT of the peer's connections."
    ),
    "cwnd_segments": Family(
        "lightfloor_peer_cwnd_segments", "gauge", "Congestion window of the peer's connections."
    ),
    "ssthresh_segments": Family(
        "lightfloor_peer_ssthresh_segments", "gauge", "Slow start threshold, where one is set."
    ),
    "delivery_rate_bits_per_second": Family(
        "lightfloor_peer_delivery_rate_bits_per_second", "gauge", "Delivery rate of the peer's connections."
    ),
}
SOCKETS = Family("lightfloor_sockets_read", "gauge", "TCP sockets seen at the last reading.")
CUT = Family("lightfloor_sockets_cut", "gauge", "1 if the last reading left sockets out.")
GROUP_FAMILIES = (
    CONNECTIONS,
    RETRANSMIT_RATIO,
    RWND_LIMITED,
    SNDBUF_LIMITED,
    SSTHRESH_UNSET,
    CONGESTION,
    *QUANTILES.values(),
)
KERNEL_FAMILIES = (SENT, RETRANSMITTED, KINDS, SOCKETS, CUT, *GROUP_FAMILIES)


OWN_GROUP_FAMILIES = {
    each: Family(
        each.name.replace("lightfloor_peer_", "lightfloor_group_"),
        each.kind,
        each.help.replace("with the peer", "of the group")
        .replace("to the peer", "by the group")
        .replace("peer's", "group's"),
    )
    for each in GROUP_FAMILIES
}
"""The same of a configured group of networks and ports, by the label group."""


def render(
    tcp: TcpReading | None,
    sockets: SocketReading | None,
    peers: Collection[str],
    own_groups: Collection[str] = (),
    *,
    openmetrics: bool,
) -> bytes:
    """The families that there are readings for; nothing for what was not read, nor for peers that left since."""
    lines: list[str] = []

    def family(kind: Family, samples: Iterator[str]) -> None:
        rows = list(samples)
        if rows:
            name = kind.name if openmetrics or kind.kind != "counter" else f"{kind.name}_total"
            lines.append(f"# HELP {name} {kind.help}\n# TYPE {name} {kind.kind}\n")
            lines.extend(rows)

    if tcp is not None:
        counters = tcp.totals.counters
        family(SENT, _total(SENT, value(counters, "Tcp", "OutSegs")))
        family(RETRANSMITTED, _total(RETRANSMITTED, value(counters, "Tcp", "RetransSegs")))
        family(KINDS, _kinds(counters))
        for each, samples in _netstat(counters):
            family(each, samples)
    if sockets is not None:
        family(SOCKETS, iter([f"{SOCKETS.name} {sockets.sockets}\n"]))
        family(CUT, iter([f"{CUT.name} {int(sockets.cut or sockets.interrupted)}\n"]))
        groups = {name: group for name, group in sockets.groups.items() if name in peers}
        for each in GROUP_FAMILIES:
            family(
                each,
                (
                    line
                    for name, group in groups.items()
                    for line in _of_group(each, labels(destination=name), group)
                ),
            )
        own = {
            name: sockets.groups[own_group_key(name)]
            for name in own_groups
            if own_group_key(name) in sockets.groups
        }
        for each, shown in OWN_GROUP_FAMILIES.items():
            rows = (
                line for name, group in own.items() for line in _of_group(each, labels(group=name), group)
            )
            family(shown, (shown.name + line.removeprefix(each.name) for line in rows))
    return "".join(lines).encode()


def _total(family: Family, number: int | None) -> Iterator[str]:
    if number is not None:
        yield f"{family.name}_total {number}\n"


def _kinds(counters: Counters) -> Iterator[str]:
    for kind, number in retransmits_by_kind(counters).items():
        if number is not None:
            yield f'{KINDS.name}_total{{kind="{kind}"}} {number}\n'


def _netstat(counters: Counters) -> Iterator[tuple[Family, Iterator[str]]]:
    """One family for each counter of the kernel, named lightfloor_netstat_<group>_<counter> in lower case."""
    for group, figures in counters.items():
        for name, number in figures.items():
            metric = f"lightfloor_netstat_{group}_{name}".lower()
            if counts(group, name):
                yield (
                    Family(metric, "counter", f"{group} {name} of /proc/net."),
                    iter([f"{metric}_total {number}\n"]),
                )
            else:
                yield Family(metric, "gauge", f"{group} {name} of /proc/net."), iter([f"{metric} {number}\n"])


def _of_group(family: Family, own: str, group: GroupReading) -> Iterator[str]:
    traffic = group.traffic
    single = {
        CONNECTIONS: group.connections,
        SSTHRESH_UNSET: group.ssthresh_unset,
        RETRANSMIT_RATIO: traffic and traffic.retransmit_ratio(),
        RWND_LIMITED: traffic and traffic.rwnd_limited_ratio(),
        SNDBUF_LIMITED: traffic and traffic.sndbuf_limited_ratio(),
    }
    if family in single:
        number = single[family]
        if number is not None:
            yield f"{family.name}{{{own}}} {number!r}\n"
    elif family is CONGESTION:
        for algorithm, count in group.congestion.items():
            yield f"{family.name}{{{own},{labels(algorithm=algorithm)}}} {count}\n"
    else:
        yield from _of_quantiles(
            family, own, next(getattr(group, key) for key, each in QUANTILES.items() if each is family)
        )


def _of_quantiles(family: Family, own: str, quantiles: Quantiles | None) -> Iterator[str]:
    if quantiles is not None:
        for stat in Quantiles.__slots__:
            yield f'{family.name}{{{own},stat="{stat}"}} {getattr(quantiles, stat)!r}\n'
