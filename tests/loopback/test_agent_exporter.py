"""The agent's own HTTP server: what Prometheus, an orchestrator and a person get from it."""

import gzip
import subprocess
from contextlib import asynccontextmanager

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from agent.runner import Miss
from agent.sample import Sample
from agent.wire.assignment import Assignment
from agent.wire.series import Outcome
from exporter_view import SERIES, view_of_one_peer
from web_servers import exporting

OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3"


@asynccontextmanager
async def served(view, path="/metrics"):
    """A session against the exporter of this view."""
    server = await exporting(view, path)
    async with aiohttp.ClientSession(
        f"http://127.0.0.1:{server.addresses[0][1]}", auto_decompress=False
    ) as session:
        yield session
    await server.close()
    view.responder.close()


async def get(session, path, **headers):
    async with session.get(path, headers={"Accept-Encoding": "identity"} | headers) as response:
        return response.status, response.headers, await response.read()


async def test_metrics_in_both_formats(tmp_path):
    """By content negotiation, with one end, one type for each family, and the same values in both."""
    view = view_of_one_peer(tmp_path)
    view.ledger.record(SERIES, Sample(Outcome.OK, 80_000_000), 160_000_000)
    async with served(view) as session:
        _, headers, body = await get(session, "/metrics")
        assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        plain = {(sample.name, str(sample.labels)): sample.value
                 for family in parse_text(body.decode()) for sample in family.samples}  # fmt: skip
        _, headers, body = await get(session, "/metrics", Accept=OPENMETRICS)
        assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
        assert body.endswith(b"# EOF\n")
        open_metrics = {(sample.name, str(sample.labels)): sample.value
                        for family in parse_openmetrics(body.decode()) for sample in family.samples}  # fmt: skip
    assert plain.keys() == open_metrics.keys()
    moving = ("process_", "python_")
    assert {k: v for k, v in plain.items() if not k[0].startswith(moving)} == {
        k: v for k, v in open_metrics.items() if not k[0].startswith(moving)
    }
    assert (
        plain[
            "lightfloor_probe_rtt_seconds_count",
            str({"destination": "nyc", "probe": "tcp", "family": "ipv4"}),
        ]
        == 1
    )
    assert plain["lightfloor_quality_flag", "{'flag': 'steal_ratio'}"] == 0.25
    assert plain["lightfloor_spool_batches", "{}"] == 0
    assert plain["lightfloor_responder_connections_total", "{'result': 'limited'}"] == 0


@pytest.mark.parametrize(
    ("asked", "compressed"),
    [
        ("gzip", True),
        ("deflate, gzip;q=1.0", True),
        ("identity", False),
        ("br", False),
        ("x-not-gzip-at-all", False),
    ],
)
async def test_gzip_where_it_is_accepted(tmp_path, asked, compressed):
    """The body is what the headers say."""
    async with served(view_of_one_peer(tmp_path)) as session:
        _, headers, body = await get(session, "/metrics", **{"Accept-Encoding": asked})
    assert (headers.get("Content-Encoding") == "gzip") is compressed
    assert b"lightfloor_build_info" in (gzip.decompress(body) if compressed else body)


async def test_ready_only_after_the_first_result(tmp_path):
    """503 until a probe has ended; healthy from the start; without peers there is nothing to wait for."""
    view = view_of_one_peer(tmp_path)
    async with served(view) as session:
        assert (await get(session, "/-/healthy"))[0] == 200
        assert (await get(session, "/-/ready"))[0] == 503
        view.ledger.record(SERIES, Sample(Outcome.TIMEOUT), None)
        assert (await get(session, "/-/ready"))[0] == 200
        view.ledger.keep_only([])
        assert (await get(session, "/-/ready"))[0] == 503
        view.assignment = Assignment("fra")
        assert (await get(session, "/-/ready"))[0] == 200


async def test_the_landing_page_shows_paths_and_the_latest_misses(tmp_path):
    """Percentiles and outcomes of each path, why probes failed, links that work, nothing unescaped."""
    view = view_of_one_peer(tmp_path)
    view.ledger.record(SERIES, Sample(Outcome.OK, 80_000_000), None)
    view.runner.misses.append(
        Miss(1_800_000_000 * 10**9, SERIES, Sample(Outcome.FAILED, detail="<script>boo"))
    )
    async with served(view, "/m") as session:
        status, headers, body = await get(session, "/")
        page = body.decode()
        assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert "80.000 ms" in page
        assert "1 ok" in page
        assert "2027-01-15 08:00:00Z" in page
        assert "&lt;script&gt;boo" in page
        assert "<script>" not in page
        for link in ("/m", "/-/healthy"):
            assert f'href="{link}"' in page
            assert (await get(session, link))[0] == 200
        assert (await get(session, "/metrics"))[0] == 404


@pytest.mark.debian
async def test_promtool_accepts_the_whole_page(tmp_path):
    """With the process's own metrics and every optional part: no complaint."""
    view = view_of_one_peer(tmp_path)
    view.ledger.record(SERIES, Sample(Outcome.OK, 80_000_000), None)
    view.pusher.state.failures["http_503"] = 1
    async with served(view) as session:
        _, _, body = await get(session, "/metrics")
    try:
        done = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True)
    except FileNotFoundError:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    assert (done.returncode, (done.stdout + done.stderr).decode()) == (0, "")


async def test_an_address_in_use_is_an_error(tmp_path):
    """The second exporter on a port raises OSError."""
    view = view_of_one_peer(tmp_path)
    first = await exporting(view)
    with pytest.raises(OSError, match="in use"):
        await exporting(view, port=first.addresses[0][1])
    await first.close()
    view.responder.close()
