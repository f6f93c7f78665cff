"""The whole mesh at a glance: what every path is like against light in fibre, and where to look first."""

from dashboards import variables
from dashboards.board import Board, Row, link_to
from dashboards.panels import GOOD_IS_ZERO, GREEN, ORANGE, PURPLE, RED, YELLOW, Query, figure, lines
from dashboards.promql import VERDICTS, loss
from dashboards.tables import Column, matrix, rows

SERIES = 'source=~"$node",probe="$probe",family="$family"'
PAIR = "source, destination"
PATH_OF_CELL = link_to(
    "path", node="${__data.fields[0]}", destination="${__field.name}", probe="${probe}", family="${family}"
)
PATH_OF_ROW = link_to(
    "path",
    node="${__data.fields[0]}",
    destination="${__data.fields[1]}",
    probe="${probe}",
    family="${family}",
)

NOW = (
    figure(
        "Paths by verdict",
        "How the collector judges the last 24 hours of every path, for the chosen probe and family.",
        "none",
        Query(f"count by (verdict) (lightfloor_sla_verdict{{{SERIES}}} == 1)", "{{verdict}}"),
        width=12,
        words=VERDICTS,
    ),
    figure(
        "Agents that answer",
        "Agents that Prometheus could scrape just now.",
        "none",
        Query('sum(up{job="lightfloor-agent",node=~"$node"})'),
    ),
    figure(
        "Agents that do not",
        "Agents of the fleet file that Prometheus cannot scrape: node down, agent stopped, or a firewall.",
        "none",
        Query('sum(up{job="lightfloor-agent",node=~"$node"} == bool 0)'),
        thresholds=GOOD_IS_ZERO,
    ),
    figure(
        "Silent paths",
        "Paths that the fleet file asks for and nobody has told anything of: no data is neither good nor bad.",
        "none",
        Query(f"sum(lightfloor_sla_silent{{{SERIES}}})"),
        thresholds=((None, GREEN), (1, YELLOW)),
    ),
    figure(
        "Alerts firing",
        "Alerts of the shipped rules, information aside. Without these rules in Prometheus there is no figure.",
        "none",
        Query(
            'count(ALERTS{alertname=~"Lightfloor.+",alertstate="firing",severity!="info"})'
            " or 0 * group(path:lightfloor_probes:rate5m)"
        ),
        thresholds=GOOD_IS_ZERO,
        width=8,
    ),
    figure(
        "Open incidents",
        "Faults that last, each put together from all paths that it spoils, with its cause; announced work is none.",
        "none",
        Query(
            "sum(lightfloor_incidents_open) or 0 * max(lightfloor_incidents_judged_until_timestamp_seconds)"
        ),
        thresholds=GOOD_IS_ZERO,
        width=8,
        link=("Open incidents", "${collector}/incidents"),
    ),
    figure(
        "Findings",
        "What the collector's advice has found wrong on these nodes and their paths, hints aside.",
        "none",
        Query(
            'count(lightfloor_finding_active{node=~"$node",severity!="info"})'
            " or 0 * max(lightfloor_advice_computed_timestamp_seconds)"
        ),
        thresholds=((None, GREEN), (1, YELLOW)),
        width=8,
        link=("Findings", "${collector}/findings"),
    ),
)

MATRIX = (
    matrix(
        "P99 ÷ floor",
        "99th percentile of the last 24 hours as a multiple of the round trip of light in fibre. Rows are sources. "
        "Below 1 is impossible: a stated location is wrong. A cell leads to its path.",
        "none",
        f"max by ({PAIR}) (lightfloor_sla_ratio_to_floor{{{SERIES}}})",
        row="source",
        column="destination",
        thresholds=((None, PURPLE), (1, GREEN), (2, YELLOW), (3, ORANGE), (5, RED)),
        link=("Path", PATH_OF_CELL),
    ),
    matrix(
        "P99 ÷ limit",
        "99th percentile of the last 24 hours as a share of what the SLA class of the path allows. Empty where no class is in force.",
        "percentunit",
        f"max by ({PAIR}) (lightfloor_sla_p99_seconds{{{SERIES}}} / lightfloor_sla_limit_seconds{{{SERIES}}})",
        row="source",
        column="destination",
        thresholds=((None, GREEN), (0.9, YELLOW), (1, RED)),
        link=("Path", PATH_OF_CELL),
        decimals=0,
    ),
)


