"""One path, one probe, one family: its round trip against floor and limit, its losses by direction, and its route."""

from dashboards import variables
from dashboards.board import Board, Row, link_to
from dashboards.panels import GREEN, ORANGE, PLAIN_BYTES, PURPLE, RED, YELLOW, Query, buckets, figure, lines
from dashboards.promql import ROUGH, UNSENT, VERDICTS, distribution, loss, mean, quantile, rough_quantile

SERIES = 'node="$node",destination="$destination",probe="$probe",family="$family"'
BACK = 'node="$destination",destination="$node",probe="$probe",family="$family"'
JUDGED = 'source="$node",destination="$destination",probe="$probe",family="$family"'
OF_FAMILY = 'node="$node",destination="$destination",family="$family"'
OF_PAIR = 'node="$node",destination="$destination"'
RTT = "lightfloor_probe_rtt_seconds"

VERDICT = (
    figure(
        "Verdict",
        "What the collector proves of the last 24 hours; its page has the numbers that it stands on.",
        "none",
        Query(f"max by (verdict) (lightfloor_sla_verdict{{{JUDGED}}} == 1)", "{{verdict}}"),
        only_name=True,
        words=VERDICTS,
    ),
    figure(
        "P99",
        "99th percentile of the round trips of the last 24 hours, within 1.1%.",
        "s",
        Query(f"max(lightfloor_sla_p99_seconds{{{JUDGED}}})"),
    ),
    figure(
        "Floor",
        "Round trip of light in fibre over the great circle between both sites.",
        "s",
        Query(f"max(lightfloor_sla_floor_seconds{{{JUDGED}}})"),
    ),
    figure(
        "P99 ÷ floor",
        "How far the path is from what physics allows. Below 1 a stated location is wrong.",
        "none",
        Query(f"max(lightfloor_sla_ratio_to_floor{{{JUDGED}}})"),
        thresholds=((None, PURPLE), (1, GREEN), (2, YELLOW), (3, ORANGE), (5, RED)),
        decimals=2,
    ),
    figure(
        "Budget left of 30 days",
        "Share of the slow round trips allowed in the last 30 days that is left; below 0 it is overdrawn.",
        "percentunit",
        Query(f'max(lightfloor_sla_budget_remaining_ratio{{{JUDGED},period="30d"}})'),
        thresholds=((None, RED), (0, YELLOW), (0.25, GREEN)),
    ),
    figure(
        "Loss",
        "Share of the last 24 hours' probes that were lost.",
        "percentunit",
        Query(f"max(lightfloor_sla_loss_ratio{{{JUDGED}}})"),
        thresholds=((None, GREEN), (0.005, YELLOW), (0.05, RED)),
        decimals=3,
    ),
)

ROUND_TRIP = (
    lines(
        "Round trip",
        "Mean and percentiles of the round trip, with the floor and the limit of the path. Percentiles need native "
        "histograms in Prometheus, as classic buckets cannot tell which side of a limit they are on.",
        "s",
        Query(mean(RTT, SERIES, "node"), "mean"),
        Query(quantile(0.5, RTT, SERIES), "P50"),
        Query(quantile(0.9, RTT, SERIES), "P90"),
        Query(quantile(0.99, RTT, SERIES), "P99"),
        Query(f"max(lightfloor_sla_p99_seconds{{{JUDGED}}})", "P99 of 24 hours"),
        Query(f"max(lightfloor_path_floor_seconds{{{OF_PAIR}}})", "floor"),
        Query(f"max(lightfloor_path_limit_seconds{{{OF_PAIR}}})", "limit"),
    ),
    buckets(
        "Distribution of the round trip",
        "Probes by their round trip. Two bands are two routes or two legs; a cloud above one band is a queue.",
        "s",
        distribution(RTT, SERIES),
    ),
    lines(
        "Mean, there and back",
        "Mean round trip as this source and as the destination measures it. Both cross the same way there and back, so "
        "a lasting difference is an end host's own.",
        "s",
        Query(mean(RTT, SERIES, "node, destination"), "{{node}} → {{destination}}"),
        Query(mean(RTT, BACK, "node, destination"), "{{node}} → {{destination}}"),
    ),
    lines(
        "Static and dynamic inflation",
        "Smallest round trip ÷ floor is the route, P99 ÷ smallest is queueing and loss recovery; over the 24 hours before.",
        "none",
        Query(f"max(lightfloor_sla_static_inflation{{{JUDGED}}})", "static: route"),
        Query(f"max(lightfloor_sla_dynamic_inflation{{{JUDGED}}})", "dynamic: queues"),
        lowest=1,
    ),
    lines(
        "Over the limit",
        "Share of the round trips above the limit, with the share that the class allows.",
        "percentunit",
        Query(
            f"sum(rate(lightfloor_probe_over_limit_total{{{SERIES}}}[$__rate_interval]))"
            f" / (sum(rate(lightfloor_probe_judged_total{{{SERIES}}}[$__rate_interval])) > 0)",
            "over the limit",
        ),
        Query(f"1 - max(lightfloor_sla_objective_ratio{{{JUDGED}}})", "allowed"),
    ),
    lines(
        "How probes ended",
        "Each scheduled probe ends in exactly one way.",
        "cps",
        Query(
            f"sum by (outcome) (rate(lightfloor_probe_outcomes_total{{{SERIES}}}[$__rate_interval]))",
            "{{outcome}}",
        ),
        stacked=True,
    ),
)


