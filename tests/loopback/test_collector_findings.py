"""Findings of a running collector: the API, the metric and the page say the same."""

import json
import re
import time

import pytest

from agent.wire.batch import Fact
from siblings import HONG_KONG, WORKER
from tests.batches import MS, batch, series, window
from tests.collector_process import CollectorProcess, free_port
from tests.small_fleet import fill, write_files

NOW = int(time.time()) // 60 * 60


@pytest.fixture(scope="module")
def collector(tmp_path_factory):
    """Facts of the Hong Kong case for nyc, of a healthy worker for the others; its path is slow."""
    folder = tmp_path_factory.mktemp("findings")
    batches = []
    for name, facts in (("ams", WORKER), ("fra", WORKER), ("nyc", HONG_KONG)):
        told = [Fact(fact, value, "test <b>", NOW - 3600) for fact, value in facts.items()]
        key = series(name, "fra" if name != "fra" else "ams")
        took = [290 * MS if name == "nyc" else 7 * MS] * 6
        windows = [window(key, NOW - 60 * i, took, 12 * MS) for i in range(1, 90)]
        batches.append(batch(windows, node=name, facts=told))
    fill(folder / "store.db", batches, NOW)
    process = CollectorProcess(write_files(folder), free_port()).wait("/-/ready")
    deadline = time.monotonic() + 30
    while process.get("/v1/findings")[0] == 503 and time.monotonic() < deadline:
        time.sleep(0.1)
    yield process
    process.end()


def test_findings_are_served_with_what_the_contract_names(collector):
    """All of them, of one node, of one rule, of one severity, in either language."""
    status, body, *_ = collector.get("/v1/findings")
    found = json.loads(body)
    assert status == 200
    ours = {finding["id"] for finding in found if finding["node"] == "nyc"}
    assert {"overlay-mtu", "fleet-drift", "p99-over-floor"} <= ours
    for question, keep in (
        ("node=nyc", lambda finding: finding["node"] == "nyc"),
        ("rule=overlay-mtu", lambda finding: finding["id"] == "overlay-mtu"),
        ("severity=info", lambda finding: finding["severity"] == "info"),
    ):
        assert json.loads(collector.get(f"/v1/findings?{question}")[1]) == [f for f in found if keep(f)]
    chinese = json.loads(collector.get("/v1/findings?node=nyc&lang=zh")[1])
    assert all(re.search("[一-鿿]", finding["title"]) for finding in chinese)


def test_diagnoses_are_served_and_shown(collector):
    """The stories of one node, with their causes; the page shows the same."""
    found = json.loads(collector.get("/v1/diagnoses?node=nyc")[1])
    assert found
    assert {story["node"] for story in found} == {"nyc"}
    assert "Diagnosis of nyc" in collector.get("/findings")[1]
    assert json.loads(collector.get("/v1/diagnoses?node=ams")[1]) == []


def test_every_finding_has_its_metric(collector):
    """lightfloor_finding_active has one sample for each, by node, rule and severity."""
    found = json.loads(collector.get("/v1/findings")[1])
    text = collector.get("/metrics")[1]
    shown = re.findall(r'lightfloor_finding_active\{node="(.+?)",rule="(.+?)",severity="(.+?)"\} 1\.0', text)
    assert sorted(shown) == sorted((f["node"], f["id"], f["severity"]) for f in found)
    assert "lightfloor_advice_computed_timestamp_seconds" in text


def test_the_page_shows_the_change_and_the_mesh_links_to_it(collector):
    """Titles, changes and evidence, escaped; in Chinese where asked; a language nobody knows is refused."""
    page = collector.get("/findings?node=nyc")[1]
    assert "overlay-mtu" in page
    assert "test &lt;b&gt;" in page
    assert "<b>," not in page
    assert "隧道" in collector.get("/findings?lang=zh")[1]
    assert collector.get("/findings?lang=xx")[0] == 400
    assert "Findings at nyc on this path" in collector.get("/path/nyc/fra")[1]
    assert "on this path</h2>" not in collector.get("/path/ams/fra")[1]
    overview = collector.get("/findings")[1]
    assert "<code>overlay-kind</code>" in overview  # a remark on every node, told once
    assert "headers take 3.3%" not in overview
    assert 'href="/findings"' in collector.get("/")[1]
