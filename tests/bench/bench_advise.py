"""How long advice for a large fleet takes: 1,000 nodes, ten paths each, 30 days of day rows."""

import random
import time

import msgspec
import pytest

from agent.wire.histogram import Histogram
from collector.advising import advice_of_period, findings_on_changes
from collector.fleet import parse_fleet
from collector.store.buckets import encode_buckets
from collector.store.schema import COARSE_COLUMNS, open_reader, open_writer
from collector.store.tiers import Period
from histories import DAY_S, fleet_text
from hosts import COUNTERS, FACTS, GAUGES

pytestmark = pytest.mark.bench
NODES, PEERS, DAYS = 1000, 10, 30
START_S = 1_760_000_000 // DAY_S * DAY_S
OF_SOCKETS = (
    "segments_sent", "segments_retransmitted", "busy_us", "rwnd_limited_us", "sndbuf_limited_us",
)  # fmt: skip
GAUGES_OF_SOCKETS = (
    "cwnd_p50_segments",
    "delivery_rate_p50_bits_per_second",
    "rtt_p50_seconds",
    "connections",
)
SITES = {f"s{number}": (f"r{number % 7}", -60 + number * 2.3, -170 + number * 6.7) for number in range(50)}


def fleet():
    nodes = {f"n{number:04}": (f"p{number % 5}", f"s{number % 50}") for number in range(NODES)}
    text = fleet_text(nodes, [f"p{number}" for number in range(5)], SITES)
    text = text.replace("192.0.2.", "10.0.0.").replace('site = "s', 'role = "worker"\nsite = "s')
    groups = "".join(
        f'[[groups]]\nname = "g{node}"\nshape = "pairs"\npairs = ['
        + ", ".join(f'["n{node:04}", "n{(node + 7 * step) % NODES:04}"]' for step in range(1, PEERS + 1))
        + "]\n"
        for node in range(NODES)
    )
    head = text[: text.index("[[groups]]")]
    for number in range(NODES, 0, -1):
        head = head.replace(f'ipv4 = "10.0.0.{number}"', f'ipv4 = "10.{number // 250}.0.{number % 250 + 1}"')
    return parse_fleet(head + groups, "fleet")


def fill(path, known):
    """Straight into the tables: taking 5 million windows in is another figure."""
    dice, connection = random.Random(1), open_writer(path)
    ids = {name: number for number, name in enumerate(known.nodes, 1)}
    connection.execute("BEGIN")
    connection.executemany(
        "INSERT INTO node (id, name, last_batch_s) VALUES (?, ?, ?)",
        [(number, name, START_S) for name, number in ids.items()],
    )
    connection.executemany(
        "INSERT INTO fact VALUES (?, ?, ?, 'proc', NULL, ?, ?)",
        [
            (node, name, msgspec.json.encode(value).decode(), START_S, START_S)
            for node in ids.values()
            for name, value in (
                FACTS | {f"sysctl.net.more.{number}": number for number in range(150)}
            ).items()
        ],
    )
    series, measures, days = [], [], []
    for source, destination in [*known.pairs, *((name, name) for name in ids)]:
        for probe in ("kernel",) if source == destination else ("tcp", "sockets"):
            number = len(series) + 1
            series.append(
                (number, ids[source], destination, probe, "ipv4", "tcp_info" if probe == "tcp" else "none")
            )
            (days if probe == "tcp" else measures).append((number, source, destination, probe))
    connection.executemany("INSERT INTO series VALUES (?, ?, ?, ?, ?, ?)", series)
    histograms = {
        number: Histogram.of(
            round(known.floor(source, destination).floor_seconds * 1.4e9 * dice.uniform(1, 1.3)) + 1_000_000
            for _ in range(200)
        )
        for number, source, destination, _ in days
    }
    blobs = {number: encode_buckets(histogram.buckets) for number, histogram in histograms.items()}
    places = ", ".join("?" * len(COARSE_COLUMNS))
    for day in range(DAYS):
        at_s = START_S + day * DAY_S
        connection.executemany(
            f"INSERT INTO day ({', '.join(COARSE_COLUMNS)}) VALUES ({places})",
            [_day(at_s, number, histograms[number], blobs[number]) for number, *_ in days],
        )
        connection.executemany(
            "INSERT INTO day_measure VALUES (?, ?, 0, ?, ?, ?, ?, ?, 0, 0, NULL, NULL, x'')",
            (row for number, _, _, probe in measures for row in _measures(at_s, number, probe)),
        )
    connection.execute("COMMIT")
    connection.close()


def _day(at_s, series, histogram, blob):
    values = dict.fromkeys(COARSE_COLUMNS, 0) | {
        "start_s": at_s, "series": series, "count": histogram.count, "sum_ns": histogram.sum_ns, "min_ns": histogram.min_ns,
        "max_ns": histogram.max_ns, "limit_low_ns": None, "limit_high_ns": None, "ok": histogram.count, "minutes": 1440,
        "measured": 1440, "available": 1440, "quality": None, "histogram": blob,
    }  # fmt: skip
    return tuple(values.values())


def _measures(at_s, series, probe):
    counters, gauges = (COUNTERS, GAUGES) if probe == "kernel" else (OF_SOCKETS, GAUGES_OF_SOCKETS)
    for name in gauges:
        yield at_s, series, "gauge", name, 0.01, 0.01, 0.02
    for name in counters:
        yield at_s, series, "counter", name, 5.0, None, None


def test_a_thousand_nodes_are_advised_in_seconds(tmp_path):
    """Everything in ten seconds of CPU: read, merged, every rule of every node, relays, hubs, drift, stories."""
    known = fleet()
    assert len(known.pairs) == NODES * PEERS
    fill(tmp_path / "store.db", known)
    connection = open_reader(tmp_path / "store.db")
    began = time.process_time()
    end_s = START_S + DAYS * DAY_S
    effects = list(findings_on_changes(connection, known, end_s))
    found = advice_of_period(connection, known, Period(START_S, end_s), effects)
    took = time.process_time() - began
    findings = sum(len(node.findings) for node in found.nodes)
    print(f"\n{NODES} nodes, {NODES * PEERS} paths, {DAYS} days: {took:.1f} s of CPU, {findings} findings")
    assert len(found.nodes) == NODES
    assert took <= 10
