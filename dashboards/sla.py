"""What each provider promised and what it kept: verdicts, budget, how fast it burns, and what was left out."""

from dashboards import variables
from dashboards.board import Board, Row, link_to
from dashboards.panels import GOOD_IS_ZERO, GREEN, ORANGE, RED, YELLOW, Query, figure, lines
from dashboards.promql import VERDICTS, highest, with_provider
from dashboards.tables import Column, rows

JUDGED = 'source=~"$node",probe="$probe",family="$family"'
PATH = "source, destination"
PERIOD = ',period="$period"'
BUDGET: tuple[tuple[float | None, str], ...] = ((None, RED), (0, YELLOW), (0.25, GREEN))
BURN: tuple[tuple[float | None, str], ...] = ((None, GREEN), (1, YELLOW), (6, ORANGE), (14.4, RED))
PATH_OF_ROW = link_to(
    "path",
    node="${__data.fields[0]}",
    destination="${__data.fields[1]}",
    probe="${probe}",
    family="${family}",
)


def _by_provider(aggregation: str, metric: str, more: str = "") -> str:
    of_provider = with_provider(f"lightfloor_sla_{metric}{{{JUDGED}{more}}}")
    return f"{aggregation} by (provider) ({of_provider})"


def _paths(verdicts: str) -> str:
    """Paths with one of these verdicts, by provider of the source."""
    return f'count by (provider) ({with_provider(f"""lightfloor_sla_verdict{{{JUDGED},verdict=~"{verdicts}"}}""")})'


def _burn(window: str) -> str:
    return highest(f'max by ({PATH}) (lightfloor_sla_burn_rate{{{JUDGED},window="{window}"}})')


PROVIDERS = (
    figure(
        "Least budget left",
        "Of each provider's paths the one with least left: share of the slow round trips allowed in the period so far; below 0 it is overdrawn.",
        "percentunit",
        Query(_by_provider("min", "budget_remaining_ratio", PERIOD), "{{provider}}"),
        thresholds=BUDGET,
        width=6,
    ),
    figure(
        "Least availability",
        "Of each provider's paths the lowest share of minutes with an answer, of 24 hours.",
        "percentunit",
        Query(_by_provider("min", "availability_ratio"), "{{provider}}"),
        thresholds=((None, RED), (0.99, YELLOW), (0.999, GREEN)),
        width=6,
        decimals=3,
    ),
    figure(
        "Paths that fail",
        "Paths from each provider's nodes with a proven breach (FAIL), or that no luck could keep (UNACHIEVABLE).",
        "none",
        Query(f"{_paths('FAIL|UNACHIEVABLE')} or 0 * {_paths('.+')}", "{{provider}}"),
        thresholds=GOOD_IS_ZERO,
        width=6,
    ),
    figure(
        "Paths that burn",
        "Paths that spend their budget too fast in a long and a short window at once; unknown with fewer than 100 samples.",
        "none",
        Query(
            f"sum by (provider) ({with_provider(f'max by ({PATH}) (lightfloor_sla_burning{{{JUDGED}}})')})",
            "{{provider}}",
        ),
        thresholds=GOOD_IS_ZERO,
        width=6,
    ),
)


def _of_paths(metric: str, more: str = "") -> str:
    return f"max by ({PATH}) (lightfloor_sla_{metric}{{{JUDGED}{more}}})"


PATHS = (
    rows(
        "Paths, least budget first",
        "Budget of the chosen period, all else of the last 24 hours. The objective is the share of round trips that the class wants within the limit; "
        "a path whose budget is overdrawn is not failed before that is proven.",
        {"source": "From", "destination": "To", "verdict": "Verdict"},
        (
            Column("Budget left", "percentunit", _of_paths("budget_remaining_ratio", PERIOD), BUDGET),
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
        "Least budget left over time",
        "Of each provider's paths the one with least left of the period's allowance.",
        "percentunit",
        Query(_by_provider("min", "budget_remaining_ratio", PERIOD), "{{provider}}"),
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
        "How many times faster than allowed slow round trips came, the twenty fastest paths. Above 14.4, in the last five "
        "minutes too, it is an alert: 30 days' allowance would last two. Spoiled minutes are left out.",
        "none",
        Query(_burn("1h"), "{{source}} → {{destination}}"),
        thresholds=BURN,
    ),
    lines(
        "Burn rate, one day",
        "The same over a day; above 3 is an alert, above 1 the period's allowance will not last.",
        "none",
        Query(_burn("1d"), "{{source}} → {{destination}}"),
        thresholds=BURN,
    ),
    lines(
        "What is known of paths",
        "Paths by state: silent is no data, few samples prove nothing, unjudged have no limit, unanswered lose every probe.",
        "none",
        Query(f"count by (state) (lightfloor_sla_state{{{JUDGED}}})", "{{state}}"),
        stacked=True,
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
        variables.budget_period(),
    ),
    (Row("Providers", PROVIDERS), Row("Paths", PATHS), Row("Budget", BUDGETS)),
    span="now-24h",
)
