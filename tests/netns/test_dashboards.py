"""Every query of every dashboard, asked of a real Prometheus that scraped the lab's five cities."""

import re
import shutil
import sys
import time
import urllib.request
from contextlib import contextmanager

import pytest

from grafana_view import View, documents, queries
from lab.cities import five_cities
from lab.deployment import deployed
from prometheus_process import Prometheus

pytestmark = [
    pytest.mark.netns,
    pytest.mark.slow,
    pytest.mark.debian,
    pytest.mark.timeout(240),
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs prometheus (Debian package)"),
    pytest.mark.skipif(shutil.which("iperf3") is None, reason="needs iperf3 (Debian package)"),
    pytest.mark.skipif(shutil.which("qperf") is None, reason="needs qperf (Debian package)"),
]

MAY_BE_EMPTY = {
    "lightfloor_quality_flag": "no host spoiled its last minute",
    "lightfloor_probe_unavailable": "no host lacks anything for a probe",
    'outcome=~"skipped': "every probe could be sent",
    "lightfloor_push_failures_total": "no batch was refused",
    "lightfloor_capture_disk_bytes": "captures are off unless asked for",
    "lightfloor_host_events_total": "tracepoints are off unless asked for",
    "lightfloor_host_allowance_exceeded_total": "only Amazon's driver counts it",
    "lightfloor_host_conntrack_entries": "this kernel may track no connections",
    "lightfloor_host_conntrack_drops_total": "this kernel may track no connections",
    "lightfloor_udp_delay_forward_seconds": "the clocks of a lab may be synchronised by nothing",
    "lightfloor_udp_delay_backward_seconds": "the clocks of a lab may be synchronised by nothing",
    "lightfloor_udp_one_way_error_seconds": "the clocks of a lab may be synchronised by nothing",
    "lightfloor_peer_ssthresh_segments": "no connection has lost anything yet, and bbr sets none",
    "lightfloor_bandwidth_reverse_bits_per_second": "leased tests go one way at a time",
    "lightfloor_bandwidth_loss_ratio": "leased tests are TCP; an agent's own peers may ask for UDP",
    "lightfloor_bandwidth_jitter_seconds": "leased tests are TCP; an agent's own peers may ask for UDP",
    "lightfloor_qperf_loss_ratio": "leased qperf tests measure latency only",
    "lightfloor_qperf_bits_per_second": "leased qperf tests measure latency only",
    "@ end()": "no path changed",
    "lightfloor_sla_burning": "known from 100 samples on",
    "lightfloor_incidents_open": "nothing is wrong",
    'lightfloor_finding_active{node="$node"}': "there is nothing to say of this host",
}
"""Part of a query → why a query of it may give nothing in a healthy fleet."""

LATE = (
    "lightfloor_sla_p99_seconds",
    "lightfloor_sla_budget_remaining_ratio",
    'lightfloor_peer_retransmit_ratio{node="frankfurt",destination="newyork"}',
    "lightfloor_bandwidth_forward_bits_per_second",
    "lightfloor_qperf_latency_seconds",
    "lightfloor_route_hops",
)
"""What comes last in a new world."""

SINK = """
import socket
listener = socket.create_server(("", 5001))
connection, _ = listener.accept()
while connection.recv(65536): pass
"""
SOURCE = """
import socket, sys, time
connection = socket.create_connection((sys.argv[1], 5001))
while True:
    connection.sendall(bytes(100_000))
    time.sleep(0.5)
"""


@contextmanager
def observed(folder):
    """(deployment, Prometheus, another with native histograms) of five cities: two test their bandwidth, two others have a connection that sends."""
    with (
        five_cities() as cities,
        deployed(
            cities,
            folder,
            interval_seconds=1.0,
            window_seconds=5,
            more_probes='{ kind = "syn", interval_seconds = 1.0 }, { kind = "trace", interval_seconds = 30.0 }',
            bandwidth=("singapore", "tokyo"),
            agent_settings='[[socket_groups]]\nname = "sink"\nports = [5001]\n',
        ) as deployment,
    ):
        newyork = cities.world["newyork"]
        newyork.popen([sys.executable, "-c", SINK])
        time.sleep(1)
        cities.world["frankfurt"].popen([sys.executable, "-c", SOURCE, newyork.address])
        with (
            prometheus_in(cities, folder / "classic", 9090) as classic,
            prometheus_in(cities, folder / "native", 9091, "--enable-feature=native-histograms") as native,
        ):
            for late in LATE:
                wait_for(late, classic)
            time.sleep(5)  # rates need a second scrape of what came last
            yield deployment, classic, native


def wait_for(expression, prometheus):
    """Until there is data; a host that is too busy for bandwidth tests is none to judge by."""
    try:
        prometheus.until(expression, 120)
    except AssertionError:
        if prometheus.query('lightfloor_bandwidth_tests_total{outcome="refused"} > 0'):
            pytest.skip("this host is too busy: a bandwidth test was refused")
        raise


def prometheus_in(cities, folder, port, *flags):
    """A Prometheus beside the collector."""
    base = f"http://{cities.management.node_address}:{port}"
    return Prometheus(folder, 10990, f"0.0.0.0:{port}", base=base, start=cities.collector.popen, flags=flags)


def test_every_query_of_every_dashboard_has_data(tmp_path):
    """Nothing is empty that is not said to be; each name of a series is made of labels it has; links lead to a page."""
    with observed(tmp_path) as (deployment, prometheus, native):
        problems, excused = [], set()
        for uid, document in documents().items():
            view, with_native = View(document, prometheus), View(document, native)
            problems += [f"{uid}: no choice of {name}" for name, found in view.options.items() if not found]
            for panel, target in queries(document):
                excuses = {part for part in MAY_BE_EMPTY if part in target["expr"]}
                excused |= excuses
                found = view.ask(target)
                where = f"{uid}: {panel['title']}: {view.filled(target['expr'])}"
                if not found and "histogram_quantile" in target["expr"]:
                    found = with_native.ask(target)
                if not found and not excuses:
                    problems.append(f"{where}: nothing")
                if "_bucket" in target["expr"] and not excuses and not with_native.ask(target):
                    problems.append(f"{where}: nothing with native histograms")
                if any(set(named_labels(panel, target)) - set(labels) for labels in found):
                    problems.append(
                        f"{where}: not every series has {named_labels(panel, target)}: {found[0]}"
                    )
        assert problems == []
        assert excused == set(MAY_BE_EMPTY)
        page = View(documents()["lightfloor-path"], prometheus, collector=deployment.page.rstrip("/"))
        link = documents()["lightfloor-path"]["links"][1]["url"]
        with urllib.request.urlopen(page.filled(link), timeout=10) as answer:
            assert "frankfurt" in answer.read().decode()


def named_labels(panel, target):
    """Labels that the panel shows of each series of the query."""
    if panel["type"] == "heatmap":
        return []
    if panel["type"] != "table":
        return re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
    options = {step["id"]: step["options"] for step in panel["transformations"]}
    if "groupingToMatrix" in options:
        return [options["groupingToMatrix"]["rowField"], options["groupingToMatrix"]["columnField"]]
    return next(re.findall(r"\w+", by) for by in re.findall(r"by \(([^)]*)\)", target["expr"]))
