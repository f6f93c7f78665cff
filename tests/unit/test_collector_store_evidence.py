import pytest

from agent.wire.batch import Event, Fact
from agent.wire.series import Family
from collector.store.batches import BatchRefusedError, BatchStore
from collector.store.evidence import FactChange, events_of_path, load_fact_changes, load_facts
from collector.store.schema import open_writer
from collector.store.tiers import Period
from tests.batches import DAY, batch

NOW = DAY + 3600


@pytest.fixture
def connection(tmp_path):
    connection = open_writer(tmp_path / "store.db")
    yield connection
    connection.close()


def test_facts_keep_their_latest_value_and_each_change(connection):
    """The history has one row per change, the current value knows when it was last seen."""
    sink = BatchStore()

    def put(sequence, value, time_s, reason=None):
        fact = Fact("tcp_congestion_control", value, "sysctl", time_s, reason)
        sink.store(connection, batch(facts=[fact], sequence=sequence), NOW)

    put(0, "cubic", NOW)
    put(1, "cubic", NOW + 60)
    put(2, None, NOW + 120, "permission denied")
    assert connection.execute("SELECT value, reason, changed_s, seen_s FROM fact").fetchall() == [
        ("null", "permission denied", NOW + 120, NOW + 120)
    ]
    assert connection.execute("SELECT time_s, value FROM fact_change ORDER BY 1").fetchall() == [
        (NOW, '"cubic"'),
        (NOW + 120, "null"),
    ]


def test_a_change_is_a_known_value_after_another_known_value(connection):
    """The first value is no change, a time of not being readable is none either, and the value before it counts."""
    sink = BatchStore()
    for sequence, value in enumerate(["cubic", "cubic", None, "bbr", None, "bbr"]):
        fact = Fact(
            "tcp_congestion_control", value, "sysctl", NOW + 60 * sequence, "x" if value is None else None
        )
        sink.store(connection, batch(facts=[fact], sequence=sequence), NOW)
    whole = Period(DAY, NOW + 3600)
    expected = [FactChange("ams", "tcp_congestion_control", NOW + 180, "cubic", "bbr")]
    assert load_fact_changes(connection, whole) == expected
    assert load_fact_changes(connection, whole, "ams") == expected
    assert load_fact_changes(connection, whole, "fra") == []
    assert load_fact_changes(connection, Period(DAY, NOW + 180)) == []


def test_facts_come_back_with_their_source_and_both_times(connection):
    """The latest value of each, since when it has been so, and when it was last seen; of one node or of all."""
    sink = BatchStore()
    for sequence, time_s in enumerate((NOW, NOW + 60)):
        sink.store(
            connection, batch(facts=[Fact("cpu.count", 2, "proc/cpuinfo", time_s)], sequence=sequence), NOW
        )
    sink.store(
        connection, batch(node="fra", facts=[Fact("cpu.count", None, "proc/cpuinfo", NOW, "absent")]), NOW
    )
    found = {stored.node: stored for stored in load_facts(connection)}
    assert found["ams"].fact == Fact("cpu.count", 2, "proc/cpuinfo", NOW)
    assert found["ams"].seen_s == NOW + 60
    assert (found["fra"].fact.value, found["fra"].fact.reason) == (None, "absent")
    assert [stored.node for stored in load_facts(connection, "fra")] == ["fra"]


def test_an_events_detail_comes_back_as_it_was_sent(connection):
    """Evidence of a path is kept word for word, newest first, apart from other paths and the host's own."""
    events = [
        Event(NOW, "route", {"hops": [1, None, {"ttl": 3}]}, "fra", Family.IPV4),
        Event(NOW + 5, "route", {"hops": []}, "fra", Family.IPV4),
        Event(NOW, "route", {"hops": []}, "lon", Family.IPV4),
        Event(NOW, "reboot", {}),
    ]
    BatchStore().store(connection, batch(events=events), NOW)
    found = events_of_path(connection, Period(DAY, NOW + 60), "ams", "fra")
    assert [(event.time_s, event.detail) for event in found] == [
        (NOW + 5, {"hops": []}),
        (NOW, {"hops": [1, None, {"ttl": 3}]}),
    ]


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ({"facts": [Fact("blob", "x" * 70_000, "test", NOW)]}, "fact blob: more than 65536 bytes"),
        ({"events": [Event(NOW, "route", {"x": "y" * 70_000})]}, "event route: more than 65536 bytes"),
        ({"events": [Event(NOW + 90_000, "route", {})]}, "more than a day ahead"),
    ],
)
def test_evidence_of_unreasonable_size_or_time_is_refused(connection, sent, reason):
    """A fact is a value, an event is from now: neither is a way to fill the disk or to spoil the record."""
    with pytest.raises(BatchRefusedError, match=reason):
        BatchStore().store(connection, batch(**sent), NOW)
