"""The API of a running collector, held to its own description."""

import json
import subprocess
import sys
import time

import pytest

from batches import MS, batch, series, window
from collector_process import CollectorProcess, free_port, request
from small_fleet import fill, write_files

NOW = int(time.time()) // 60 * 60
SCHEMATHESIS = "from schemathesis.cli import schemathesis; schemathesis()"
ALREADY_SAID = "positive_data_acceptance,ignored_auth"
"""A period that ends before it starts fits the schema and is refused; tokens have their own tests."""


@pytest.fixture
def collector(tmp_path):
    windows = [window(start_s=NOW - 60 * i, values_ns=[7 * MS] * 6, limit_ns=12 * MS) for i in range(1, 90)]
    windows += [window(series(destination="nyc"), NOW - 60 * i, [290 * MS], 122 * MS) for i in range(1, 90)]
    token = fill(tmp_path / "store.db", [batch(windows)], NOW)
    process = CollectorProcess(write_files(tmp_path), free_port()).wait("/-/ready")
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
