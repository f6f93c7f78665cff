"""A real Prometheus scrapes the agent's native histograms and computes quantiles of them."""

import asyncio
import os

import pytest

from agent.sample import Sample
from agent.wire.histogram import RELATIVE_ERROR
from agent.wire.series import Outcome
from exporter_view import SERIES, view_of_one_peer
from prometheus_server import PrometheusServer, installed
from web_servers import exporting

MS = 1_000_000
NEWER = "LIGHTFLOOR_NEWER_PROMETHEUS"
"""Names a second server to try beside the installed one, for example one of the 3 series."""

pytestmark = pytest.mark.debian


@pytest.fixture(params=["installed", "newer"])
def program(request):
    """A Prometheus to start."""
    if request.param == "installed":
        if not installed():
            pytest.skip("prometheus is not installed")
        return "prometheus"
    if NEWER not in os.environ:
        pytest.skip(f"{NEWER} names none")
    return os.environ[NEWER]


async def test_quantiles_of_native_histograms_are_within_the_wires_error(program, tmp_path):
    """histogram_quantile on what was scraped differs from the exact order statistic by no more than a bucket."""
    view = view_of_one_peer(tmp_path)
    times_ns = sorted(80 * MS + 37_000 * number * number for number in range(100))
    for time_ns in times_ns:
        view.ledger.record(SERIES, Sample(Outcome.OK, time_ns), 160 * MS)
    server = await exporting(view)
    feature = ("--enable-feature=native-histograms",)
    name = "lightfloor_probe_rtt_seconds"
    try:
        with PrometheusServer(tmp_path, server.addresses[0][1], program, feature) as prometheus:
            for quantile in (0.5, 0.9, 0.99):
                expression = f"histogram_quantile({quantile}, {name})"
                (sample,) = await asyncio.to_thread(prometheus.until, expression)
                exact = times_ns[round(quantile * 100) - 1] / 1e9
                assert float(sample["value"][1]) == pytest.approx(exact, rel=2 * RELATIVE_ERROR)
                assert sample["metric"]["destination"] == "nyc"
            count = await asyncio.to_thread(prometheus.until, f"histogram_count({name})")
            assert float(count[0]["value"][1]) == len(times_ns)
            assert not await asyncio.to_thread(
                prometheus.ask, f"{name}_count"
            )  # native: no classic series was kept
            assert await asyncio.to_thread(prometheus.until, "lightfloor_probe_judged_total")
    finally:
        await server.close()
        view.responder.close()
