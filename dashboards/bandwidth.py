"""What each path carried in its last test, and what the tests cost of the transfer allowance."""

from dashboards import variables
from dashboards.board import Board, Row, link_to
from dashboards.panels import BLUE, GREEN, RED, YELLOW, Query, figure, lines
from dashboards.tables import matrix

NODE = 'node=~"$node"'
NAME = "{{node}} → {{destination}} {{family}}"
PATH_OF_CELL = link_to("path", node="${__data.fields[0]}", destination="${__field.name}")


def _latest(metric: str) -> str:
    """A path's latest test, as long as the agent shows it."""
    return f"max by (node, destination) (lightfloor_{metric}{{{NODE}}})"


def _of_budget(period: str) -> str:
    used, limit = (
        f'max by (node) (lightfloor_bandwidth_budget_{figure}_bytes{{{NODE},period="{period}"}})'
        for figure in ("used", "limit")
    )
    return f"{used} / {limit}"


LATEST = (
    matrix(
        "Throughput to the peer",
        "What the receiver counted in the latest finished iperf3 test of each path. Rows are sources. A test is capped "
        "at the fleet file's bits_per_second: near the cap the path may carry more.",
        "bps",
        _latest("bandwidth_forward_bits_per_second"),
        row="node",
        column="destination",
        thresholds=((None, BLUE),),
        link=("Path", PATH_OF_CELL),
    ),
    matrix(
        "Latency by qperf",
        "Half of the mean round trip in the latest finished qperf test of each path.",
        "s",
        _latest("qperf_latency_seconds"),
        row="node",
        column="destination",
        thresholds=((None, BLUE),),
        link=("Path", PATH_OF_CELL),
    ),
)

OVER_TIME = (
    lines(
        "Throughput over time",
        "Latest finished iperf3 test of each path.",
        "bps",
        Query(
            f"max by (node, destination, family) (lightfloor_bandwidth_forward_bits_per_second{{{NODE}}})",
            NAME,
        ),
    ),
    lines(
        "Retransmitted by tests",
        "TCP segments that iperf3 tests sent again. Many at a low throughput: loss; many at the cap: a small buffer on the way.",
        "none",
        Query(
            f"sum by (node, destination, family) (increase(lightfloor_bandwidth_retransmits_total{{{NODE}}}[$__rate_interval]))",
            NAME,
        ),
    ),
)

COST = (
    figure(
        "Tests by how they ended",
        "Leased tests since the collector started. Refused: a node was busy and is asked again; expired: nobody told the end.",
        "none",
        Query("sum by (outcome) (lightfloor_bandwidth_tests_total)", "{{outcome}}"),
        width=8,
        height=8,
    ),
    lines(
        "Day's budget",
        "Share of what a node's tests may move in a day (UTC) that is used or reserved, both directions.",
        "percentunit",
        Query(_of_budget("day"), "{{node}}"),
        thresholds=((None, GREEN), (0.9, YELLOW), (1, RED)),
        width=8,
    ),
    lines(
        "Month's budget",
        "The same of the month. When it is used up, no test of the node is leased until the month ends.",
        "percentunit",
        Query(_of_budget("month"), "{{node}}"),
        thresholds=((None, GREEN), (0.9, YELLOW), (1, RED)),
        width=8,
    ),
)

OTHERS = (
    lines(
        "Throughput from the peer",
        "What came back in the latest finished iperf3 test of each path, where it measured both ways.",
        "bps",
        Query(
            f"max by (node, destination, family) (lightfloor_bandwidth_reverse_bits_per_second{{{NODE}}})",
            NAME,
        ),
    ),
    lines(
        "Datagrams lost by tests",
        "Share of the datagrams of the latest UDP test of each path, by iperf3 or qperf.",
        "percentunit",
        Query(
            f"max by (node, destination, family) (lightfloor_bandwidth_loss_ratio{{{NODE}}})",
            NAME + " iperf3",
        ),
        Query(f"max by (node, destination, family) (lightfloor_qperf_loss_ratio{{{NODE}}})", NAME + " qperf"),
    ),
    lines(
        "Jitter",
        "Of the latest UDP test of each path (RFC 3550 section 6.4.1).",
        "s",
        Query(f"max by (node, destination, family) (lightfloor_bandwidth_jitter_seconds{{{NODE}}})", NAME),
    ),
    lines(
        "qperf throughput",
        "Latest finished qperf bandwidth test of each path.",
        "bps",
        Query(f"max by (node, destination, family) (lightfloor_qperf_bits_per_second{{{NODE}}})", NAME),
    ),
)

BOARD = Board(
    "bandwidth",
    "Bandwidth",
    "What each path carried in its last test, and what the tests cost of the transfer allowance.",
    (variables.provider(), variables.region(), variables.nodes("Source")),
    (
        Row("Latest tests", LATEST),
        Row("Over time", OVER_TIME),
        Row("Tests and budget", COST),
        Row("What only tests of an agent's own peers measure", OTHERS),
    ),
    span="now-7d",
)
