import pytest

from agent.wire.histogram import Histogram
from agent.wire.series import Family
from collector.store import rollup
from collector.store.batches import BatchRefusedError, BatchStore
from collector.store.measures import MeasureKey, load_measure_steps, load_measures
from collector.store.query import coverage
from collector.store.schema import DAY_S, HOUR_S, open_writer
from collector.store.tiers import Period, plan, plan_steps
from tests.batches import DAY, MS, batch, series, window

PERIOD = Period(DAY, DAY + DAY_S)


@pytest.fixture
def connection(tmp_path):
    connection = open_writer(tmp_path / "store.db")
    yield connection
    connection.close()


def measured(start_s, mtu, handshake_ms, wrong):
    here = window(series(probe="mtu"), start_s, values_ns=[])
    here.gauges = {"path_mtu_bytes": mtu}
    here.times = {"handshake_seconds": Histogram.of([ms * MS for ms in handshake_ms])}
    here.counters = {"reordered": wrong}
    return here


def load(connection, name=None):
    return load_measures(connection, plan(PERIOD, coverage(connection)), name)


def test_measures_say_the_same_from_minutes_hours_and_days(connection):
    """A gauge is its latest value and its range, a counter its sum, a time a merged histogram, whichever tier answers."""
    put = BatchStore().store
    windows = [
        measured(DAY + 600, 1500, [3], 1),
        measured(DAY + 601, 1400, [5, 9], 2),
        measured(DAY + 7200, 1420, [], 0),
    ]
    put(connection, batch(windows), DAY + 9000)
    answers = [load(connection)]
    for _ in range(2):
        for unit in rollup.due_units(connection, DAY + 2 * DAY_S):
            rollup.roll_up(connection, unit)
        answers.append(load(connection))
    assert [len(plan(PERIOD, coverage(connection)))] == [1]
    assert answers[0] == answers[1] == answers[2]
    by_name = {key.name: totals for key, totals in answers[0].items()}
    mtu = by_name["path_mtu_bytes"]
    assert (mtu.value, mtu.low, mtu.high) == (1420, 1400, 1500)
    assert by_name["handshake_seconds"].times == Histogram.of([3 * MS, 5 * MS, 9 * MS])
    assert by_name["reordered"].value == 3


def test_late_measures_are_not_counted_twice(connection):
    """Merging an hour anew replaces its measures."""
    put = BatchStore().store
    for sequence in range(3):
        put(connection, batch([measured(DAY + 60 * sequence, 1500, [3], 1)], sequence), DAY + 9000)
        for unit in rollup.due_units(connection, DAY + 2 * DAY_S):
            rollup.roll_up(connection, unit)
    (key,) = [key for key in load(connection) if key.kind == "counter"]
    assert key == MeasureKey("ams", "fra", "mtu", Family.IPV4, "counter", "reordered")
    assert load(connection)[key].value == 3
    assert set(load(connection, "path_mtu_bytes")) == {
        MeasureKey("ams", "fra", "mtu", Family.IPV4, "gauge", "path_mtu_bytes")
    }


def test_a_spoiled_minutes_measures_do_not_count(connection):
    """What this host spoiled stays out of measures as it stays out of verdicts."""
    here = measured(DAY, 576, [900], 7)
    here.quality = {"steal_ratio": 0.5}
    BatchStore().store(connection, batch([here]), DAY + 60)
    assert load(connection) == {}


def test_a_window_with_too_many_measures_is_refused(connection):
    """A probe measures a few things, not a thousand."""
    here = window()
    here.gauges = {f"g{i}": 1.0 for i in range(65)}
    with pytest.raises(BatchRefusedError, match="more than 64 measures"):
        BatchStore().store(connection, batch([here]), DAY + 60)


def test_measures_by_hour_are_of_one_path_and_say_the_same_before_and_after_merging(connection):
    """Hours add their minutes up; other paths, other names and spoiled minutes stay out."""
    spoiled = measured(DAY + 660, 1500, [], 100)
    spoiled.quality = {"steal_ratio": 0.5}
    elsewhere = measured(DAY + 600, 1500, [], 50)
    elsewhere.series = series(destination="lon", probe="mtu")
    windows = [
        measured(DAY + 600, 1500, [], 1),
        measured(DAY + 720, 1400, [], 2),
        measured(DAY + 7200, 1500, [], 4),
    ]
    BatchStore().store(connection, batch([*windows, spoiled, elsewhere]), DAY + 9000)
    answers = []
    for _ in range(2):
        spans = plan_steps(PERIOD, coverage(connection), HOUR_S)
        found = load_measure_steps(connection, spans, HOUR_S, ("ams", "fra"), ["reordered"])
        answers.append(
            {key.name: {at: totals.value for at, totals in hours.items()} for key, hours in found.items()}
        )
        for unit in rollup.due_units(connection, DAY + 2 * DAY_S):
            rollup.roll_up(connection, unit)
    assert answers == [{"reordered": {DAY: 3.0, DAY + 7200: 4.0}}] * 2