def _share_over_limit(by: str) -> str:
    series = 'node=~"$node",probe="$probe",family="$family"'
    return (
        f"sum by ({by}) (rate(lightfloor_probe_over_limit_total{{{series}}}[$__rate_interval]))"
        f" / (sum by ({by}) (rate(lightfloor_probe_judged_total{{{series}}}[$__rate_interval])) > 0)"
    )


def _of_pairs(metric: str, more: str = "") -> str:
    return f"max by ({PAIR}) (lightfloor_sla_{metric}{{{SERIES}{more}}})"


PATHS = (
    rows(
        "Paths, worst first",
        "The last 24 hours of every path, for the chosen probe and family; budget of 30 days. Static inflation is the route's part of the "
        "excess over the floor, dynamic inflation the queues'.",
        {"source": "From", "destination": "To", "verdict": "Verdict"},
        (
            Column("P99 ÷ floor", "none", _of_pairs("ratio_to_floor")),
            Column("P99", "s", _of_pairs("p99_seconds")),
            Column("P50", "s", _of_pairs("p50_seconds")),
            Column("Floor", "s", _of_pairs("floor_seconds")),
            Column("Limit", "s", _of_pairs("limit_seconds")),
            Column("Static inflation", "none", _of_pairs("static_inflation")),
            Column(
                "Dynamic inflation", "none", _of_pairs("dynamic_inflation"), ((None, GREEN), (1.2, YELLOW))
            ),
            Column(
                "Loss", "percentunit", _of_pairs("loss_ratio"), ((None, GREEN), (0.005, YELLOW), (0.05, RED))
            ),
            Column(
                "Budget left",
                "percentunit",
                _of_pairs("budget_remaining_ratio", ',period="30d"'),
                ((None, RED), (0, YELLOW), (0.25, GREEN)),
            ),
            Column(
                "Samples",
                "short",
                f"max by ({PAIR}, verdict) (lightfloor_sla_verdict{{{SERIES}}} * on ({PAIR}) group_left () "
                f"max by ({PAIR}) (lightfloor_sla_samples{{{SERIES}}}))",
            ),
        ),
        sort="P99 ÷ floor",
        words={"Verdict": VERDICTS},
        link=("Path", PATH_OF_ROW),
    ),
)

OVER_TIME = (
    lines(
        "Verdicts",
        "Paths by verdict, each judged over the 24 hours before.",
        "none",
        Query(f"count by (verdict) (lightfloor_sla_verdict{{{SERIES}}} == 1)", "{{verdict}}"),
        stacked=True,
        words=VERDICTS,
    ),
    lines(
        "Loss by provider of the source",
        "Share of the probes that were lost. Probes that the host could not send are not in it.",
        "percentunit",
        Query(loss('node=~"$node",probe="$probe",family="$family"', "provider"), "{{provider}}"),
    ),
    lines(
        "Over the limit, by provider of the source",
        "Share of the round trips above the limit of their path; 1% is what a class with the objective 99% allows.",
        "percentunit",
        Query(_share_over_limit("provider"), "{{provider}}"),
        thresholds=((None, GREEN), (0.01, RED)),
    ),
    lines(
        "Over the limit, by region of the source",
        "The same by region: a region that stands out points to a route, a provider that stands out to its network.",
        "percentunit",
        Query(_share_over_limit("region"), "{{region}}"),
        thresholds=((None, GREEN), (0.01, RED)),
    ),
)

BOARD = Board(
    "fleet",
    "Fleet",
    "Every path of the fleet against the round trip of light in fibre, and where to look first.",
    (
        variables.provider(),
        variables.region(),
        variables.nodes("Source"),
        variables.probe(),
        variables.family(),
    ),
    (
        Row("Now", NOW),
        Row("Every path", MATRIX),
        Row("Worst first", PATHS),
        Row("Over time", OVER_TIME),
    ),
)