def _one_way_loss(direction: str) -> str:
    sent = f'rate(lightfloor_probe_outcomes_total{{{OF_FAMILY},probe="udp",outcome!~"{UNSENT}"}}[$__rate_interval])'
    return f"sum(rate(lightfloor_udp_lost_{direction}_total{{{OF_FAMILY}}}[$__rate_interval])) / (sum({sent}) > 0)"


DIRECTIONS = (
    lines(
        "Loss, there and back",
        "Share of lost probes as each end measures it, and what the reflector counted in each direction.",
        "percentunit",
        Query(loss(SERIES, "node, destination"), "{{node}} → {{destination}}, round trip"),
        Query(loss(BACK, "node, destination"), "{{node}} → {{destination}}, round trip"),
        Query(_one_way_loss("forward"), "to the destination"),
        Query(_one_way_loss("backward"), "from the destination"),
    ),
    lines(
        "Delay variation by direction",
        "99th percentile of the delay above the last minute's least (RFC 5481), from probe udp." + ROUGH,
        "s",
        Query(
            rough_quantile(0.99, "lightfloor_udp_variation_forward_seconds", OF_FAMILY), "to the destination"
        ),
        Query(
            rough_quantile(0.99, "lightfloor_udp_variation_backward_seconds", OF_FAMILY),
            "from the destination",
        ),
    ),
    lines(
        "One-way delay",
        "Mean delay in each direction, only while both clocks are synchronised, and how far it can be off.",
        "s",
        Query(mean("lightfloor_udp_delay_forward_seconds", OF_FAMILY, "node"), "to the destination"),
        Query(mean("lightfloor_udp_delay_backward_seconds", OF_FAMILY, "node"), "from the destination"),
        Query(f"max(lightfloor_udp_one_way_error_seconds{{{OF_FAMILY}}})", "possible error"),
    ),
    lines(
        "TTL as packets arrive",
        "A step is another route; a step in one direction only is that direction's.",
        "none",
        Query(f"max(lightfloor_udp_ttl_forward{{{OF_FAMILY}}})", "to the destination"),
        Query(f"max(lightfloor_udp_ttl{{{OF_FAMILY}}})", "from the destination"),
        lowest=None,
    ),
)

TRAFFIC = (
    lines(
        "What its connections feel",
        "Smoothed and smallest round trip of the TCP connections between both nodes, medians, as the kernel has them.",
        "s",
        Query(f'max(lightfloor_peer_rtt_seconds{{{OF_PAIR},stat="p50"}})', "smoothed"),
        Query(f'max(lightfloor_peer_min_rtt_seconds{{{OF_PAIR},stat="p50"}})', "smallest"),
    ),
    lines(
        "Retransmitted by its connections",
        "Share of the bytes to the destination that were sent again; absent below 1 MB in 15 seconds. Above 5% all suffer.",
        "percentunit",
        Query(f"max(lightfloor_peer_retransmit_ratio{{{OF_PAIR}}})", "retransmitted"),
        thresholds=((None, GREEN), (0.05, RED)),
        link=("TCP", link_to("tcp", node="${node}", destination="${destination}")),
    ),
    lines(
        "Path MTU",
        "Largest packet that the path carries, and the MTU of the interface that it starts at.",
        PLAIN_BYTES,
        Query(f"max(lightfloor_path_mtu_bytes{{{OF_FAMILY}}})", "path"),
        Query(f"max(lightfloor_path_interface_mtu_bytes{{{OF_FAMILY}}})", "interface"),
        lowest=None,
        link=("MTU and routes", link_to("mtu", node="${node}")),
    ),
    lines(
        "Hops",
        "Routers and the destination, as probe trace counts them.",
        "none",
        Query(f"max(lightfloor_route_hops{{{OF_FAMILY}}})", "hops"),
        link=("MTU and routes", link_to("mtu", node="${node}")),
    ),
)

BOARD = Board(
    "path",
    "Path",
    "One path in depth: round trip against floor and limit, each direction's loss, route, MTU and TCP.",
    (
        variables.provider(),
        variables.region(),
        variables.one_node("Source"),
        variables.one_destination(),
        variables.probe(),
        variables.family(),
    ),
    (
        Row("As the collector judges it", VERDICT),
        Row("Round trip", ROUND_TRIP),
        Row("Each direction", DIRECTIONS),
        Row("Connections, MTU and route", TRAFFIC),
    ),
    page="/path/${node}/${destination}",
)
