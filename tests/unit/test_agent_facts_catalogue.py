"""docs/facts.md is what the catalogue says."""

from pathlib import Path

from agent.facts.catalogue import CATALOGUE, facts_page
from agent.hostfacts import collect
from tests.host_samples import HOSTS

PAGE = Path(__file__).resolve().parents[2] / "docs/facts.md"
LIVE_ONLY = {
    "interface.<name>.offload.<feature>",
    "cloud.<name>",
    "sysctl_file.unreadable.<file>",
    "overlay_config.unreadable.<file>",
}


def test_the_page_is_current():
    """`python -m agent.facts.catalogue > docs/facts.md` would change nothing."""
    assert PAGE.read_text() == facts_page()


def test_every_entry_is_reached():
    """No entry names a fact that nothing collects."""
    names = [fact.name for tree in HOSTS.iterdir() for fact in collect(tree, 0)]
    unreached = {entry.name for entry in CATALOGUE if not any(entry.matches(name) for name in names)}
    assert unreached == LIVE_ONLY


def test_every_parameter_that_advice_names_is_collected():
    """The parameters in the advice table are facts."""
    keys = {
        fact.name.removeprefix("sysctl.")
        for fact in collect(HOSTS / "hong-kong", 0)
        if fact.name.startswith("sysctl.")
    }
    named = "sack window_scaling rmem wmem moderate_rcvbuf adv_win_scale mem slow_start_after_idle congestion_control"
    named += " available_congestion_control mtu_probing max_syn_backlog"
    assert {f"net.ipv4.tcp_{name}" for name in named.split()} <= keys
    others = "net.core.rmem_max net.core.wmem_max net.core.somaxconn net.core.netdev_budget net.core.netdev_budget_usecs"
    others += " net.core.netdev_max_backlog net.core.default_qdisc net.core.busy_poll vm.swappiness net.ipv4.ip_forward"
    assert set(others.split()) <= keys
