"""Which blocks wait, what is kept of them, and for how long."""

import pytest

from collector.store.batches import BatchStore
from collector.store.incidents import (
    IncidentRow,
    incident_rows,
    judged_blocks,
    latest_judged_s,
    pending_blocks,
    save_judgement,
)
from collector.store.retention import Retention, advance_horizons, delete_some
from collector.store.schema import DAY_S, MIGRATIONS, MINUTE_COLUMNS, open_writer
from collector.store.tiers import Period
from tests.batches import DAY, batch, window

EVER = Period(0, 2**40)


@pytest.fixture
def connection(tmp_path):
    connection = open_writer(tmp_path / "store.db")
    yield connection
    connection.close()


def put(connection, *starts, sequence=0):
    windows = [window(start_s=start_s) for start_s in starts]
    BatchStore().store(connection, batch(windows, sequence), max(starts) + DAY_S)


def row(name, start_s, end_s):
    return IncidentRow(name, start_s, end_s, b"{}", b"[]")


def test_data_makes_its_blocks_wait(connection):
    """Each block of five minutes once, whatever came for it, in order of time."""
    put(connection, DAY + 600, DAY, DAY + 60, DAY + 299)
    assert pending_blocks(connection, EVER) == {DAY: 1, DAY + 600: 1}
    assert pending_blocks(connection, Period(DAY + 300, DAY + 900)) == {DAY + 600: 1}


def test_a_judged_block_waits_again_when_more_comes(connection):
    """What came while it was judged, or later, is not lost."""
    put(connection, DAY)
    seen = pending_blocks(connection, EVER)
    put(connection, DAY + 60, sequence=1)
    save_judgement(connection, [(DAY, seen[DAY], b"one")], (), ())
    assert pending_blocks(connection, EVER) == {DAY: 2}
    save_judgement(connection, [(DAY, 2, b"two")], (), ())
    assert pending_blocks(connection, EVER) == {}
    assert list(judged_blocks(connection, EVER)) == [b"two"]
    assert latest_judged_s(connection) == DAY
    put(connection, DAY + 120, sequence=2)
    assert pending_blocks(connection, EVER) == {DAY: 1}


def test_incidents_are_replaced_and_taken_back(connection):
    """By id; an open one touches every later period."""
    save_judgement(connection, (), [row("a", 100, 200), row("b", 150, None)], ())
    save_judgement(connection, (), [row("a", 100, 300)], ["c"])
    assert [(each.id, each.end_s) for each in incident_rows(connection, Period(250, 260))] == [
        ("a", 300),
        ("b", None),
    ]
    assert [each.id for each in incident_rows(connection, Period(300, 10**9))] == ["b"]
    save_judgement(connection, (), (), ["b"])
    assert [each.id for each in incident_rows(connection, EVER)] == ["a"]


def test_blocks_go_with_the_minutes_and_incidents_with_the_days(connection):
    """Retention: an incident outlives what it was found in, and an open one stays."""
    days = [DAY + day * DAY_S for day in range(8)]
    put(connection, *days)
    save_judgement(
        connection,
        [(day, 1, b"x") for day in days[:4]],
        [row("old", DAY, DAY + 300), row("open", DAY, None)],
        (),
    )
    connection.execute("DELETE FROM touched")
    now_s = days[-1] + 3600
    advance_horizons(connection, Retention(2 * DAY_S, 3 * DAY_S, 20 * DAY_S), now_s)
    while delete_some(connection):
        pass
    assert min(pending_blocks(connection, EVER)) == days[5]
    assert list(judged_blocks(connection, EVER)) == []
    assert len(incident_rows(connection, EVER)) == 2
    advance_horizons(connection, Retention(2 * DAY_S, 3 * DAY_S, 4 * DAY_S), now_s)
    while delete_some(connection):
        pass
    assert [each.id for each in incident_rows(connection, EVER)] == ["open"]


def test_a_store_from_before_is_judged_for_its_last_week(tmp_path):
    """An upgrade finds the incidents of the days that it still has in minutes."""
    at = next(i for i, script in enumerate(MIGRATIONS) if "pending_block" in script)
    older = open_writer(tmp_path / "old.db", MIGRATIONS[:at])
    columns = [each[1] for each in older.execute("PRAGMA table_info(minute)")]
    assert set(columns) <= set(MINUTE_COLUMNS)
    for start_s in (DAY, DAY + 5 * DAY_S, DAY + 9 * DAY_S, DAY + 9 * DAY_S + 240):
        values = dict.fromkeys(columns, 0) | {"start_s": start_s, "series": 1, "histogram": b""}
        older.execute(
            f"INSERT INTO minute ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})",
            [*values.values()],
        )
    older.close()
    newer = open_writer(tmp_path / "old.db")
    assert pending_blocks(newer, EVER) == {DAY + 5 * DAY_S: 1, DAY + 9 * DAY_S: 1}
    newer.close()
