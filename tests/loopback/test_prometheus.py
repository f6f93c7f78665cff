"""A real Prometheus with the shipped configuration: it finds the agents by itself, labels them, and evaluates the rules."""

import shutil

import pytest

from agent_process import AgentProcess, free_port
from collector_process import CollectorProcess
from prometheus_process import Prometheus

pytestmark = [
    pytest.mark.debian,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs prometheus (Debian package)"),
]
FLEET = """
[[providers]]
name = "alpha"
[[sites]]
name = "fra"
iata = "FRA"
region = "eu"
[[nodes]]
name = "fra-1"
provider = "alpha"
site = "fra"
ipv4 = "127.0.0.1"
role = "edge"
tags = ["a", "b"]
metrics_port = {port}
[[nodes]]
name = "six"
provider = "alpha"
site = "fra"
ipv6 = "::1"
metrics_port = {port}
"""


def test_prometheus_finds_labels_and_judges_agents(tmp_path):
    """Agents come from the fleet file with their labels; every shipped rule evaluates; what is down is an alert in waiting."""
    (tmp_path / "agent").mkdir()
    agent = AgentProcess(tmp_path / "agent")
    agent.write(agent.own_peer())
    (tmp_path / "fleet.toml").write_text(FLEET.format(port=agent.port))
    config = tmp_path / "collector.toml"
    config.write_text('[store]\npath = "store.db"\n')
    port = free_port()
    collector = CollectorProcess(config, port)
    try:
        collector.wait()
        with agent, Prometheus(tmp_path / "prometheus", port, f"127.0.0.1:{free_port()}") as prometheus:
            ((labels, _),) = prometheus.until('up{job="lightfloor-agent",node="fra-1"} == 1')
            stated = {"provider": "alpha", "site": "fra", "region": "eu", "role": "edge", "tags": ",a,b,"}
            assert labels.items() >= stated.items()
            assert prometheus.until('up{node="six"}')[0][0]["instance"] == f"[::1]:{agent.port}"
            prometheus.until('path:lightfloor_probes:rate5m{node="fra-1",destination="self"} > 0')
            assert prometheus.until('up{job="lightfloor-collector"} == 1')
            prometheus.until('ALERTS{alertname="LightfloorAgentSilent",node="six",alertstate="pending"}')
            rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
            assert len(rules) > 30
            assert [rule["name"] for rule in rules if rule["health"] == "err"] == []
    finally:
        collector.kill()
