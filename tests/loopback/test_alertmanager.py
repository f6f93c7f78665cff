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


@pytest.mark.parametrize(
    ("hours", "chat"), [({}, [("firing", ["LightfloorClockBad"])]), ({"years": ["2020"]}, [])]
)
def test_a_warning_waits_for_business_hours(tmp_path, hours, chat):
    """Outside its time interval a warning notifies nobody; a critical alert does at any time."""
    with Webhook() as webhook, Alertmanager(tmp_path, free_port(), webhook, hours=hours) as alertmanager:
        alertmanager.post(
            [alert("LightfloorClockBad", "warning", node="a"), alert("LightfloorWindowsLost", node="a")]
        )
        webhook.wait_for("pager", "firing")
        time.sleep(1.5)
        assert webhook.of("chat") == chat


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (alert("LightfloorNodeSilent", node="a"), alert("LightfloorPathsSilent", "warning", node="a")),
        (alert("LightfloorCollectorDown"), alert("LightfloorSpoolGrows", "warning", node="a")),
        (alert("LightfloorRetransmits", node="a"), alert("LightfloorPeerRetransmits", "warning", **PATH)),
        (alert("LightfloorSlaBurn", **PATH, burn="1h"), alert("LightfloorP99OverLimit", "warning", **PATH)),
        (alert("LightfloorMtuBlackHole", **PATH), alert("LightfloorMtuShrank", "warning", **PATH)),
    ],
    ids=lambda each: each["labels"]["alertname"],
)
def test_a_cause_holds_back_the_warning_that_follows(tmp_path, first, then):
    """With its cause firing a warning reaches neither the chat nor a provider's desk; without it, it does."""
    with Webhook() as webhook, Alertmanager(tmp_path, free_port(), webhook, hours={}) as alertmanager:
        elsewhere = {"labels": then["labels"] | {"node": "elsewhere", "provider": "another"}}
        held = [] if "node" not in first["labels"] else [elsewhere]
        alertmanager.post([first, then, *held])
        webhook.wait_for("pager", "firing")
        time.sleep(1.5)
        told = [each["labels"] for _, body in webhook.notifications for each in body["alerts"]]
        assert then["labels"] not in told
        assert all(each["labels"] in told for each in held)
