"""The agent's memory, its page and its histogram against their targets. Run by `make bench`."""

import csv
import random
import statistics
import time

import pytest
from bench_tcp import cpu_seconds
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client import Histogram as ClientHistogram

from agent.exposition import CLASSIC_EXPONENTS, Exposition
from agent.ledger import Ledger
from agent.protobuf import delimited
from agent.sample import Sample
from agent.wire.assignment import Peer
from agent.wire.histogram import RELATIVE_ERROR, Histogram
from agent.wire.series import PROBE_CLOCKS, Family, Outcome, SeriesKey, TimeSource
from agent_process import AgentProcess
from corpus import corpus_file

pytestmark = [pytest.mark.bench, pytest.mark.timeout(180)]
PEERS = (1, 100, 500)


def median_seconds(work, repeats=5):
    took = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def test_memory(tmp_path):
    """RSS of the real process with 1, 100 and 500 peers, probed and scraped: what a peer adds, what the first costs."""
    resident = {}
    # compiled as an installation has it: an agent that compiles its own imports keeps a megabyte of that for ever
    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path / "compiled")}
    with AgentProcess(tmp_path, environment=compiled) as first:
        first.wait_ready()
        first.stop()
    for count in PEERS:
        folder = tmp_path / str(count)
        folder.mkdir()
        (folder / "token").write_text("secret")
        agent = AgentProcess(folder, environment=compiled)
        link = f'max_probes_per_second = 1000\n[collector]\nurl = "http://127.0.0.1:1"\ntoken_file = "{folder}/token"\n'
        agent.write(link + "".join(agent.own_peer(f"peer{n}", interval_seconds=2) for n in range(count)))
        with agent:
            agent.wait_ready()
            time.sleep(8)
            for _ in range(3):
                assert agent.get("/metrics")[0] == 200
            resident[count] = agent.status("VmRSS")
            agent.stop()
    print(f"\n{'peers':<10}{'RSS MB':>10}{'MiB':>10}")
    for count, size in resident.items():
        print(f"{count:<10}{size / 1e6:10.1f}{size / 2**20:10.1f}")
    per_peer = (resident[500] - resident[100]) / 400
    print(f"{per_peer / 1e3:.1f} kB per further peer (target ≤ 20), 100 peers ≤ 45 MB")
    assert resident[100] < 70e6
    assert per_peer < 60e3


def test_memory_of_all_probes(tmp_path):
    """RSS of an agent that runs every probe without a lease towards 20 peers, over one that runs tcp alone."""
    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path / "compiled")}
    others = [kind for kind in PROBE_CLOCKS if kind not in ("tcp", "iperf3", "qperf")]
    every = "".join(f', {{ kind = "{kind}", interval_seconds = 1.0 }}' for kind in others)
    resident = {}
    for name, more in (("compiling", every), ("tcp alone", ""), ("every probe", every)):
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        agent = AgentProcess(folder, environment=compiled)
        peers = "".join(
            agent.own_peer(f"peer{n}", interval_seconds=1).replace(" }]", " }" + more + "]")
            for n in range(20)
        )
        agent.write("max_probes_per_second = 1000\n" + peers)
        with agent:
            agent.wait_ready()
            time.sleep(8)
            assert agent.get("/metrics")[0] == 200
            resident[name] = agent.status("VmRSS")
            agent.stop()
    added = resident["every probe"] - resident["tcp alone"]
    print(f"\ntcp alone {resident['tcp alone'] / 1e6:.1f} MB, every probe +{added / 1e6:.1f} MB (target ≤ 5)")
    assert added < 20e6


