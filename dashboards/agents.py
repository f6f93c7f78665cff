"""Whether the instrument itself is well: agents, their spools, and the collector that they feed."""

from dashboards import variables
from dashboards.board import Board, Row, link_to
from dashboards.panels import GOOD_IS_ONE, GOOD_IS_ZERO, GREEN, RED, YELLOW, Query, figure, lines
from dashboards.promql import ROUGH, UNSENT, rough_quantile
from dashboards.tables import Column, rows

NODE = 'node=~"$node"'
AGENT = f'job="lightfloor-agent",{NODE}'
COLLECTOR = 'job="lightfloor-collector"'
NODE_OF_ROW = link_to("node", node="${__data.fields[0]}")
NODE_OF_LINE = ("Node", link_to("node", node="${__field.labels.node}"))

NOW = (
    figure(
        "Agents that answer",
        "Agents that Prometheus could scrape just now.",
        "none",
        Query(f"sum(up{{{AGENT}}})"),
    ),
    figure(
        "Agents that do not",
        "Agents of the fleet file that Prometheus cannot scrape.",
        "none",
        Query(f"sum(up{{{AGENT}}} == bool 0)"),
        thresholds=GOOD_IS_ZERO,
    ),
    figure(
        "Silent at the collector",
        "Nodes whose last batch came more than five minutes ago: their paths have no verdict for that time.",
        "none",
        Query(f"sum(time() - lightfloor_node_last_batch_timestamp_seconds{{{NODE}}} > bool 300)"),
        thresholds=GOOD_IS_ZERO,
    ),
    figure(
        "Batches waiting",
        "Closed windows on the nodes' disks that the collector does not have yet.",
        "none",
        Query(f"sum(lightfloor_spool_batches{{{NODE}}})"),
        thresholds=((None, GREEN), (30, YELLOW)),
    ),
    figure(
        "Windows lost",
        "Closed windows given up in the period shown: a full disk, or a spool at its bounds.",
        "none",
        Query(f"sum(increase(lightfloor_windows_lost_total{{{NODE}}}[$__range]))"),
        thresholds=GOOD_IS_ZERO,
        decimals=0,
    ),
    figure(
        "Collector",
        "Whether Prometheus could scrape the collector just now.",
        "bool_yes_no",
        Query(f"min(up{{{COLLECTOR}}})"),
        thresholds=GOOD_IS_ONE,
    ),
)

AGENTS = (
    rows(
        "Agents",
        "Each agent as it was scraped last.",
        {"node": "Node", "version": "Version"},
        (
            Column("Answers", "bool_yes_no", f"max by (node) (up{{{AGENT}}})", GOOD_IS_ONE),
            Column(
                "Configuration in force",
                "bool_yes_no",
                f"min by (node) (lightfloor_config_last_reload_successful{{{NODE}}})",
                GOOD_IS_ONE,
            ),
            Column(
                "Peers",
                "none",
                "max by (node, version) (lightfloor_peers * on (node) group_left (version)"
                f" lightfloor_build_info{{{AGENT}}})",
            ),
            Column(
                "Last batch taken",
                "s",
                f"time() - max by (node) (lightfloor_push_last_success_timestamp_seconds{{{NODE}}})",
                ((None, GREEN), (180, YELLOW), (600, RED)),
            ),
            Column("Batches waiting", "none", f"max by (node) (lightfloor_spool_batches{{{NODE}}})"),
            Column("Spool", "bytes", f"max by (node) (lightfloor_spool_bytes{{{NODE}}})"),
            Column(
                "Disk takes windows",
                "bool_yes_no",
                f"min by (node) (lightfloor_window_storable{{{NODE}}})",
                GOOD_IS_ONE,
            ),
            Column("Resident memory", "bytes", f"max by (node) (process_resident_memory_bytes{{{AGENT}}})"),
            Column("Running for", "s", f"time() - max by (node) (process_start_time_seconds{{{AGENT}}})"),
        ),
        sort="Last batch taken",
        link=("Node", NODE_OF_ROW),
    ),
)

