"""From stored windows, facts and events to the evidence that rules read."""

import pytest

from agent.wire.batch import Event, Fact, Window
from agent.wire.histogram import Histogram
from agent.wire.series import Family, Outcome, SeriesKey, TimeSource
from collector.fleet import parse_fleet
from collector.node_evidence import evidence_of_nodes
from collector.store.batches import BatchStore
from collector.store.schema import open_writer
from collector.store.tiers import Period
from histories import fleet_text
from tests.batches import DAY, MS, batch, series, window

NOW = DAY + 7200
PERIOD = Period(DAY, NOW)
SITES = {"ams": ("eu", 52.3, 4.8), "fra": ("eu", 50.1, 8.7)}
FLEET = parse_fleet(fleet_text({name: ("nebula", name) for name in SITES}, ["nebula"], SITES), "fleet")


def measured(probe, start_s=DAY, destination="fra", gauges=None, counters=None, quality=None, outcomes=None):
    key = SeriesKey("ams", destination, probe, Family.IPV4, TimeSource.NONE)
    return Window(
        key, start_s, 60, outcomes or {}, gauges=gauges or {}, counters=counters or {}, quality=quality or {}
    )


@pytest.fixture
def path(tmp_path):
    """A function from windows and events to the one path's evidence."""

    def of(*windows, events=()):
        connection = open_writer(tmp_path / "store.db")
        BatchStore().store(connection, batch(windows, events=events), NOW)
        found = evidence_of_nodes(connection, FLEET, PERIOD)["ams"]
        connection.close()
        (one,) = found.paths
        return one

    return of


def test_a_path_carries_what_its_probes_and_sockets_measured(path):
    """Round trips with floor and limit, MTU, segments, waiting times, rates: each under its name, with the peer's address."""
    found = path(
        window(values_ns=[8 * MS] * 99 + [20 * MS], lost=1),
        measured("mtu", gauges={"path_mtu_bytes": 1500, "black_hole": 0, "icmp_seen": 0}),
        measured(
            "mtu", DAY + 600, gauges={"path_mtu_bytes": 1420, "interface_mtu_bytes": 1500, "black_hole": 1}
        ),
        measured("nat", gauges={"nat": 1.0, "mapping_lifetime_seconds": 30.0}),
        measured(
            "sockets", counters={"segments_sent": 900, "segments_retransmitted": 9, "busy_us": 3_000_000}
        ),
        measured("sockets", DAY + 60, counters={"segments_sent": 100, "rwnd_limited_us": 500_000}),
        measured("iperf3", gauges={"forward_bits_per_second": 9e8}),
        measured("iperf3", DAY + 60, gauges={"forward_bits_per_second": 5e8}),
    )
    assert (found.destination, found.family, found.probe, found.address) == (
        "fra",
        "ipv4",
        "tcp",
        "192.0.2.2",
    )
    assert (found.samples, found.answered, found.lost) == (100, 100, 1)
    assert found.min_ns == 8 * MS
    assert found.p50_ns == pytest.approx(8 * MS, rel=0.011)
    assert found.floor_ns == pytest.approx(3.57 * MS, rel=0.02)
    assert found.limit_ns == pytest.approx(2 * found.floor_ns, abs=2)
    assert (found.path_mtu_bytes, found.interface_mtu_bytes, found.black_hole, found.icmp_seen) == (
        1420,
        1500,
        True,
        False,
    )
    assert (found.nat, found.mapping_lifetime_seconds) == (True, 30.0)
    assert (found.segments_sent, found.segments_retransmitted) == (1000, 9)
    assert (found.busy_seconds, found.rwnd_limited_seconds, found.sndbuf_limited_seconds) == (3.0, 0.5, None)
    assert found.throughput_bits_per_second == 9e8
    assert (found.route_changes, found.tls_protocol, found.closed_port, found.loaded_p50_ns) == (
        None,
        None,
        None,
        None,
    )


def test_a_path_without_any_answer_is_lossy_and_has_no_time(path):
    """A hundred timeouts are a hundred losses; the round trip is not known."""
    found = path(window(values_ns=[], lost=100))
    assert (found.answered, found.lost, found.p50_ns, found.samples) == (0, 100, None, 0)


