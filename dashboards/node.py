"""One node: whether its own host spoils what it measures, how its paths do, and how its TCP does."""

from dashboards import variables
from dashboards.board import Board, Row, link_to
from dashboards.panels import GOOD_IS_ONE, GREEN, RED, YELLOW, Query, figure, lines
from dashboards.promql import VERDICTS, loss, mean
from dashboards.tables import Column, rows

NODE = 'node="$node"'
CPU_TIME = (
    f'sum(rate(lightfloor_host_cpu_seconds_total{{{NODE},mode!~"guest|guest_nice"}}[$__rate_interval]))'
)
"""All of it: user and nice contain the guests' time already (proc_stat(5))."""
PATH_OF_ROW = link_to(
    "path",
    node="${node}",
    destination="${__data.fields[0]}",
    probe="${__data.fields[1]}",
    family="${__data.fields[2]}",
)

NOW = (
    figure(
        "Agent",
        "Whether Prometheus could scrape the agent just now.",
        "bool_yes_no",
        Query(f'max(up{{job="lightfloor-agent",{NODE}}})'),
        thresholds=GOOD_IS_ONE,
    ),
    figure(
        "Version",
        "Version of the agent.",
        "none",
        Query(f"max by (version) (lightfloor_build_info{{{NODE}}})", "{{version}}"),
        only_name=True,
    ),
    figure("Peers", "Nodes that it probes.", "none", Query(f"max(lightfloor_peers{{{NODE}}})")),
    figure(
        "Last batch",
        "How long ago the collector got windows of this node; agents send one batch a minute.",
        "s",
        Query(f"time() - max(lightfloor_node_last_batch_timestamp_seconds{{{NODE}}})"),
        thresholds=((None, GREEN), (180, YELLOW), (600, RED)),
    ),
    figure(
        "Clock synchronised",
        "Whether something disciplines the wall clock. Without, one-way delays are not measured.",
        "bool_yes_no",
        Query(f"min(lightfloor_host_clock_synchronised{{{NODE}}})"),
        thresholds=((None, YELLOW), (1, GREEN)),
    ),
    figure(
        "Excluded in 24 hours",
        "Time of its paths that does not count because this host spoiled it; the worst path's.",
        "s",
        Query('max(lightfloor_sla_excluded_seconds{source="$node"})'),
        thresholds=((None, GREEN), (3600, YELLOW), (21600, RED)),
    ),
)

HOST = (
    lines(
        "CPU",
        "Share of all CPUs' time by mode, idle left out. Steal is what the hypervisor gave to others; above 5% a minute does not count.",
        "percentunit",
        Query(
            f'sum by (mode) (rate(lightfloor_host_cpu_seconds_total{{{NODE},mode!~"idle|guest|guest_nice"}}[$__rate_interval]))'
            f" / on () group_left () {CPU_TIME}",
            "{{mode}}",
        ),
        stacked=True,
    ),
    lines(
        "What it did to its own minutes",
        "Figure of each quality flag while it stands: those minutes are listed and do not count. Empty is good.",
        "none",
        Query(f"max by (flag) (lightfloor_quality_flag{{{NODE}}})", "{{flag}}"),
    ),
    lines(
        "How late the agent woke",
        "Mean delay of its own timers. The kernel's times do not depend on it; a long one says that the host is overloaded.",
        "s",
        Query(mean("lightfloor_schedule_delay_seconds", NODE, "node"), "mean"),
    ),
    lines(
        "Memory",
        "Memory that can be had without swapping, of all.",
        "bytes",
        Query(f"max(lightfloor_host_memory_available_bytes{{{NODE}}})", "available"),
        Query(f"max(lightfloor_host_memory_bytes{{{NODE}}})", "all"),
    ),
    lines(
        "Receive path",
        "Packets dropped because a CPU's backlog was full, and times that the receive path ran out of its budget.",
        "cps",
        Query(f"sum(rate(lightfloor_host_softnet_dropped_total{{{NODE}}}[$__rate_interval]))", "dropped"),
        Query(f"sum(rate(lightfloor_host_softnet_squeezed_total{{{NODE}}}[$__rate_interval]))", "squeezed"),
    ),
    lines(
        "Connection tracking",
        "Share of the table in use. A full one refuses new flows.",
        "percentunit",
        Query(
            f"max(lightfloor_host_conntrack_entries{{{NODE}}} / lightfloor_host_conntrack_limit{{{NODE}}})",
            "in use",
        ),
        thresholds=((None, GREEN), (0.9, RED)),
    ),
    lines(
        "Interfaces",
        "Packets by interface and direction.",
        "pps",
        Query(
            f"sum by (interface, direction) (rate(lightfloor_host_interface_packets_total{{{NODE}}}[$__rate_interval]))",
            "{{interface}} {{direction}}",
        ),
    ),
    lines(
        "Packets lost on this host",
        "Dropped or damaged, by interface, and refused by connection tracking.",
        "pps",
        Query(
            f"sum by (interface) (rate(lightfloor_host_interface_dropped_total{{{NODE}}}[$__rate_interval]))",
            "{{interface}} dropped",
        ),
        Query(
            f"sum by (interface) (rate(lightfloor_host_interface_errors_total{{{NODE}}}[$__rate_interval]))",
            "{{interface}} errors",
        ),
        Query(
            f"sum(rate(lightfloor_host_conntrack_drops_total{{{NODE}}}[$__rate_interval]))",
            "connection tracking",
        ),
    ),
    lines(
        "Over the provider's allowance",
        "Packets that the provider's shaper queued or dropped, by limit (Amazon's ENA driver; elsewhere empty).",
        "pps",
        Query(
            f"sum by (interface, limit) (rate(lightfloor_host_allowance_exceeded_total{{{NODE}}}[$__rate_interval]))",
            "{{interface}} {{limit}}",
        ),
    ),
    lines(
        "Clock error",
        "How far the wall clock can be off, by the kernel's own account.",
        "s",
        Query(f"max(lightfloor_host_clock_maximum_error_seconds{{{NODE}}})", "maximum error"),
    ),
)