INSTRUMENT = (
    lines(
        "How late agents wake",
        "99th percentile of how late an agent woke for its own probes. The kernel's times do not depend on it; above "
        "0.25 s the minute does not count." + ROUGH,
        "s",
        Query(rough_quantile(0.99, "lightfloor_schedule_delay_seconds", NODE, "node"), "{{node}}"),
        thresholds=((None, GREEN), (0.25, RED)),
        link=NODE_OF_LINE,
    ),
    lines(
        "Probes not sent",
        "Scheduled probes that the host could not send: over its rate cap, without an address, or without what they need.",
        "cps",
        Query(
            f'sum by (node, outcome) (rate(lightfloor_probe_outcomes_total{{{NODE},outcome=~"{UNSENT}"}}[$__rate_interval]))',
            "{{node}} {{outcome}}",
        ),
        link=NODE_OF_LINE,
    ),
    lines(
        "Quality flags",
        "Nodes whose last closed minute does not count, by what the host did to it. Empty is good.",
        "none",
        Query(f"count by (flag) (lightfloor_quality_flag{{{NODE}}})", "{{flag}}"),
        stacked=True,
    ),
    lines(
        "Probes that cannot run",
        "Nodes that lack something for a probe, by probe and reason. Empty is good.",
        "none",
        Query(f"count by (probe, reason) (lightfloor_probe_unavailable{{{NODE}}})", "{{probe}}: {{reason}}"),
        stacked=True,
    ),
    lines(
        "CPU of agents",
        "Share of one CPU that each agent uses.",
        "percentunit",
        Query(f"sum by (node) (rate(process_cpu_seconds_total{{{AGENT}}}[$__rate_interval]))", "{{node}}"),
        link=NODE_OF_LINE,
    ),
    lines(
        "Memory of agents",
        "Resident memory of each agent.",
        "bytes",
        Query(f"max by (node) (process_resident_memory_bytes{{{AGENT}}})", "{{node}}"),
        link=NODE_OF_LINE,
    ),
    lines(
        "Batches to the collector",
        "Batches that the collector acknowledged, and attempts that failed by reason.",
        "cps",
        Query(f"sum(rate(lightfloor_push_batches_total{{{NODE}}}[$__rate_interval]))", "acknowledged"),
        Query(
            f"sum by (reason) (rate(lightfloor_push_failures_total{{{NODE}}}[$__rate_interval]))",
            "failed: {{reason}}",
        ),
    ),
    lines(
        "Answers to peers",
        "STAMP requests and connections of peers, by what became of them.",
        "cps",
        Query(
            f"sum by (result) (rate(lightfloor_reflector_packets_total{{{NODE}}}[$__rate_interval]))",
            "STAMP {{result}}",
        ),
        Query(
            f"sum by (result) (rate(lightfloor_responder_connections_total{{{NODE}}}[$__rate_interval]))",
            "TCP {{result}}",
        ),
    ),
    lines(
        "Packet captures",
        "Room that captures take of what they may; where capture is off there is none.",
        "percentunit",
        Query(
            f"max by (node) (lightfloor_capture_disk_bytes{{{NODE}}} / lightfloor_capture_disk_limit_bytes{{{NODE}}})",
            "{{node}}",
        ),
        thresholds=((None, GREEN), (0.9, YELLOW)),
    ),
    lines(
        "Scrapes",
        "How long Prometheus took to scrape each agent.",
        "s",
        Query(f"max by (node) (scrape_duration_seconds{{{AGENT}}})", "{{node}}"),
    ),
)

THE_COLLECTOR = (
    lines(
        "Batches taken in",
        "Posted batches by the status they were answered with.",
        "reqps",
        Query("sum by (status) (rate(lightfloor_ingest_requests_total[$__rate_interval]))", "{{status}}"),
        stacked=True,
    ),
    lines(
        "Windows stored",
        "Windows of all nodes. One per series and minute.",
        "cps",
        Query("sum(rate(lightfloor_ingest_windows_total[$__rate_interval]))", "windows"),
    ),
    lines(
        "Judging every path",
        "How long the last judgement of all paths took, how old it is, and how long the oldest roll-up has waited.",
        "s",
        Query("max(lightfloor_sla_computing_seconds)", "took"),
        Query("time() - max(lightfloor_sla_computed_timestamp_seconds)", "age"),
        Query("max(lightfloor_rollup_lag_seconds)", "roll-up waits"),
    ),
    lines(
        "Store",
        "The store's file with its write-ahead log.",
        "bytes",
        Query("max(lightfloor_store_size_bytes)", "size"),
    ),
    lines(
        "Transactions",
        "On disk and undone, and the work that waits for the writer.",
        "cps",
        Query("sum(rate(lightfloor_store_commits_total[$__rate_interval]))", "on disk"),
        Query("sum(rate(lightfloor_store_failed_commits_total[$__rate_interval]))", "undone"),
    ),
    lines(
        "Writer's queue",
        "Batches and other work that wait for the writer.",
        "none",
        Query("max(lightfloor_store_queue_jobs)", "waiting"),
    ),
)

BOARD = Board(
    "agents",
    "Agents and collector",
    "Whether the instrument itself is well: agents, their spools, and the collector that they feed.",
    (variables.provider(), variables.region(), variables.nodes()),
    (
        Row("Now", NOW),
        Row("Every agent", AGENTS),
        Row("The instrument", INSTRUMENT),
        Row("The collector", THE_COLLECTOR),
    ),
)
