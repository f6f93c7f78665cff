"""From a lossy path to a page and back: the agent, Prometheus with the shipped rules, Alertmanager, a webhook."""

import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from agent_process import AgentProcess
from alerting import PROGRAM, Alertmanager, Webhook
from lab.firewall import drop_ratio
from lab.world import World

SHIPPED = Path(__file__).resolve().parents[2] / "deploy/prometheus"
NEEDED = ("prometheus", "iperf3", "nft")
LACKING = [name for name in NEEDED if shutil.which(name) is None] + ["alertmanager"] * (PROGRAM is None)
pytestmark = [
    pytest.mark.netns,
    pytest.mark.debian,
    pytest.mark.slow,
    pytest.mark.skipif(bool(LACKING), reason=f"needs {', '.join(LACKING)}"),
]
PROMETHEUS_PORT, ALERTMANAGER_PORT = 9090, 9093
LOSS = 0.15


def hurried_rules(folder):
    """The shipped rules, ten seconds for each five minutes; thresholds are as shipped."""
    (folder / "rules").mkdir()
    for file in (SHIPPED / "rules").glob("*.yml"):
        text = file.read_text().replace("[5m]", "[10s]").replace("for: 5m", "for: 2s")
        document = yaml.safe_load(text)
        for group in document["groups"]:
            group["interval"] = "1s"
        (folder / "rules" / file.name).write_text(yaml.safe_dump(document))


def prometheus_configuration(folder, agent_port):
    """The shipped configuration with one agent, labelled as service discovery labels it."""
    document = yaml.safe_load((SHIPPED / "prometheus.example.yml").read_text())
    document["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    agents = {
        "job_name": document["scrape_configs"][0]["job_name"],
        "static_configs": [
            {"targets": [f"127.0.0.1:{agent_port}"], "labels": {"node": "fra", "provider": "hetzner"}}
        ],
    }
    document["scrape_configs"] = [agents]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(document))


@pytest.fixture
def world():
    with World(["fra", "nyc"]) as made:
        yield made


def test_a_lossy_path_is_a_page_and_its_healing_ends_it(world, tmp_path):
    """15% loss under a TCP transfer: the pager gets LightfloorRetransmits of that node, and its end after the loss ends."""
    fra, nyc = world.nodes
    prefix = fra.command([])
    nyc.popen(["iperf3", "-s"])
    with ExitStack() as undo:
        with fra.namespace.enter():
            webhook = undo.enter_context(Webhook())
        undo.enter_context(Alertmanager(tmp_path, ALERTMANAGER_PORT, webhook, prefix))
        agent = undo.enter_context(AgentProcess(tmp_path, prefix=prefix))
        hurried_rules(tmp_path)
        prometheus_configuration(tmp_path, agent.port)
        fra.popen(
            ["prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/tsdb",
             f"--web.listen-address=127.0.0.1:{PROMETHEUS_PORT}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        fra.popen(["iperf3", "-c", nyc.address, "-t", "60", "-b", "10M"], stdout=subprocess.DEVNULL)

        nyc.nft(drop_ratio("input", LOSS, "tcp dport 5201"))
        (alert,) = webhook.wait_for("pager", "firing")
        assert alert["labels"].items() >= {
            "alertname": "LightfloorRetransmits", "node": "fra", "provider": "hetzner", "severity": "critical",
        }.items()  # fmt: skip
        assert "retransmits" in alert["annotations"]["summary"]

        nyc.nft("delete table inet lab\n")
        (ended,) = webhook.wait_for("pager", "resolved")
        assert ended["labels"] == alert["labels"]
        assert {name for name, _ in webhook.notifications} == {"pager"}
