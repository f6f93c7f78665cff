"""The API of a running collector, held to its own description."""

import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass

import pytest

from batches import MS, batch, series, window
from collector.report.folder import signing_key, write_folder
from collector_process import CollectorProcess, free_port, request
from small_fleet import fill, write_files

NOW = int(time.time()) // 60 * 60
SCHEMATHESIS = "from schemathesis.cli import schemathesis; schemathesis()"
ALREADY_SAID = "positive_data_acceptance,ignored_auth"
"""A period that ends before it starts fits the schema and is refused; tokens have their own tests."""


@dataclass
class Signed:
    """What of a Report goes into its manifest."""

    provider: str
    month: str
    format: int = 1
    zone: str = "UTC"
    raw_rows: int = 3
    raw_sha256: str = "00"


@pytest.fixture
def collector(tmp_path):
    windows = [window(start_s=NOW - 60 * i, values_ns=[7 * MS] * 6, limit_ns=12 * MS) for i in range(1, 90)]
    windows += [window(series(destination="nyc"), NOW - 60 * i, [290 * MS], 122 * MS) for i in range(1, 90)]
    token = fill(tmp_path / "store.db", [batch(windows)], NOW)
    config = write_files(tmp_path)
    config.write_text(config.read_text() + '[reports]\ndirectory = "reports"\n')
    process = CollectorProcess(config, free_port()).wait("/-/ready")
    process.token = token
    yield process
    process.end()


def test_every_operation_keeps_its_description(collector, tmp_path):
    """Hundreds of requests that fit the document and that do not: no status, type or body is other than it says."""
    done = subprocess.run(
        [sys.executable, "-c", SCHEMATHESIS, "run", f"{collector.url}/v1/openapi.json",
         "--phases", "coverage,fuzzing", "--max-examples", "8", "--workers", "1", "--seed", "1", "--no-color",
         "-H", f"Authorization: Bearer {collector.token}", "--exclude-checks", ALREADY_SAID,
         "--exclude-operation-id", "get_leases", "--suppress-health-check", "all"],
        cwd=tmp_path, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    assert collector.process.poll() is None


def test_every_route_below_v1_is_described(collector):
    """Nothing is served there that the document does not have."""
    from collector import app
    from collector.config import read_config

    paths = json.loads(collector.get("/v1/openapi.json")[1])["paths"]
    parts = app.assemble(read_config(collector.config))
    served = {route.resource.canonical for route in parts.application.router.routes()}
    parts.database.close()
    assert {path for path in served if path.startswith("/v1/")} == paths.keys()


def test_who_polls_gets_what_the_page_shows_and_only_once(collector):
    """Without a period /v1/sla is the judgement of the page; its ETag brings 304 until the next one."""
    with urllib.request.urlopen(f"{collector.url}/v1/sla", timeout=10) as answer:
        tag, rows = answer.headers["ETag"], json.load(answer)
    shown = re.findall(r'class="v-(\w+)', collector.get("/")[1])
    assert sorted(row["verdict"].lower() for row in rows) == sorted(shown)
    asked = urllib.request.Request(f"{collector.url}/v1/sla", headers={"If-None-Match": tag})
    with pytest.raises(urllib.error.HTTPError, match="304"):
        urllib.request.urlopen(asked, timeout=10)


def test_a_report_is_fetched_as_it_was_signed_and_nothing_else_is(collector, tmp_path):
    """Its files come byte for byte, to be kept; a path out of its folder, or a file that was not signed, is not found."""
    folder = tmp_path / "reports" / "alpha-2026-10"
    write_folder(
        folder, {"report.html": b"<p>\xff"}, Signed("alpha", "2026-10"), signing_key(tmp_path / "key.pem")
    )
    (folder / "secret.txt").write_text("x")
    url = f"{collector.url}/v1/reports/alpha-2026-10"
    with urllib.request.urlopen(f"{url}/report.html", timeout=10) as answer:
        assert answer.read() == b"<p>\xff"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="report.html"'
    for other in ("secret.txt", "..%2f..%2fcollector.toml", "%2e%2e", "%2Fetc%2Fpasswd"):
        assert request(f"{url}/{other}")[0] in (400, 404)
    assert json.loads(request(url)[1])["genuine"] is False


def test_nodes_say_when_they_last_spoke_and_what_was_found_of_them(collector):
    """Each node of the fleet file is there; one that nobody knows has no facts to ask for."""
    nodes = {node["name"]: node for node in json.loads(collector.get("/v1/nodes?provider=alpha")[1])}
    assert nodes.keys() == {"ams", "fra", "nyc"}
    assert nodes["ams"]["last_batch"] is not None
    assert nodes["nyc"]["last_batch"] is None
    assert collector.get("/v1/nodes/ams/facts")[0] == 200
    assert collector.get("/v1/nodes/nobody/facts")[0] == 404


def test_the_audit_is_the_commands(collector, capsys):
    """GET /v1/audit and `audit --json` say the same of the same time."""
    from collector.cli import main

    answer = json.loads(collector.get("/v1/audit")[1])
    main(["audit", "--json", "--config.file", str(collector.config)])
    assert json.loads(capsys.readouterr().out) == answer
    assert answer["pairs"] == 2


def test_a_list_comes_in_pages(collector):
    """The rows of /v1/sla asked for two at a time are the rows asked for at once."""
    whole = json.loads(collector.get("/v1/sla?from=-1h")[1])
    found = []
    for offset in range(0, len(whole) + 2, 2):
        found += json.loads(request(f"{collector.url}/v1/sla?from=-1h&limit=2&offset={offset}")[1])
    assert [(row["source"], row["destination"], row["samples"]) for row in found] == [
        (row["source"], row["destination"], row["samples"]) for row in whole
    ]
    assert len(whole) == 6
