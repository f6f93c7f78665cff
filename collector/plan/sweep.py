"""What a fleet's bandwidth tests come to: which paths, how long, how many bytes, at what price, before any runs. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.wire.lease import Terms
from collector.fleet import Fleet
from collector.plan.budget import DAYS_PER_MONTH, Budget, budget_of, most_bytes
from collector.plan.matching import Pair, in_order, rounds

SLOT_MARGIN_SECONDS = 5.0
"""Between two tests of a node: both ends learn of the lease, the server starts, the client connects."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """Every test that is wanted, in the order of a first sweep. excluded: why a node is in none."""

    terms: tuple[Terms, ...]
    pairs: tuple[Pair, ...]
    budgets: dict[str, Budget]
    excluded: dict[str, str]
    interval_seconds: float


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One node's share, both directions together; the cost is of what it sends. Upper bounds: the peer's budget counts too.

    bytes_per_sweep: of every test once. per_day: what interval and budget allow. cost_*: None without a stated price.
    """

    node: str
    provider: str
    tests_per_sweep: int
    bytes_per_sweep: int
    tests_per_day: float
    bytes_per_day: int
    bytes_per_month: int
    budget_day_bytes: int
    budget_month_bytes: int
    cost_per_day: float | None
    cost_per_month: float | None
    currency: str


@dataclass(frozen=True, slots=True)
class ProviderPlan:
    """The sums over one provider's nodes."""

    provider: str
    nodes: int
    bytes_per_day: int
    bytes_per_month: int
    cost_per_day: float | None
    cost_per_month: float | None
    currency: str


def sweep_of(fleet: Fleet) -> Sweep | None:
    """What [bandwidth] asks for; None where the fleet file has no such table."""
    settings = fleet.document.bandwidth
    if settings is None:
        return None
    terms = settings.terms
    largest = max(most_bytes(each) for each in terms)
    budgets, excluded = {}, {}
    for name, node in fleet.nodes.items():
        if node.transfer_allowance_bytes is None:
            excluded[name] = "states no transfer_allowance_bytes"
            continue
        budget = budget_of(node.transfer_allowance_bytes, settings.budget_ratio)
        if largest > budget.day_bytes:
            excluded[name] = f"one test moves {largest:,} bytes, a day's budget is {budget.day_bytes:,}"
            continue
        budgets[name] = budget
    wanted = [(a, b) for a, b in fleet.pairs if a in budgets and b in budgets]
    return Sweep(
        terms=terms,
        pairs=tuple(in_order(list(budgets), wanted)),
        budgets=budgets,
        excluded=excluded,
        interval_seconds=settings.interval_hours * 3600,
    )


def sweep_seconds(sweep: Sweep) -> float:
    """How long a first sweep takes where no budget slows it: each round's two directions, one kind after the other."""
    wanted = set(sweep.pairs)
    slots = sum(
        any(pair in wanted for pair in direction)
        for matches in rounds(list(sweep.budgets))
        for direction in (matches, [(b, a) for a, b in matches])
    )
    return slots * sum(each.duration_seconds + SLOT_MARGIN_SECONDS for each in sweep.terms)


def node_plans(fleet: Fleet, sweep: Sweep) -> list[NodePlan]:
    """One for each node that is in a test."""
    each_bytes = sum(most_bytes(each) for each in sweep.terms)
    return [
        _node_plan(fleet, sweep, name, each_bytes, list(_partners(name, sweep.pairs)))
        for name in sweep.budgets
    ]


def _partners(node: str, pairs: Sequence[Pair]) -> Iterable[bool]:
    """For each test of this node, whether it is the client, which sends."""
    return (client == node for client, server in pairs if node in (client, server))


def _node_plan(fleet: Fleet, sweep: Sweep, name: str, each_bytes: int, sends: list[bool]) -> NodePlan:
    provider = fleet.providers[fleet.nodes[name].provider]
    budget = sweep.budgets[name]
    whole = each_bytes * len(sends)
    per_day = min(whole * 86400 / sweep.interval_seconds, budget.day_bytes)
    share = per_day / whole if whole else 0.0
    sent_per_day = sum(sends) * each_bytes * share
    price = provider.price_per_gigabyte
    cost = None if price is None else sent_per_day / 1e9 * price
    return NodePlan(
        node=name,
        provider=provider.name,
        tests_per_sweep=len(sends) * len(sweep.terms),
        bytes_per_sweep=whole,
        tests_per_day=len(sends) * len(sweep.terms) * share,
        bytes_per_day=round(per_day),
        bytes_per_month=round(min(per_day * DAYS_PER_MONTH, budget.month_bytes)),
        budget_day_bytes=budget.day_bytes,
        budget_month_bytes=budget.month_bytes,
        cost_per_day=cost,
        cost_per_month=None if cost is None else cost * DAYS_PER_MONTH,
        currency=provider.currency,
    )


def provider_plans(nodes: Sequence[NodePlan]) -> list[ProviderPlan]:
    """One for each provider, in order of first appearance."""
    result = []
    for name in dict.fromkeys(node.provider for node in nodes):
        own = [node for node in nodes if node.provider == name]
        result.append(
            ProviderPlan(
                provider=name,
                nodes=len(own),
                bytes_per_day=sum(node.bytes_per_day for node in own),
                bytes_per_month=sum(node.bytes_per_month for node in own),
                cost_per_day=_sum(node.cost_per_day for node in own),
                cost_per_month=_sum(node.cost_per_month for node in own),
                currency=own[0].currency,
            )
        )
    return result


def _sum(costs: Iterable[float | None]) -> float | None:
    known = [cost for cost in costs if cost is not None]
    return sum(known) if known else None
