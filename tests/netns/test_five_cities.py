"""The whole product over the emulated world: what agents measure and the collector says is what was built."""

import time
import urllib.request

import pytest

from lab.cities import five_cities, one_way_ms
from lab.deployment import deployed

pytestmark = [pytest.mark.netns, pytest.mark.slow, pytest.mark.timeout(240)]


def test_five_cities_are_measured_and_judged_as_they_were_built(tmp_path):
    """Every path in both families has its delay, its floor, and a verdict that fits; the page shows all of them."""
    with (
        five_cities() as cities,
        deployed(cities, tmp_path, interval_seconds=0.5, window_seconds=5) as deployment,
    ):
        rows = _until_measured(deployment, 5 * 4 * 2)
        assert deployment.alive()
        for row in rows:
            built_ms = 2 * one_way_ms(row["source"], row["destination"])
            assert row["p50_seconds"] * 1e3 == pytest.approx(built_ms, rel=0.05, abs=1.0), row
            assert row["p50_seconds"] > row["floor_seconds"], row
            ratio_to_limit = built_ms / (row["limit_seconds"] * 1e3)
            if ratio_to_limit > 1.05:
                assert row["verdict"] in ("UNACHIEVABLE", "FAIL"), row
            elif ratio_to_limit < 0.93:
                assert row["verdict"] in ("NOT_PROVEN", "PASS"), row
        with urllib.request.urlopen(deployment.page, timeout=10) as page:
            text = page.read().decode()
        assert all(member.name in text for member in cities.fleet)
        log = "".join(path.read_text() for path in tmp_path.glob("*.log"))
        assert "Traceback" not in log


def _until_measured(deployment, wanted):
    deadline = time.monotonic() + 150
    rows = []
    while time.monotonic() < deadline:
        time.sleep(3)
        minute = time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime(time.time() + 60))
        rows = [row for row in deployment.get(f"v1/sla?from=-1h&to={minute}") if row["probe"] == "tcp"]
        rows = [row for row in rows if row["samples"] >= 40]
        if len(rows) == wanted:
            return rows
    raise AssertionError(f"{len(rows)} of {wanted} paths measured; see {deployment.folder}")
