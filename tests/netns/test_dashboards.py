"""Every query of every dashboard, asked of a real Prometheus that scraped the lab's five cities."""

import json
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
    "lightfloor_incidents_open": "incidents are looked for in longer blocks of minutes than this world lasts",
    "lightfloor_sla_burning": "known from 100 samples on",
    'lightfloor_finding_active{node="$node"}': "there is nothing to say of this host",
}
"""Part of a query → why a query of it may give nothing in a healthy fleet."""

REFUSED = 'lightfloor_bandwidth_tests_total{outcome="refused"} > 0'
TESTED = ("lightfloor_bandwidth_forward", "lightfloor_bandwidth_retransmits", "lightfloor_qperf_latency")
"""What has no data where a node was too busy for its bandwidth test, as on a machine that does much else."""

LATE = (
    "lightfloor_advice_computed_timestamp_seconds",
    "lightfloor_sla_p99_seconds",
    "lightfloor_sla_budget_remaining_ratio",
    'lightfloor_peer_retransmit_ratio{node="frankfurt",destination="newyork"}',
    f"lightfloor_bandwidth_forward_bits_per_second or {REFUSED}",
    f"lightfloor_qperf_latency_seconds or {REFUSED}",
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
                classic.until(late, 120)
            time.sleep(5)  # rates need a second scrape of what came last
            yield deployment, classic, native


def prometheus_in(cities, folder, port, *flags):
    """A Prometheus beside the collector."""
    base = f"http://{cities.management.node_address}:{port}"
    return Prometheus(folder, 10990, f"0.0.0.0:{port}", base=base, start=cities.collector.popen, flags=flags)


def test_every_query_of_every_dashboard_has_data(tmp_path):
    """Nothing is empty that is not said to be; names of series are made of labels they have; links lead to pages."""
    with observed(tmp_path) as (deployment, classic, native):
        may_be_empty = {*MAY_BE_EMPTY, *(TESTED if classic.query(REFUSED) else ())}
        problems, asked = [], []
        for uid, document in documents().items():
            view = View(document, classic, collector=deployment.page.rstrip("/"))
            with_native = View(document, native)
            problems += [f"{uid}: no choice of {name}" for name, found in view.options.items() if not found]
            for panel, target in queries(document):
                asked.append(target["expr"])
                where = f"{uid}: {panel['title']}: {view.filled(target['expr'])}"
                problems += [
                    f"{where}: {problem}"
                    for problem in problems_of(panel, target, view, with_native, may_be_empty)
                ]
            problems += [f"{uid}: {url}" for url in pages_of(document, view) if not answers(url)]
        assert problems == []
        assert [part for part in may_be_empty if not any(part in expression for expression in asked)] == []


def problems_of(panel, target, view, with_native, may_be_empty):
    """What is wrong with the query's answers from both kinds of Prometheus."""
    found, found_native = view.ask(target), None
    if "histogram_quantile" in target["expr"] or "_bucket" in target["expr"]:
        found_native = with_native.ask(target)
    if not any(part in target["expr"] for part in may_be_empty):
        if not found and not found_native:
            yield "nothing"
        if found_native == []:
            yield "nothing with native histograms"
    labels = named_labels(panel, target)
    for series in found:
        if set(labels) - set(series):
            yield f"{series} has not all of {labels}"


def pages_of(document, view):
    """URLs of the collector that the dashboard links to."""
    return {view.filled(url) for url in re.findall(r'"(\$\{collector\}/[^"]*)"', json.dumps(document))}


def answers(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.status == 200


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
