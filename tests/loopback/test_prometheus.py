"""A real Prometheus with the shipped configuration: it finds the agents by itself, labels them, and evaluates the rules."""

import json
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
import yaml

from agent_process import AgentProcess, free_port
from collector_process import CollectorProcess

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "deploy/prometheus"
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


class Prometheus:
    """One on loopback with the shipped files; only addresses and the scrape interval are this test's own."""

    def __init__(self, folder, collector_port):
        self._port = free_port()
        document = yaml.safe_load((SHIPPED / "prometheus.example.yml").read_text())
        document["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        document["alerting"] = {}
        agents, collector = document["scrape_configs"]
        sd = agents["http_sd_configs"][0]
        sd["url"] = sd["url"].replace("10990", str(collector_port))
        sd["refresh_interval"] = "1s"
        collector["static_configs"] = [{"targets": [f"127.0.0.1:{collector_port}"]}]
        shutil.copytree(SHIPPED / "rules", folder / "rules")
        (folder / "prometheus.yml").write_text(yaml.safe_dump(document))
        command = [
            "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{self._port}",
        ]  # fmt: skip
        with (folder / "prometheus.log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def get(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/api/v1/{path}", timeout=5) as answer:
                return json.load(answer)["data"]
        except OSError:
            return None

    def query(self, expression):
        """Samples of an instant query: [(labels, value)]."""
        data = self.get("query?" + urllib.parse.urlencode({"query": expression}))
        return [
            (sample["metric"], float(sample["value"][1])) for sample in (data or {"result": ()})["result"]
        ]

    def until(self, expression, seconds=60):
        deadline = time.monotonic() + seconds
        while not (found := self.query(expression)):
            assert time.monotonic() < deadline, f"{expression}: nothing"
            time.sleep(0.3)
        return found


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
    (tmp_path / "prometheus").mkdir()
    try:
        collector.wait()
        with agent, Prometheus(tmp_path / "prometheus", port) as prometheus:
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
