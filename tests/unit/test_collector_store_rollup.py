import pytest

from agent.wire.histogram import Histogram
from collector.store.batches import BatchStore
from collector.store.query import load
from collector.store.rollup import GRACE_SECONDS, due_units, oldest_due_s, roll_up
from collector.store.schema import DAY_S, HOUR_S, open_writer
from collector.store.tiers import Period
from tests.batches import DAY, MS, batch, series, window


@pytest.fixture
def connection(tmp_path):
    connection = open_writer(tmp_path / "store.db")
    yield connection
    connection.close()


def put(connection, windows, sequence=0):
    sink = BatchStore()
    sink.store(connection, batch(windows, sequence), DAY + DAY_S)


def test_an_hour_waits_for_its_end_and_a_day_for_its_hours(connection):
    """Work is due a little after the hour ended; the day only when none of its hours is left."""
    put(connection, [window(start_s=DAY + 23 * HOUR_S)])
    end_s = DAY + DAY_S
    assert due_units(connection, end_s + GRACE_SECONDS - 1) == []
    hour = ("hour", DAY + 23 * HOUR_S, 1)
    assert due_units(connection, end_s + GRACE_SECONDS) == [hour]
    assert oldest_due_s(connection, end_s + 500) == end_s + GRACE_SECONDS
    roll_up(connection, hour)
    assert due_units(connection, end_s + GRACE_SECONDS) == [("day", DAY, 1)]
    roll_up(connection, ("day", DAY, 1))
    assert due_units(connection, end_s + DAY_S) == []
    assert oldest_due_s(connection, end_s + DAY_S) is None


def test_late_data_merges_its_hour_and_day_anew_and_counts_once(connection):
    """However often an hour is merged, each sample is in its hour and in its day exactly once."""
    put(connection, [window(values_ns=[5 * MS])])
    for sequence, late_ns in enumerate((6 * MS, 7 * MS), start=1):
        while units := due_units(connection, DAY + 2 * DAY_S):
            for unit in units:
                roll_up(connection, unit)
        put(connection, [window(start_s=DAY + 60, values_ns=[late_ns])], sequence)
    while units := due_units(connection, DAY + 2 * DAY_S):
        for unit in units:
            roll_up(connection, unit)
    for tier in ("hour", "day"):
        assert connection.execute(f"SELECT count, sum_ns, minutes FROM {tier}").fetchall() == [
            (3, 18 * MS, 2)
        ]
    clean = load(connection, Period(DAY, DAY + DAY_S))[1][series()].clean
    assert clean.rtt == Histogram.of([5 * MS, 6 * MS, 7 * MS])


def test_one_nodes_late_data_leaves_other_nodes_alone(connection):
    """A unit is one node's: the rows of others are neither read nor written."""
    put(connection, [window()])
    sink = BatchStore()
    sink.store(connection, batch([window(series("lon"))], node="lon"), DAY + DAY_S)
    units = due_units(connection, DAY + HOUR_S + GRACE_SECONDS)
    assert [unit[2] for unit in units] == [1, 2]
    assert roll_up(connection, units[0]) == 1
    assert connection.execute("SELECT count(*) FROM hour").fetchone() == (1,)
