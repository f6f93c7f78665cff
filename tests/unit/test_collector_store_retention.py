import pytest

from collector.store import rollup
from collector.store.batches import BatchRefusedError, BatchStore
from collector.store.query import load
from collector.store.retention import Retention, advance_horizons, delete_some
from collector.store.schema import DAY_S, open_writer
from collector.store.tiers import Period
from tests.batches import DAY, batch, series, window

KEEP = Retention(minute_s=2 * DAY_S, hour_s=5 * DAY_S, day_s=10 * DAY_S)


@pytest.fixture
def connection(tmp_path):
    connection = open_writer(tmp_path / "store.db")
    yield connection
    connection.close()


def put(connection, day, sequence):
    sink = BatchStore()
    start_s = DAY + day * DAY_S
    sink.store(connection, batch([window(start_s=start_s)], sequence), start_s)


def merge_all(connection, now_s):
    while units := rollup.due_units(connection, now_s):
        for unit in units:
            rollup.roll_up(connection, unit)


def expire(connection, now_s):
    advance_horizons(connection, KEEP, now_s)
    while delete_some(connection):
        pass


def days_of(connection, tier):
    return [(row[0] - DAY) // DAY_S for row in connection.execute(f"SELECT start_s FROM {tier} ORDER BY 1")]


def test_each_tier_keeps_its_own_time(connection):
    """Minutes go first, then hours, then days; a question about old times is answered by what is left."""
    for day in range(13):
        put(connection, day, day)
    now_s = DAY + 12 * DAY_S + 4 * 3600
    merge_all(connection, now_s)
    expire(connection, now_s)
    assert days_of(connection, "minute") == [10, 11, 12]
    assert days_of(connection, "hour") == [7, 8, 9, 10, 11, 12]
    assert days_of(connection, "day") == list(range(2, 12))
    _, measured = load(connection, Period(DAY, DAY + 13 * DAY_S))
    assert measured[series()].clean.minutes == 11


def test_minutes_that_are_not_merged_yet_are_never_deleted(connection):
    """Retention waits for the roll-up, however late it is."""
    for day in (0, 9):
        put(connection, day, day)
    now_s = DAY + 9 * DAY_S
    expire(connection, now_s)
    assert days_of(connection, "minute") == [0, 9]
    merge_all(connection, now_s + DAY_S)
    expire(connection, now_s)
    assert days_of(connection, "minute") == [9]


def test_windows_older_than_the_minutes_kept_are_refused(connection):
    """An hour whose minutes are gone cannot be merged anew, so a window of it is refused rather than lost or doubled."""
    put(connection, 0, 0)
    put(connection, 9, 9)
    merge_all(connection, DAY + 10 * DAY_S)
    expire(connection, DAY + 9 * DAY_S)
    assert connection.execute("SELECT sequence FROM batch").fetchall() == [(9,)]
    with pytest.raises(BatchRefusedError, match="older than the minutes kept"):
        put(connection, 0, 0)


def test_a_clock_that_jumps_ahead_does_not_empty_the_store(connection):
    """Age is counted from the newest data, not from a wall clock that may be wrong by a year."""
    put(connection, 0, 0)
    merge_all(connection, DAY + 400 * DAY_S)
    expire(connection, DAY + 400 * DAY_S)
    assert days_of(connection, "minute") == [0]


def test_a_store_without_data_has_nothing_to_delete(connection):
    """An empty store expires nothing."""
    expire(connection, DAY)
    assert delete_some(connection) == 0


def test_tiers_in_the_wrong_order_are_refused():
    """A coarser tier that ends before a finer one would lose data at its roll-up."""
    with pytest.raises(ValueError, match="minutes ≤ hours ≤ days"):
        Retention(minute_s=90 * DAY_S, hour_s=14 * DAY_S)