def test_latency_under_load_is_of_the_tests_part_of_the_minute(path):
    """A test of ten seconds in each of ten minutes of sixty samples: the slowest sixth was taken under load."""
    loaded = [
        window(
            start_s=DAY + 60 * minute,
            values_ns=[8 * MS] * 50 + [80 * MS] * 10,
            quality={"own_test_seconds": 10.0},
        )
        for minute in range(10)
    ]
    found = path(*loaded, window(start_s=DAY + 3600, values_ns=[8 * MS] * 60))
    assert found.loaded_p50_ns == pytest.approx(80 * MS, rel=0.011)
    assert found.p50_ns == pytest.approx(8 * MS, rel=0.011)


def test_latency_under_load_is_unknown_where_the_host_had_other_troubles(path):
    """Minutes with stolen time, too, tell nothing of the queue."""
    flags = {"own_test_seconds": 10.0, "steal_ratio": 0.3}
    windows = [
        window(start_s=DAY + 60 * minute, values_ns=[80 * MS] * 60, quality=flags) for minute in range(10)
    ]
    clean = window(start_s=DAY + 3600, values_ns=[8 * MS] * 60)
    assert path(*windows, clean).loaded_p50_ns is None


@pytest.mark.parametrize(
    ("outcomes", "icmp", "answer"),
    [
        ({Outcome.REFUSED: 5}, {}, "rst"),
        ({Outcome.UNREACHABLE: 5}, {}, "icmp"),
        ({Outcome.TIMEOUT: 5}, {Outcome.OK: 5}, "silence"),
        ({Outcome.TIMEOUT: 5}, {Outcome.TIMEOUT: 5}, None),
        ({Outcome.OK: 1, Outcome.REFUSED: 4}, {}, None),
    ],
)
def test_how_a_closed_port_answers(path, outcomes, icmp, answer):
    """Silence counts only where another probe shows that the peer is there; an open port is not closed."""
    windows = [
        Window(series(), DAY, 60, outcomes),
        Window(series(probe="icmp"), DAY, 60, icmp or {Outcome.SKIPPED: 1}),
    ]
    assert path(*windows).closed_port == answer


def test_routes_and_certificates_come_from_events(path):
    """Changes are counted and the latest dated; a traced path without a change has none; the key is as last told."""
    events = [
        Event(DAY + 100, "route_changed", {}, "fra", Family.IPV4),
        Event(DAY + 200, "route_changed", {}, "fra", Family.IPV4),
        Event(
            DAY - 90_000,
            "tls",
            {"before": None, "after": {"protocol": "TLSv1.2", "key_type": "RSA"}},
            "fra",
            Family.IPV4,
        ),
    ]
    handshake = Window(
        series(probe="tls"), DAY, 60, {Outcome.OK: 1}, times={"tls_handshake_ns": Histogram.of([30 * MS])}
    )
    found = path(handshake, measured("trace", outcomes={Outcome.OK: 1}), events=events)
    assert (found.route_changes, found.route_changed_s) == (2, DAY + 200)
    assert (found.tls_protocol, found.peer_certificate_key) == ("TLSv1.2", "RSA")
    assert found.tls_handshake_p50_ns == 30 * MS


def test_a_traced_path_without_a_change_has_none(path):
    """Nought changes is an answer where traces ran, and unknown where none did."""
    assert path(measured("trace", outcomes={Outcome.OK: 1})).route_changes == 0


def test_counters_and_facts_are_of_the_node(tmp_path):
    """Counters add up over the period, gauges keep the latest and the largest; facts carry source and reason."""
    connection = open_writer(tmp_path / "store.db")
    windows = [
        measured("kernel", DAY, "ams", {"steal_ratio": 0.4}, {"tcp_segments_sent": 5}),
        measured("kernel", DAY + 60, "ams", {"steal_ratio": 0.1}, {"tcp_segments_sent": 7}),
    ]
    facts = [Fact("cpu.count", 2, "proc/cpuinfo", DAY), Fact("clock.source", None, "sys", DAY, "absent")]
    BatchStore().store(connection, batch(windows, facts=facts), NOW)
    found = evidence_of_nodes(connection, FLEET, PERIOD)
    connection.close()
    own = found["ams"]
    assert own.counts().count("tcp_segments_sent") == 12
    assert own.counts().gauges == {"steal_ratio": 0.1}
    assert own.counts().highest == {"steal_ratio": 0.4}
    assert own.counts().seconds == 7200
    assert own.value("cpu.count") == 2
    assert own.paths == ()
    assert found["fra"].kernel is None
