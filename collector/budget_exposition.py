"""Budgets and burn rates as exposition text: gauges, whose lines are the same in both formats. Pure."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from collector.budget import PathBudget, State


class LabelledPath(Protocol):
    """Anything that is of one path, probe and family."""

    @property
    def source(self) -> str: ...
    @property
    def destination(self) -> str: ...
    @property
    def probe(self) -> str: ...
    @property
    def family(self) -> str: ...


def path_labels(row: LabelledPath) -> str:
    """Names are those of the wire (series.Name): none of their characters needs escaping."""
    return f'source="{row.source}",destination="{row.destination}",probe="{row.probe}",family="{row.family}"'


def render_budgets(budgets: Sequence[PathBudget]) -> str:
    """Every family; a figure that is not known has no line, and silence is a line of its own."""
    labelled = [(path_labels(row), row) for row in budgets]
    families = (
        (
            "lightfloor_sla_budget_remaining_ratio",
            "Share of the misses allowed in the period so far that is left; below 0 overdrawn.",
            _remaining(labelled),
        ),
        (
            "lightfloor_sla_burn_rate",
            "Misses in the window divided by those allowed: 1 spends the budget in exactly its period.",
            _rates(labelled),
        ),
        (
            "lightfloor_sla_burning",
            "1 while the window of this length and its short one both burn; absent with too few samples.",
            _burning(labelled),
        ),
        (
            "lightfloor_sla_silent",
            "1 while nobody has told anything of the path: no data is neither good nor bad.",
            (f"{{{labels}}} {int(row.state is State.SILENT)}" for labels, row in labelled),
        ),
        (
            "lightfloor_sla_state",
            "1 for what is known of the path now; other states are absent.",
            (f'{{{labels},state="{row.state}"}} 1' for labels, row in labelled),
        ),
    )
    return "".join(
        f"# HELP {name} {text}\n# TYPE {name} gauge\n" + "".join(f"{name}{line}\n" for line in lines)
        for name, text, lines in families
    )


Labelled = Sequence[tuple[str, PathBudget]]


def _remaining(labelled: Labelled) -> Iterator[str]:
    for labels, row in labelled:
        for budget in row.budgets:
            if budget.remaining_ratio is not None:
                yield f'{{{labels},period="{budget.period}"}} {budget.remaining_ratio!r}'


def _rates(labelled: Labelled) -> Iterator[str]:
    for labels, row in labelled:
        for window, rate in row.rates.items():
            if rate is not None:
                yield f'{{{labels},window="{window}"}} {rate!r}'


def _burning(labelled: Labelled) -> Iterator[str]:
    for labels, row in labelled:
        for burn in row.burns:
            if burn.burning is not None:
                yield f'{{{labels},window="{burn.long}"}} {int(burn.burning)}'
