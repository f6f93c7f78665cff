"""What packets fit through each path, which way they go, and when either changes."""

from dashboards import variables
from dashboards.board import Board, Row, link_to
from dashboards.panels import GOOD_IS_ZERO, GREEN, PLAIN_BYTES, RED, YELLOW, Query, figure, lines
from dashboards.promql import highest
from dashboards.tables import Column, rows

NODE = 'node=~"$node"'
PATH = "node, destination, family"
NAME = "{{node}} → {{destination}} {{family}}"
PATH_OF_ROW = link_to(
    "path", node="${__data.fields[0]}", destination="${__data.fields[1]}", family="${__data.fields[2]}"
)


def _of_paths(metric: str) -> str:
    return f"max by ({PATH}) (lightfloor_{metric}{{{NODE}}})"


def _changed(metric: str) -> str:
    """Only the paths whose figure changed in the period shown; of all of them nobody could read the lines."""
    window = f"lightfloor_{metric}{{{NODE}}}[$__range] @ end()"
    return f"{_of_paths(metric)} and max by ({PATH}) (changes({window})) > 0"


NOW = (
    figure(
        "Black holes",
        "Paths on which larger packets vanish without an ICMP error: connections open and then hang.",
        "none",
        Query(f"sum(lightfloor_path_mtu_black_hole{{{NODE}}})"),
        thresholds=GOOD_IS_ZERO,
        width=6,
    ),
    figure(
        "Smaller than their interface",
        "Paths that carry less than the interface they start at: a tunnel or a smaller link is on the way.",
        "none",
        Query(
            f"sum(lightfloor_path_mtu_bytes{{{NODE}}} < bool lightfloor_path_interface_mtu_bytes{{{NODE}}})"
        ),
        thresholds=((None, GREEN), (1, YELLOW)),
        width=6,
    ),
    figure(
        "MTU changes",
        "Paths whose MTU changed in the period shown.",
        "none",
        Query(f"sum(changes(lightfloor_path_mtu_bytes{{{NODE}}}[$__range]) > bool 0)"),
        thresholds=((None, GREEN), (1, YELLOW)),
        width=6,
    ),
    figure(
        "Route length changes",
        "Paths whose number of hops changed in the period shown. A route of the same length shows on the collector's page only.",
        "none",
        Query(f"sum(changes(lightfloor_route_hops{{{NODE}}}[$__range]) > bool 0)"),
        thresholds=((None, GREEN), (1, YELLOW)),
        width=6,
    ),
)

TABLE = (
    rows(
        "Every path",
        "As last measured. An MTU below the interface's with no router that said so is a black hole; a segment size below "
        "MTU − 40 (IPv6: 60, less 12 with timestamps) is MSS clamping.",
        {"node": "From", "destination": "To", "family": "Family"},
        (
            Column("Path MTU", PLAIN_BYTES, _of_paths("path_mtu_bytes")),
            Column("Interface MTU", PLAIN_BYTES, _of_paths("path_interface_mtu_bytes")),
            Column("Segment size", PLAIN_BYTES, _of_paths("path_tcp_mss_bytes")),
            Column("Black hole", "bool_yes_no", _of_paths("path_mtu_black_hole"), GOOD_IS_ZERO),
            Column("Router reported", "bool_yes_no", _of_paths("path_mtu_icmp_seen")),
            Column("Hops", "none", _of_paths("route_hops")),
            Column("Destination answers traces", "bool_yes_no", _of_paths("route_reached")),
        ),
        sort="Path MTU",
        descending=False,
        link=("Path", PATH_OF_ROW),
        height=12,
    ),
)

OVER_TIME = (
    lines(
        "Paths by MTU",
        "How many paths carry packets of how many bytes. A tunnel that comes between moves some to a smaller size.",
        "none",
        Query(f'count_values("bytes", {_of_paths("path_mtu_bytes")})', "{{bytes}} bytes"),
        stacked=True,
    ),
    lines(
        "Paths by hops",
        "How many paths have how many hops, routers and the destination, as probe trace counts them.",
        "none",
        Query(f'count_values("hops", {_of_paths("route_hops")})', "{{hops}} hops"),
        stacked=True,
    ),
    lines(
        "MTUs that changed",
        "Paths whose MTU changed in the period shown. After a step down every larger packet is lost until all have learnt of it.",
        PLAIN_BYTES,
        Query(_changed("path_mtu_bytes"), NAME),
        lowest=None,
    ),
    lines(
        "Routes that changed in length",
        "Paths whose number of hops changed in the period shown. The collector's page has every change of a route.",
        "none",
        Query(_changed("route_hops"), NAME),
        lowest=None,
    ),
    lines(
        "TTLs that changed",
        "Hops left as packets arrive (probe udp), where it changed in the period shown: another route, and in which direction.",
        "none",
        Query(_changed("udp_ttl_forward"), NAME + " there"),
        Query(_changed("udp_ttl"), NAME + " back"),
        lowest=None,
    ),
    lines(
        "Lossy legs",
        "Fixed source ports that lose more than chance explains: one of several parallel links is bad (probe syn). The twenty highest.",
        "none",
        Query(highest(_of_paths("syn_lossy_legs")), NAME),
    ),
    lines(
        "Loss of the worst leg",
        "Loss ratio of the fixed source port that loses most. The twenty highest.",
        "percentunit",
        Query(highest(_of_paths("syn_worst_leg_loss_ratio")), NAME),
        thresholds=((None, GREEN), (0.05, RED)),
    ),
)

BOARD = Board(
    "mtu",
    "MTU and routes",
    "What packets fit through each path, which way they go, and when either changes.",
    (variables.provider(), variables.region(), variables.nodes("Source")),
    (Row("Now", NOW), Row("Paths", TABLE), Row("Over time", OVER_TIME)),
    span="now-24h",
)
