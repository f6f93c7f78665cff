import msgspec
import pytest

from agent.wire.histogram import MAX_NS, Histogram
from agent.wire.series import Outcome
from collector.store import batches
from collector.store.batches import AheadError, BatchRefusedError, BatchStore, Stored
from collector.store.query import load
from collector.store.schema import MOST_SAMPLES_PER_MINUTE, open_writer
from collector.store.tiers import Period
from tests.batches import DAY, MS, batch, series, window

NOW = DAY + 3600
PERIOD = Period(DAY, DAY + 3600)


@pytest.fixture
def store(tmp_path):
    connection = open_writer(tmp_path / "store.db")
    sink = BatchStore()
    yield lambda b, now_s=NOW: sink.store(connection, b, now_s), connection
    connection.close()


def test_a_batch_is_stored_once_however_often_it_comes(store):
    """A repeat of (node, boot, sequence) changes nothing, even with other content."""
    put, connection = store
    assert put(batch([window(values_ns=[5 * MS])])) is Stored.STORED
    before = connection.total_changes
    assert put(batch([window(values_ns=[5 * MS, 6 * MS])])) is Stored.REPEATED
    assert connection.total_changes == before
    assert load(connection, PERIOD)[1][series()].clean.rtt == Histogram.of([5 * MS])
    assert put(batch([window(values_ns=[7 * MS])], sequence=1)) is Stored.STORED
    assert put(batch([window(values_ns=[8 * MS])], boot="f" * 32)) is Stored.STORED
    assert load(connection, PERIOD)[1][series()].clean.rtt.count == 3


def test_a_minute_measured_twice_is_merged(store):
    """A wall clock set back repeats minutes: every sample of both runs counts, and both limits are remembered."""
    put, connection = store
    put(batch([window(values_ns=[5 * MS], limit_ns=4 * MS, lost=2)]))
    put(batch([window(values_ns=[9 * MS], limit_ns=10 * MS)], sequence=1))
    clean = load(connection, PERIOD)[1][series()].clean
    assert clean.rtt == Histogram.of([5 * MS, 9 * MS])
    assert (clean.minutes, clean.judged, clean.over_limit) == (1, 2, 1)
    assert (clean.limit_low_ns, clean.limit_high_ns) == (4 * MS, 10 * MS)
    assert clean.outcomes == {Outcome.OK: 2, Outcome.TIMEOUT: 2}


def test_a_limit_known_for_one_run_only_stays_known(store):
    """A window without a limit does not wipe out the limit of the other."""
    put, connection = store
    put(batch([window(values_ns=[], lost=1)]))
    put(batch([window(values_ns=[9 * MS], limit_ns=10 * MS)], sequence=1))
    put(batch([window(values_ns=[], lost=1)], sequence=2))
    clean = load(connection, PERIOD)[1][series()].clean
    assert (clean.limit_low_ns, clean.limit_high_ns, clean.rtt.min_ns) == (10 * MS, 10 * MS, 9 * MS)


def test_windows_of_one_second_join_their_minute(store):
    """Short windows make one minute row, not sixty."""
    put, connection = store
    put(batch([window(start_s=DAY + second, values_ns=[second * MS], length_s=1) for second in range(1, 60)]))
    clean = load(connection, PERIOD)[1][series()].clean
    assert (clean.minutes, clean.rtt.count) == (1, 59)


def test_spoiled_minutes_stay_apart(store):
    """What this host spoiled is kept and listed, and never mixes with what counts."""
    put, connection = store
    put(
        batch(
            [
                window(values_ns=[5 * MS]),
                window(start_s=DAY + 60, values_ns=[900 * MS], quality={"steal_ratio": 0.4}),
                window(start_s=DAY + 120, values_ns=[800 * MS], quality={"steal_ratio": 0.3}),
            ]
        )
    )
    here = load(connection, PERIOD)[1][series()]
    assert here.clean.rtt.max_ns == 5 * MS
    assert (here.spoiled.minutes, here.spoiled.flags) == (2, {"steal_ratio": (0.4, 2)})


def test_an_empty_minute_is_still_a_minute(store):
    """A minute in which every probe was lost is data: losses without times."""
    put, connection = store
    put(batch([window(values_ns=[], lost=6)]))
    clean = load(connection, PERIOD)[1][series()].clean
    assert clean.rtt == Histogram()
    assert clean.outcomes == {Outcome.TIMEOUT: 6}


def test_windows_ahead_of_the_clock_are_refused_for_now(store):
    """Whose clock is wrong cannot be told here, so the batch is not called bad: put right, the same batch is taken."""
    put, _ = store
    early = batch([window(start_s=NOW + 86401)])
    with pytest.raises(AheadError, match=r"windows\[0\].*more than a day ahead"):
        put(early)
    assert put(batch([window(start_s=NOW + 86400)], 1)) is Stored.STORED


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"start_s": DAY - 14 * 86400 - 60}, "older than the minutes kept here"),
        (
            {"outcomes": {Outcome.TIMEOUT: MOST_SAMPLES_PER_MINUTE + 1}},
            "more outcomes than an agent can have",
        ),
        ({"quality": {f"flag{i}": 1.0 for i in range(33)}}, "more than 32 quality flags"),
    ],
)
def test_windows_that_cannot_be_true_are_refused_by_place_and_reason(store, changed, reason):
    """An absurd window refuses its batch, naming the window; nothing of the batch stays."""
    put, connection = store
    connection.execute("UPDATE horizon SET start_s = ?", (DAY - 14 * 86400,))
    bad = msgspec.structs.replace(window(), **changed)
    with pytest.raises(BatchRefusedError, match=rf"windows\[1\].*{reason}"):
        put(batch([window(), bad]))


def test_an_absurd_round_trip_is_refused(store):
    """A time no probe can wait for never enters a sum."""
    with pytest.raises(BatchRefusedError, match="longer than"):
        store[0](batch([window(values_ns=[MAX_NS + 1])]))


def test_a_minute_cannot_be_filled_beyond_its_bound(store):
    """Merging cannot push a row past what its buckets can count."""
    put, _ = store
    many = window(values_ns=[])
    many.outcomes = {Outcome.OK: MOST_SAMPLES_PER_MINUTE}
    many.rtt = Histogram(
        MOST_SAMPLES_PER_MINUTE, MOST_SAMPLES_PER_MINUTE, 1, 1, {-957: MOST_SAMPLES_PER_MINUTE}
    )
    put(batch([many]))
    with pytest.raises(BatchRefusedError, match="one minute of one series"):
        put(batch([many], sequence=1))


def test_a_node_cannot_fill_the_store_with_series(store, monkeypatch):
    """The number of series per node is bounded, counted over batches and restarts."""
    monkeypatch.setattr(batches, "MOST_SERIES_PER_NODE", 2)
    put, _ = store
    put(batch([window(series(destination=f"d{i}")) for i in range(2)]))
    with pytest.raises(BatchRefusedError, match="already has 2 series"):
        put(batch([window(series(destination="d2"))], sequence=1))
    put(batch([window(series("lon"))], node="lon"))


def test_when_a_node_last_spoke_is_known(store):
    """A silent agent can be told from one that never spoke."""
    put, connection = store
    put(batch([window(start_s=DAY + 600)]))
    put(batch([window(start_s=DAY)], sequence=1), NOW + 60)
    assert connection.execute("SELECT name, last_batch_s, last_window_s FROM node").fetchall() == [
        ("ams", NOW + 60, DAY + 600)
    ]
