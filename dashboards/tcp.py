"""What TCP does: who retransmits and why, and what the connections between the nodes are held back by."""

from typing import Any

from grafana_foundation_sdk.models import dashboard

from dashboards import variables
from dashboards.board import Board, Row, link_to
from dashboards.panels import GREEN, RED, Query, lines
from dashboards.promql import highest

NODE = 'node=~"$node"'
PEER = 'node=~"$node",destination=~"$destination"'
FIVE_PERCENT: tuple[tuple[float | None, str], ...] = ((None, GREEN), (0.05, RED))
PAIR = "{{node}} → {{destination}}"
PATH_OF_LINE = (
    "Path",
    link_to("path", node="${__field.labels.node}", destination="${__field.labels.destination}"),
)


def _netstat(title: str, description: str, **counters: str) -> dashboard.Panel:
    """Counters of /proc/net, summed by node; counter in lower case → words."""
    queries = (
        Query(
            f"sum by (node) (rate(lightfloor_netstat_{counter}_total{{{NODE}}}[$__rate_interval]))",
            f"{{{{node}}}} {words}",
        )
        for counter, words in counters.items()
    )
    return lines(title, description, "cps", *queries)


def _peers(title: str, description: str, unit: str, metric: str, **options: Any) -> dashboard.Panel:
    """A figure of the connections from each chosen node to each chosen destination."""
    query = Query(highest(f"max by (node, destination) (lightfloor_peer_{metric})"), PAIR)
    return lines(title, f"{description} The twenty highest.", unit, query, **options)


RETRANSMITS = (
    lines(
        "Retransmitted segments",
        "Share of the segments that a node's kernel sent again, all connections together. Above 5% every one suffers.",
        "percentunit",
        Query(
            f"sum by (node) (rate(lightfloor_tcp_segments_retransmitted_total{{{NODE}}}[$__rate_interval]))"
            f" / (sum by (node) (rate(lightfloor_tcp_segments_sent_total{{{NODE}}}[$__rate_interval])) > 0)",
            "{{node}}",
        ),
        thresholds=FIVE_PERCENT,
        link=("Node", link_to("node", node="${__field.labels.node}")),
    ),
    lines(
        "Segments sent",
        "The volume behind the ratio: below 1,000 segments in five minutes it is noise.",
        "pps",
        Query(
            f"sum by (node) (rate(lightfloor_tcp_segments_sent_total{{{NODE}}}[$__rate_interval]))",
            "{{node}}",
        ),
    ),
    lines(
        "Retransmissions by kind",
        "Why segments were sent again, all chosen nodes. Timeouts: tail loss or an MTU black hole; SYN: peers that cannot be "
        "reached; spurious: reordering or delay, not loss. Kinds overlap.",
        "pps",
        Query(
            f"sum by (kind) (rate(lightfloor_tcp_retransmits_total{{{NODE}}}[$__rate_interval]))", "{{kind}}"
        ),
    ),
    _peers(
        "Retransmitted by peer",
        "Share of the bytes to each peer that were sent again; absent below 1 MB in 15 seconds. One peer: the path. All: the node.",
        "percentunit",
        f"retransmit_ratio{{{PEER}}}",
        thresholds=FIVE_PERCENT,
        link=PATH_OF_LINE,
    ),
)