def test_metrics_page():
    """The page of 1,000 peers against the same families through prometheus-client."""
    dice = random.Random(1)
    ledger, registry = Ledger(), CollectorRegistry()
    labels = ("destination", "probe", "family")
    rtt = ClientHistogram(
        "lightfloor_probe_rtt_seconds",
        "x",
        labels,
        registry=registry,
        buckets=[2.0**e for e in CLASSIC_EXPONENTS],
    )
    counters = [
        Counter(f"lightfloor_probe_{name}", "x", labels, registry=registry)
        for name in ("over_limit", "judged")
    ]
    outcomes = Counter("lightfloor_probe_outcomes", "x", (*labels, "outcome"), registry=registry)
    gauges = [
        Gauge(f"lightfloor_path_{name}_seconds", "x", ("destination",), registry=registry)
        for name in ("floor", "limit")
    ]
    peers = [Peer(f"peer{n}", ipv4="192.0.2.1", floor_seconds=0.05, limit_seconds=0.1) for n in range(1000)]
    for peer in peers:
        series = SeriesKey("fra", peer.name, "tcp", Family.IPV4, TimeSource.TCP_INFO)
        ledger.expect(series)
        own = (peer.name, "tcp", "ipv4")
        for _ in range(30):
            time_ns = round(dice.lognormvariate(18, 0.5))
            ledger.record(series, Sample(Outcome.OK, time_ns), 100_000_000)
            rtt.labels(*own).observe(time_ns / 1e9)
        for counter in counters:
            counter.labels(*own).inc()
        outcomes.labels(*own, "ok").inc(30)
        for gauge in gauges:
            gauge.labels(peer.name).set(0.05)
    exposition = Exposition()
    page = exposition.render(ledger.totals, peers, Histogram(), openmetrics=False)
    ours = median_seconds(lambda: exposition.render(ledger.totals, peers, Histogram(), openmetrics=False))
    theirs = median_seconds(lambda: generate_latest(registry), 3)
    lines = page.count(b"\n")
    print(
        f"\n1,000 peers, {lines} lines, {len(page) / 1e6:.1f} MB: {ours * 1e3:.1f} ms, {ours / lines * 1e6:.2f} µs/line"
    )
    print(f"prometheus-client: {theirs * 1e3:.0f} ms; {theirs / ours:.0f} × faster (target ≥ 20)")
    assert theirs / ours > 8
    copy = median_seconds(lambda: Exposition.buckets(ledger.totals, Histogram()))
    native = Exposition.buckets(ledger.totals, Histogram())
    protobuf = median_seconds(lambda: delimited(page.decode(), native))
    size = len(delimited(page.decode(), native))
    print(
        f"protobuf with native histograms: {protobuf * 1e3:.0f} ms in a thread, {size / 1e6:.1f} MB; {copy * 1e3:.1f} ms in the loop"
    )
    assert protobuf < theirs


def test_histogram():
    """What a sample, a merge and a quantile cost, and the worst quantile error on real series after any merging."""
    dice = random.Random(2)
    values = [round(dice.lognormvariate(18, 0.7)) for _ in range(20_000)]
    histogram = Histogram.of(values)
    add = median_seconds(lambda: Histogram.of(values)) / len(values)
    empty = Histogram()
    merge = median_seconds(lambda: empty.merge(histogram))
    quantile = median_seconds(lambda: histogram.quantile_ns(0.99))
    print(
        f"\nadd {add * 1e9:.0f} ns, merge {merge * 1e6:.1f} µs, quantile {quantile * 1e6:.1f} µs, {len(histogram.buckets)} buckets"
    )
    with corpus_file("1-rtt/seattle_688_slices_nodes0-9.tsv").open(newline="") as file:
        slices = list(csv.DictReader(file, delimiter="\t"))
    worst = 0.0
    for pair in [name for name in slices[0] if name != "slice"]:
        times = [round(float(row[pair]) * 1e9) for row in slices if row[pair] and float(row[pair]) > 0]
        merged = Histogram()
        for at in range(0, len(times), 7):
            merged.merge(Histogram.of(times[at : at + 7]))
        ordered = sorted(times)
        for q in (0.5, 0.9, 0.95, 0.99):
            true = ordered[max(0, -(-int(q * 100) * len(ordered) // 100) - 1)]
            worst = max(worst, abs(merged.quantile_ns(q) - true) / true)
    print(f"worst quantile error on 90 real series: {worst:.3%} (target ≤ 1.1%)")
    assert worst <= RELATIVE_ERROR * (1 + 1e-9)


def test_steady_cost_of_passive_reading(tmp_path):
    """CPU of an agent without peers over a minute: reading counters, sockets and the host each 15 s, and closing windows."""
    with AgentProcess(tmp_path) as agent:
        agent.wait_ready()
        time.sleep(5)
        before = cpu_seconds(agent.process.pid)
        time.sleep(60)
        spent = cpu_seconds(agent.process.pid) - before
    print(
        f"\npassive reading on an idle host: {spent / 60:.2%} of one core, its loop's own wake-ups included (target ≤ 0.3%)"
    )
    assert spent < 3
