"""What each provider promised and what it kept: verdicts, budget, how fast it burns, and what was left out."""

from dashboards import variables
from dashboards.board import Board, Row, link_to
from dashboards.panels import GOOD_IS_ZERO, GREEN, ORANGE, RED, YELLOW, Query, figure, lines
from dashboards.promql import ROLLING, VERDICTS, highest, with_provider
from dashboards.tables import Column, rows

JUDGED = 'source=~"$node",probe="$probe",family="$family"'
PATH = "source, destination"
BUDGET: tuple[tuple[float | None, str], ...] = ((None, RED), (0, YELLOW), (0.25, GREEN))
BURN: tuple[tuple[float | None, str], ...] = ((None, GREEN), (1, YELLOW), (6, ORANGE), (14.4, RED))
PATH_OF_ROW = link_to(
    "path",
    node="${__data.fields[0]}",
    destination="${__data.fields[1]}",
    probe="${probe}",
    family="${family}",
)


def _by_provider(aggregation: str, metric: str, *selectors: str) -> str:
    series = f"lightfloor_sla_{metric}{{{','.join((JUDGED, *selectors))}}}"
    return f"{aggregation} by (provider) ({with_provider(series)})"


def _paths(verdicts: str) -> str:
    """Paths with one of these verdicts, by provider of the source."""
    return f'count by (provider) ({with_provider(f"""lightfloor_sla_verdict{{{JUDGED},verdict=~"{verdicts}"}}""")})'


def _burn(window: str) -> str:
    """How many times faster than allowed the slow round trips of this window came, by path."""
    series = 'node=~"$node",probe="$probe",family="$family"'
    over = f"path:lightfloor_over_limit:ratio_rate{window}{{{series}}}"
    allowed = "path:lightfloor_slow_allowed:ratio"
    return highest(f"{over} / on (node, destination, probe, family) group_left () {allowed}")


PROVIDERS = (
    figure(
        "Least budget left",
        "Of each provider's paths the one with least left: share of the allowed slow round trips of 30 days; below 0 it is overdrawn.",
        "percentunit",
        Query(_by_provider("min", "budget_remaining_ratio", ROLLING), "{{provider}}"),
        thresholds=BUDGET,
        width=8,
    ),
    figure(
        "Least availability",
        "Of each provider's paths the lowest share of minutes with an answer, of 24 hours.",
        "percentunit",
        Query(_by_provider("min", "availability_ratio"), "{{provider}}"),
        thresholds=((None, RED), (0.99, YELLOW), (0.999, GREEN)),
        width=8,
        decimals=3,
    ),
    figure(
        "Paths that fail",
        "Paths from each provider's nodes with a proven breach (FAIL), or that no luck could keep (UNACHIEVABLE).",
        "none",
        Query(f"{_paths('FAIL|UNACHIEVABLE')} or 0 * {_paths('.+')}", "{{provider}}"),
        thresholds=GOOD_IS_ZERO,
        width=8,
    ),
)


def _of_paths(metric: str, *selectors: str) -> str:
    return f"max by ({PATH}) (lightfloor_sla_{metric}{{{','.join((JUDGED, *selectors))}}})"


PATHS = (
    rows(
        "Paths, least budget first",
        "The last 24 hours of every path, its budget of 30 days: the objective is the share of round trips that the class wants within the limit; "
        "a path whose budget is overdrawn is not failed before that is proven.",
        {"source": "From", "destination": "To", "verdict": "Verdict"},
        (
            Column("Budget left", "percentunit", _of_paths("budget_remaining_ratio", ROLLING), BUDGET),
            Column("Objective", "percentunit", _of_paths("objective_ratio")),
            Column("Judged", "short", _of_paths("judged")),
            Column("Over the limit", "short", _of_paths("over_limit")),
            Column("P99", "s", _of_paths("p99_seconds")),
            Column("Limit", "s", _of_paths("limit_seconds")),
            Column("Loss", "percentunit", _of_paths("loss_ratio")),
            Column("Availability", "percentunit", _of_paths("availability_ratio")),
            Column("Excluded", "s", _of_paths("excluded_seconds")),
            Column(
                "Samples",
                "short",
                f"max by ({PATH}, verdict) (lightfloor_sla_verdict{{{JUDGED}}}"
                f" * on ({PATH}) group_left () lightfloor_sla_samples{{{JUDGED}}})",
            ),
        ),
        sort="Budget left",
        descending=False,
        words={"Verdict": VERDICTS},
        link=("Path", PATH_OF_ROW),
        height=12,
    ),
)

BUDGETS = (
    lines(
        "Least budget left",
        "Of each provider's paths the one with least left of 30 days' allowance.",
        "percentunit",
        Query(_by_provider("min", "budget_remaining_ratio", ROLLING), "{{provider}}"),
        thresholds=((None, RED), (0, GREEN)),
        lowest=None,
    ),
    lines(
        "Verdicts",
        "Paths by provider of the source and verdict.",
        "none",
        Query(
            f"count by (provider, verdict) ({with_provider(f'lightfloor_sla_verdict{{{JUDGED}}}')})",
            "{{provider}}: {{verdict}}",
        ),
        stacked=True,
    ),
    lines(
        "Burn rate, one hour",
        "How many times faster than allowed slow round trips came, the twenty fastest paths. 14.4 for an hour is an alert: "
        "a month's allowance would last two days. Minutes that the host spoiled are still in it.",
        "none",
        Query(_burn("1h"), "{{node}} → {{destination}}"),
        thresholds=BURN,
    ),
    lines(
        "Burn rate, one day",
        "The same over a day; above 3 is an alert, above 1 the month's allowance will not last.",
        "none",
        Query(_burn("1d"), "{{node}} → {{destination}}"),
        thresholds=BURN,
    ),
    lines(
        "Loss",
        "Highest loss of 24 hours among each provider's paths.",
        "percentunit",
        Query(_by_provider("max", "loss_ratio"), "{{provider}}"),
    ),
    lines(
        "Excluded time",
        "Most time left out of a path's 24 hours because its source host spoiled it, by provider.",
        "s",
        Query(_by_provider("max", "excluded_seconds"), "{{provider}}"),
    ),
)

BOARD = Board(
    "sla",
    "Provider SLA and budget",
    "What each provider promised and what it kept. A path counts for the provider of its source.",
    (
        variables.provider(),
        variables.region(),
        variables.nodes("Source"),
        variables.probe(),
        variables.family(),
    ),
    (Row("Providers", PROVIDERS), Row("Paths", PATHS), Row("Budget", BUDGETS)),
    span="now-24h",
)