CONNECTIONS = (
    _peers("Connections", "TCP connections with each peer.", "none", f"connections{{{PEER}}}"),
    _peers(
        "Round trip of connections",
        "Median smoothed round trip of each peer's connections, as the kernel has it.",
        "s",
        f'rtt_seconds{{{PEER},stat="p50"}}',
        link=PATH_OF_LINE,
    ),
    _peers(
        "Smallest round trip of connections",
        "Median of the connections' own minimum; what the smoothed one has above it is queueing.",
        "s",
        f'min_rtt_seconds{{{PEER},stat="p50"}}',
    ),
    _peers(
        "Congestion window",
        "Median congestion window in segments. Small while data waits: loss or a young connection.",
        "none",
        f'cwnd_segments{{{PEER},stat="p50"}}',
    ),
    _peers(
        "Slow start threshold",
        "Median threshold where one is set, that is after the first loss (not with bbr).",
        "none",
        f'ssthresh_segments{{{PEER},stat="p50"}}',
    ),
    _peers(
        "Delivery rate",
        "Highest delivery rate among each peer's connections, as the kernel estimates it.",
        "bps",
        f'delivery_rate_bits_per_second{{{PEER},stat="maximum"}}',
    ),
    _peers(
        "Held back by the peer's window",
        "Share of busy time spent waiting for the peer's receive window: its buffer is too small for the path, or it reads slowly.",
        "percentunit",
        f"rwnd_limited_ratio{{{PEER}}}",
    ),
    _peers(
        "Held back by the send buffer",
        "Share of busy time spent waiting for the own send buffer (net.ipv4.tcp_wmem).",
        "percentunit",
        f"sndbuf_limited_ratio{{{PEER}}}",
    ),
    lines(
        "Congestion control",
        "Connections by algorithm, all chosen nodes and destinations.",
        "none",
        Query(f"sum by (algorithm) (lightfloor_peer_congestion{{{PEER}}})", "{{algorithm}}"),
        stacked=True,
    ),
    lines(
        "Still in their first slow start",
        "Connections that never lost anything and never filled the path.",
        "none",
        Query(f"sum by (node) (lightfloor_peer_ssthresh_unset{{{PEER}}})", "{{node}}"),
    ),
)

KERNEL = (
    _netstat(
        "Zero windows",
        "Times that a node's own receive window closed for a peer, and probes it sent because a peer's window was closed.",
        tcpext_tcptozerowindowadv="closed for a peer",
        tcpext_tcpwinprobe="probed a peer",
    ),
    _netstat(
        "Listen queues",
        "Connections refused because an accept queue was full, and SYN cookies sent because a SYN queue was.",
        tcpext_listenoverflows="overflows",
        tcpext_listendrops="drops",
        tcpext_syncookiessent="SYN cookies",
    ),
    _netstat(
        "Memory",
        "Receive queues cut for lack of buffer, and times that TCP's memory limit was reached.",
        tcpext_prunecalled="pruned",
        tcpext_tcpmemorypressures="pressure",
    ),
    lines(
        "TCP sockets",
        "Sockets seen at the last reading. A reading that is cut leaves connections out of every figure above.",
        "none",
        Query(f"max by (node) (lightfloor_sockets_read{{{NODE}}})", "{{node}}"),
        Query(f"max by (node) (lightfloor_sockets_cut{{{NODE}}})", "{{node}} cut"),
    ),
)

GROUPS = (
    lines(
        "Retransmitted by group",
        "Share of the bytes of each configured group of connections (socket_groups of agent.toml) that were sent again; "
        "absent below 1 MB in 15 seconds.",
        "percentunit",
        Query(f"max by (node, group) (lightfloor_group_retransmit_ratio{{{NODE}}})", "{{node}} {{group}}"),
        thresholds=FIVE_PERCENT,
    ),
    lines(
        "Round trip of groups",
        "90th percentile over the group's connections of their smoothed round trip.",
        "s",
        Query(
            f'max by (node, group) (lightfloor_group_rtt_seconds{{{NODE},stat="p90"}})', "{{node}} {{group}}"
        ),
    ),
    lines(
        "Connections of groups",
        "TCP connections of each configured group.",
        "none",
        Query(f"max by (node, group) (lightfloor_group_connections{{{NODE}}})", "{{node}} {{group}}"),
    ),
    lines(
        "Tracepoints",
        "Kernel events of the whole host, where tracepoints are switched on in agent.toml.",
        "cps",
        Query(
            f"sum by (node, event) (rate(lightfloor_host_events_total{{{NODE}}}[$__rate_interval]))",
            "{{node}} {{event}}",
        ),
    ),
)

BOARD = Board(
    "tcp",
    "TCP",
    "Who retransmits and why, and what the connections between the nodes are held back by.",
    (variables.provider(), variables.region(), variables.nodes(), variables.destinations()),
    (
        Row("Retransmissions", RETRANSMITS),
        Row("Connections with peers", CONNECTIONS),
        Row("The kernel's own troubles", KERNEL),
        Row("Configured groups and tracepoints", GROUPS),
    ),
)
