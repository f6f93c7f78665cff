"""The configuration shipped for Alertmanager, by its own tool and in a real one."""

import json
import re
import shutil
import subprocess
import time

import pytest
import yaml

from agent_process import free_port
from alerting import PROGRAM, SHIPPED, Alertmanager, Webhook

pytestmark = [
    pytest.mark.debian,
    pytest.mark.skipif(
        PROGRAM is None or shutil.which("amtool") is None,
        reason="needs Alertmanager (Debian package prometheus-alertmanager)",
    ),
]
PATH = {"node": "a", "destination": "b", "probe": "tcp", "family": "ipv4", "provider": "vultr"}


def amtool(*arguments):
    done = subprocess.run(["amtool", *arguments], cwd=SHIPPED, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def shipped_alerts():
    rules = SHIPPED.parent / "prometheus/rules/alerts.yml"
    return [rule for group in yaml.safe_load(rules.read_text())["groups"] for rule in group["rules"]]


def alert(name, severity="critical", **labels):
    return {"labels": {"alertname": name, "severity": severity, **labels}}


def test_the_configuration_is_valid():
    """amtool finds nothing wrong with it, template included."""
    assert "1 templates" in amtool("check-config", "alertmanager.yml")


@pytest.mark.parametrize(
    ("receivers", "labels"),
    [
        ("pager", "alertname=LightfloorCollectorDown severity=critical"),
        ("pager", "alertname=LightfloorNodeDown severity=critical provider=another"),
        ("pager,hetzner-desk", "alertname=LightfloorNodeDown severity=critical provider=hetzner"),
        ("pager,vultr-desk", "alertname=LightfloorPathDown severity=critical provider=vultr"),
        ("hetzner-desk,chat", "alertname=LightfloorSlaBurn severity=warning provider=hetzner"),
        ("chat", "alertname=LightfloorClockBad severity=warning provider=hetzner"),
        ("mail", "alertname=LightfloorCaptureDisk severity=info provider=hetzner"),
        ("mail", "alertname=Another"),
    ],
)
def test_an_alert_reaches_who_can_do_something(receivers, labels):
    """Severity decides who is woken; a provider's desk hears what its provider has to answer for, and no more."""
    amtool(
        "config", "routes", "test", "--config.file=alertmanager.yml",
        f"--verify.receivers={receivers}", *labels.split(),
    )  # fmt: skip


def test_every_alert_named_exists():
    """Routes and inhibitions name no alert that the rules do not have."""
    named = set()
    for pattern in re.findall(r'alertname=~?"([^"]+)"', (SHIPPED / "alertmanager.yml").read_text()):
        prefix, _, choice = pattern.rstrip(")").partition("(")
        named |= {prefix + name for name in choice.split("|")} if choice else set(pattern.split("|"))
    assert len(named) > 10
    assert named <= {rule["alert"] for rule in shipped_alerts()}


def test_a_message_says_what_is_wrong_and_where_to_read_on(tmp_path):
    """Title and text have the group, each alert's summary, its page and its section of the runbook."""
    rule = next(rule for rule in shipped_alerts() if rule["alert"] == "LightfloorNodeDown")
    firing = {"status": "firing", "labels": {}, "annotations": {**rule["annotations"], "link": "/path/a/b"}}
    data = {"status": "firing", "groupLabels": {"alertname": "X", "provider": "p"}, "alerts": [firing]}
    (tmp_path / "data.json").write_text(json.dumps(data))

    def rendered(name):
        return amtool(
            "template", "render", "--template.glob=lightfloor.tmpl", f"--template.data={tmp_path}/data.json",
            f'--template.text={{{{ template "{name}" . }}}}',
        ).strip()  # fmt: skip

    assert rendered("lightfloor.title") == "[FIRING 1] X p"
    text = rendered("lightfloor.text")
    assert text.startswith(rule["annotations"]["summary"])
    assert "\n  https://collector.example.net:10990/path/a/b\n" in text
    assert text.endswith("docs/runbook.md#lightfloornodedown")


@pytest.mark.parametrize(
    ("pages", "alerts"),
    [
        pytest.param(
            [["LightfloorNodeDown"]],
            [
                alert("LightfloorNodeDown", node="b", destination="b", provider="vultr"),
                alert("LightfloorAgentSilent", node="b", provider="vultr"),
                alert("LightfloorNodeSilent", node="b"),
                alert("LightfloorPathDown", **PATH),
                alert("LightfloorPathDown", **PATH | {"node": "c", "provider": "hetzner"}),
                alert("LightfloorSlaBurn", burn="1h", **PATH),
            ],
            id="a node is down",
        ),
        pytest.param(
            [["LightfloorNodeDown", "LightfloorNodeDown"]],
            [
                alert("LightfloorNodeDown", node="b", destination="b", provider="vultr"),
                alert("LightfloorNodeDown", node="c", destination="c", provider="vultr"),
            ],
            id="a provider is down",
        ),
        pytest.param(
            [["LightfloorStoreNotWritable"]],
            [alert("LightfloorStoreNotWritable"), alert("LightfloorNodeSilent", node="b")],
            id="the collector cannot store",
        ),
        pytest.param(
            [["LightfloorPathDown"], ["LightfloorPathDown"]],
            [
                alert("LightfloorPathDown", **PATH),
                alert("LightfloorSlaBurn", burn="1h", **PATH),
                alert("LightfloorPathDown", **PATH | {"node": "c", "provider": "hetzner"}),
            ],
            id="two paths of two providers are down",
        ),
        pytest.param(
            [["LightfloorNodeDown"], ["LightfloorPathDown"]],
            [
                alert("LightfloorNodeDown", node="c", destination="c", provider="vultr"),
                alert("LightfloorPathDown", **PATH),
            ],
            id="a node and a path that does not lead to it",
        ),
    ],
)
def test_one_cause_is_one_page(tmp_path, pages, alerts):
    """Handed in together, a cause and what follows from it give one page; what has another cause gives its own."""
    with Webhook() as webhook, Alertmanager(tmp_path, free_port(), webhook) as alertmanager:
        alertmanager.post(alerts)
        deadline = time.monotonic() + 20
        while len(webhook.of("pager")) < len(pages) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1.5)  # a page too many would come with the next flush of its group
        assert sorted(webhook.of("pager")) == [("firing", page) for page in pages]
