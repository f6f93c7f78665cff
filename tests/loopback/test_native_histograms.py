"""A real Prometheus scrapes the agent's native histograms and computes quantiles of them."""

import json
import os
import shutil
import subprocess
import time
import urllib.parse
import urllib.request

import pytest

from agent.sample import Sample
from agent.wire.histogram import RELATIVE_ERROR
from agent.wire.series import Outcome
from agent_process import free_port
from exporter_view import SERIES, view_of_one_peer
from web_servers import exporting

MS = 1_000_000
SCRAPE = "global: {{scrape_interval: 1s}}\nscrape_configs: [{{job_name: a, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]\n"
NEWER = "LIGHTFLOOR_NEWER_PROMETHEUS"
"""Names a second server to try beside the installed one, for example one of the 3 series."""

pytestmark = pytest.mark.debian


@pytest.fixture(params=["installed", "newer"])
def prometheus(request, tmp_path):
    """(start with a port to scrape → function that asks it), ended afterwards."""
    program = shutil.which("prometheus") if request.param == "installed" else os.environ.get(NEWER)
    if program is None:
        pytest.skip("prometheus is not installed" if request.param == "installed" else f"{NEWER} names none")
    running = []

    def start(port):
        (tmp_path / "prometheus.yml").write_text(SCRAPE.format(port=port))
        own = free_port()
        command = [
            program, "--enable-feature=native-histograms", f"--config.file={tmp_path}/prometheus.yml",
            f"--storage.tsdb.path={tmp_path}/data", f"--web.listen-address=127.0.0.1:{own}",
        ]  # fmt: skip
        with (tmp_path / "prometheus.log").open("wb") as log:
            running.append(subprocess.Popen(command, stdout=log, stderr=log))

        def ask(expression):
            query = urllib.parse.urlencode({"query": expression})
            try:
                with urllib.request.urlopen(
                    f"http://127.0.0.1:{own}/api/v1/query?{query}", timeout=5
                ) as answer:
                    return json.load(answer)["data"]["result"]
            except OSError:
                return []

        return ask

    yield start
    for process in running:
        process.kill()
        process.wait()


def until(ask, expression, seconds=30):
    deadline = time.monotonic() + seconds
    while not (found := ask(expression)):
        assert time.monotonic() < deadline, f"{expression}: nothing"
        time.sleep(0.2)
    return found


async def test_quantiles_of_native_histograms_are_within_the_wires_error(prometheus, tmp_path):
    """histogram_quantile on what was scraped differs from the exact order statistic by no more than a bucket."""
    import asyncio

    view = view_of_one_peer(tmp_path)
    times_ns = sorted(80 * MS + 37_000 * number * number for number in range(100))
    for time_ns in times_ns:
        view.ledger.record(SERIES, Sample(Outcome.OK, time_ns), 160 * MS)
    server = await exporting(view)
    try:
        ask = prometheus(server.addresses[0][1])
        name = "lightfloor_probe_rtt_seconds"
        for quantile in (0.5, 0.9, 0.99):
            ((sample,),) = [await asyncio.to_thread(until, ask, f"histogram_quantile({quantile}, {name})")]
            exact = times_ns[round(quantile * 100) - 1] / 1e9
            assert float(sample["value"][1]) == pytest.approx(exact, rel=2 * RELATIVE_ERROR)
            assert sample["metric"]["destination"] == "nyc"
        count = await asyncio.to_thread(until, ask, f"histogram_count({name})")
        assert float(count[0]["value"][1]) == len(times_ns)
        assert not await asyncio.to_thread(ask, f"{name}_count")  # native indeed: no classic series was kept
        assert await asyncio.to_thread(until, ask, "lightfloor_probe_judged_total")
    finally:
        await server.close()
        view.responder.close()
