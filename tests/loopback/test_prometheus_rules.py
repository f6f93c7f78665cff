"""The rules and configurations shipped for Prometheus, by Prometheus' own tool."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from exported_metrics import unknown

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
RULES = PROMETHEUS / "rules"

pytestmark = [
    pytest.mark.debian,
    pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian package prometheus)"),
]


def promtool(*arguments: str) -> None:
    done = subprocess.run(
        ["promtool", *arguments], cwd=PROMETHEUS, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def alerts() -> list[dict]:
    groups = yaml.safe_load((RULES / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_each_alert_fires_on_its_fault_and_not_on_what_resembles_it():
    """promtool's own unit tests of the rules pass, and every alert has one that fires."""
    promtool("test", "rules", "alerts.test.yml")
    promtool("test", "rules", "alerts_slow.test.yml")
    tested = (PROMETHEUS / "alerts.test.yml").read_text()
    expected = set(re.findall(r"Lightfloor\w+", re.sub(r'alertname=~"[^"]*"', "", tested)))
    assert {rule["alert"] for rule in alerts()} <= expected


def test_rules_and_scrape_configuration_are_valid():
    """promtool finds nothing wrong with the rules or with the example configuration."""
    promtool("check", "rules", "rules/alerts.yml", "rules/recording.yml")
    promtool("check", "config", "prometheus.example.yml")


def test_each_alert_says_what_it_is_and_where_to_read_on():
    """Every alert has a severity, a summary, a description, a link and a section of the runbook that exists."""
    runbook = (ROOT / "docs/runbook.md").read_text()
    sections = {
        f"docs/runbook.md#{name.lower()}" for name in re.findall(r"^## (\w+)$", runbook, re.MULTILINE)
    }
    for rule in alerts():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert rule["annotations"].keys() == {"summary", "description", "runbook", "link"}
        assert rule["annotations"]["runbook"] in sections, rule["alert"]
    assert sections == {rule["annotations"]["runbook"] for rule in alerts()}


def test_rules_stand_on_metrics_that_exist():
    """Each metric a rule names is one that an agent or the collector exports, or another rule records."""
    for file in (RULES / "alerts.yml", RULES / "recording.yml"):
        assert unknown(_expressions(file)) == set()


def _expressions(file: Path) -> list[str]:
    return [rule["expr"] for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]
