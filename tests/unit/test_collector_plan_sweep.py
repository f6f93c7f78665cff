"""`plan`: what tests cost, before any runs."""

import json

import pytest

from collector.cli import main
from collector.fleet import parse_fleet
from collector.plan.sweep import node_plans, provider_plans, sweep_of, sweep_seconds


def fleet_text(nodes, bandwidth="[bandwidth]\n", allowance="transfer_allowance_bytes = 20_000_000_000_000"):
    text = (
        bandwidth
        + '[[providers]]\nname = "p"\nprice_per_gigabyte = 0.02\ncurrency = "USD"\n[[providers]]\nname = "q"\n'
    )
    text += '[[sites]]\nname = "s"\n[[groups]]\nname = "all"\n'
    for i in range(nodes):
        text += f'[[nodes]]\nname = "n{i}"\nprovider = "{"pq"[i % 2]}"\nsite = "s"\nipv4 = "192.0.2.{i + 1}"\n{allowance}\n'
    return text


def test_fifty_nodes_take_about_25_minutes():
    """49 rounds, both directions, 10 s of test and 5 s between."""
    fleet = parse_fleet(fleet_text(50), "fleet.toml")
    sweep = sweep_of(fleet)
    assert len(sweep.pairs) == 50 * 49
    assert sweep_seconds(sweep) == 49 * 2 * 15


def test_bytes_and_money_add_up():
    """Three nodes: each sends twice and receives twice 250 MB a week; only what is sent is paid, where a price is stated."""
    fleet = parse_fleet(fleet_text(3), "fleet.toml")
    nodes = node_plans(fleet, sweep_of(fleet))
    assert [node.tests_per_sweep for node in nodes] == [4, 4, 4]
    assert nodes[0].bytes_per_sweep == 4 * 265_000_000
    assert nodes[0].bytes_per_day == pytest.approx(4 * 265e6 / 7, abs=1)
    assert nodes[0].cost_per_month == pytest.approx(2 * 0.265 / 7 * 30 * 0.02)
    assert nodes[1].cost_per_month is None
    p, q = provider_plans(nodes)
    assert (p.provider, p.nodes, p.currency) == ("p", 2, "USD")
    assert p.cost_per_month == pytest.approx(2 * nodes[0].cost_per_month)
    assert q.cost_per_month is None


def test_a_budget_slows_the_sweep_and_bounds_the_money():
    """Never more per day than the budget, whatever the interval asks for."""
    fleet = parse_fleet(fleet_text(5, "[bandwidth]\ninterval_hours = 1\n"), "fleet.toml")
    for node in node_plans(fleet, sweep_of(fleet)):
        assert node.bytes_per_day == node.budget_day_bytes
        assert node.bytes_per_month <= node.budget_month_bytes


@pytest.mark.parametrize(
    ("allowance", "reason"),
    [
        ("", "states no transfer_allowance_bytes"),
        ("transfer_allowance_bytes = 1_000_000_000", "a day's budget"),
    ],
)
def test_a_node_that_cannot_afford_a_test_is_in_none_and_listed(allowance, reason):
    """Unknown is not unlimited."""
    sweep = sweep_of(parse_fleet(fleet_text(2, allowance=allowance), "fleet.toml"))
    assert not sweep.pairs
    assert all(reason in why for why in sweep.excluded.values())
    assert sorted(sweep.excluded) == ["n0", "n1"]


def test_the_command_prints_all_of_it(capsys, tmp_path):
    """As JSON and for people; without [bandwidth] it says that there is no plan."""
    path = tmp_path / "fleet.toml"
    path.write_text(fleet_text(4))
    assert main(["plan", "--fleet", str(path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["paths"], len(shown["nodes"]), len(shown["providers"])) == (12, 4, 2)
    assert main(["plan", "--fleet", str(path)]) == 0
    assert "12 tests over 12 paths" in capsys.readouterr().out
    path.write_text(fleet_text(4, bandwidth=""))
    assert main(["plan", "--fleet", str(path)]) == 2
    assert "no [bandwidth] table" in capsys.readouterr().err
