"""`plan`: which bandwidth tests the fleet file asks for, their bytes and their price, before any runs."""

import argparse
from dataclasses import asdict
from pathlib import Path

import msgspec

from collector.commands import CommandError, add_config_argument
from collector.config import read_config
from collector.fleet import Fleet, read_fleet
from collector.plan.sweep import (
    NodePlan,
    ProviderPlan,
    Sweep,
    node_plans,
    provider_plans,
    sweep_of,
    sweep_seconds,
)
from collector.text_table import aligned


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    add_config_argument(parser)
    parser.add_argument(
        "--fleet", type=Path, metavar="FILE", help="fleet file, in place of the one that collector.toml names"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Prints tests, bytes and money. Raises ConfigError, CommandError."""
    path = arguments.fleet or Path(read_config(arguments.config).fleet.path)
    fleet = read_fleet(path)
    sweep = sweep_of(fleet)
    if sweep is None:
        raise CommandError(f"{path}: has no [bandwidth] table, so no test is planned")
    nodes = node_plans(fleet, sweep)
    if arguments.json:
        print(msgspec.json.encode(_as_json(sweep, nodes)).decode())
    else:
        print(_as_text(fleet, sweep, nodes))
    return 0


def _as_json(sweep: Sweep, nodes: list[NodePlan]) -> dict[str, object]:
    return {
        "paths": len(sweep.pairs),
        "tests_per_sweep": len(sweep.pairs) * len(sweep.terms),
        "sweep_seconds": sweep_seconds(sweep),
        "interval_seconds": sweep.interval_seconds,
        "nodes": [asdict(node) for node in nodes],
        "providers": [asdict(provider) for provider in provider_plans(nodes)],
        "excluded": sweep.excluded,
    }


def _as_text(fleet: Fleet, sweep: Sweep, nodes: list[NodePlan]) -> str:
    tests = len(sweep.pairs) * len(sweep.terms)
    head = (
        f"{tests} tests over {len(sweep.pairs)} paths, every {sweep.interval_seconds / 3600:g} h;"
        f" a sweep takes {sweep_seconds(sweep) / 60:.1f} min where no budget slows it"
    )
    node_rows = [
        (
            node.node,
            node.provider,
            node.tests_per_sweep,
            _gigabytes(node.bytes_per_sweep),
            f"{node.tests_per_day:.1f}",
            _gigabytes(node.bytes_per_day),
            _gigabytes(node.bytes_per_month),
            _gigabytes(node.budget_month_bytes),
            _money(node),
        )
        for node in nodes
    ]
    provider_rows = [
        (
            each.provider,
            each.nodes,
            _gigabytes(each.bytes_per_day),
            _gigabytes(each.bytes_per_month),
            _money(each),
        )
        for each in provider_plans(nodes)
    ]
    parts = [
        head,
        aligned(
            (
                "node",
                "provider",
                "tests",
                "GB/sweep",
                "tests/day",
                "GB/day",
                "GB/month",
                "budget",
                "cost/month",
            ),
            node_rows,
        ),
        aligned(("provider", "nodes", "GB/day", "GB/month", "cost/month"), provider_rows),
    ]
    parts += [f"not tested: {name} {reason}" for name, reason in sweep.excluded.items()]
    parts += [
        f"no price known: {name}"
        for name, provider in fleet.providers.items()
        if provider.price_per_gigabyte is None
    ]
    return "\n\n".join(parts[:3]) + "".join(f"\n{line}" for line in parts[3:])


def _gigabytes(count: int) -> float:
    return count / 1e9


def _money(plan: NodePlan | ProviderPlan) -> str | None:
    return None if plan.cost_per_month is None else f"{plan.cost_per_month:.2f} {plan.currency}"