FINDINGS = (
    rows(
        "Findings",
        "What the collector's advice has found wrong here; its page says the evidence, the change and how to undo it.",
        {"rule": "Rule", "severity": "Severity"},
        (
            Column(
                "Stands",
                "bool_yes_no",
                f"max by (rule, severity) (lightfloor_finding_active{{{NODE}}})",
            ),
        ),
        sort="Severity",
        link=("Findings", "${collector}/findings"),
        height=6,
    ),
)


def _of_paths(metric: str) -> str:
    return f'max by (destination, probe, family) (lightfloor_sla_{metric}{{source="$node"}})'


PATHS = (
    rows(
        "Its paths",
        "The last 24 hours of each path from here.",
        {"destination": "To", "probe": "Probe", "family": "Family", "verdict": "Verdict"},
        (
            Column("P99 ÷ floor", "none", _of_paths("ratio_to_floor")),
            Column("P99", "s", _of_paths("p99_seconds")),
            Column("Limit", "s", _of_paths("limit_seconds")),
            Column(
                "Loss", "percentunit", _of_paths("loss_ratio"), ((None, GREEN), (0.005, YELLOW), (0.05, RED))
            ),
            Column("Availability", "percentunit", _of_paths("availability_ratio")),
            Column("Excluded", "s", _of_paths("excluded_seconds")),
            Column(
                "Samples",
                "short",
                'max by (destination, probe, family, verdict) (lightfloor_sla_verdict{source="$node"}'
                ' * on (source, destination, probe, family) group_left () lightfloor_sla_samples{source="$node"})',
            ),
        ),
        sort="P99 ÷ floor",
        words={"Verdict": VERDICTS},
        link=("Path", PATH_OF_ROW),
    ),
    lines(
        "Loss from here",
        "Share of its probes that were lost, by destination. All at once points to this node, one to that path.",
        "percentunit",
        Query(loss(NODE, "destination"), "{{destination}}"),
    ),
    lines(
        "Loss toward here",
        "Share of the others' probes to this node that were lost, by source.",
        "percentunit",
        Query(loss('destination="$node"', "node"), "{{node}}"),
    ),
)

TCP = (
    lines(
        "Retransmitted segments",
        "Share of the segments that this kernel sent again, all connections together. Above 5% every one suffers.",
        "percentunit",
        Query(
            f"sum(rate(lightfloor_tcp_segments_retransmitted_total{{{NODE}}}[$__rate_interval]))"
            f" / (sum(rate(lightfloor_tcp_segments_sent_total{{{NODE}}}[$__rate_interval])) > 0)",
            "retransmitted",
        ),
        thresholds=((None, GREEN), (0.05, RED)),
        link=("TCP", link_to("tcp", node="${node}")),
    ),
    lines(
        "Probes that cannot run",
        "1 for each probe that this host lacks something for; the agent's log says what. Empty is good.",
        "none",
        Query(
            f"max by (probe, family, reason) (lightfloor_probe_unavailable{{{NODE}}})",
            "{{probe}} {{family}}: {{reason}}",
        ),
    ),
)

BOARD = Board(
    "node",
    "Node",
    "One node: whether its host spoils its own measurement, how its paths do, and how its TCP does.",
    (variables.provider(), variables.region(), variables.one_node()),
    (
        Row("Now", NOW),
        Row("Advice", FINDINGS),
        Row("The host", HOST),
        Row("Paths from and to it", PATHS),
        Row("TCP and probes", TCP),
    ),
)
