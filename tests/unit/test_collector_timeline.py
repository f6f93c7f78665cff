import pytest

from agent.wire.batch import Event
from agent.wire.series import Family
from collector.store.schema import open_reader
from collector.store.tiers import Period
from collector.timeline import MOST_POINTS, STEPS, step_for, timeline_of_path
from tests.batches import DAY, MS, batch, window
from tests.small_fleet import fill, fleet


@pytest.fixture
def path(tmp_path):
    windows = [
        window(start_s=DAY, values_ns=[5 * MS, 9 * MS], limit_ns=8 * MS, lost=2),
        window(start_s=DAY + 120, values_ns=[], lost=6),
        window(start_s=DAY + 180, values_ns=[50 * MS], quality={"steal_ratio": 0.5}),
    ]
    events = [Event(DAY + 60, "route", {"hops": ["10.0.0.1"]}, "fra", Family.IPV4)]
    fill(tmp_path / "store.db", [batch(windows, events=events)], DAY + 7200)
    connection = open_reader(tmp_path / "store.db")
    yield timeline_of_path(connection, fleet(), Period(DAY, DAY + 3600), "ams", "fra")
    connection.close()


def test_each_step_says_what_was_measured_and_what_was_not(path):
    """No data is no point, no time is None, and a spoiled minute is a point without samples."""
    (series,) = path.series
    first, lost, spoiled = series.points
    assert (first.start, first.samples, first.p50_seconds, first.max_seconds) == (
        "2025-10-09T00:00:00Z",
        2,
        0.005,
        0.009,
    )
    assert (first.judged, first.over_limit, first.lost, first.loss_ratio) == (2, 1, 2, 0.5)
    assert (lost.start, lost.samples, lost.p99_seconds, lost.loss_ratio) == (
        "2025-10-09T00:02:00Z",
        0,
        None,
        1.0,
    )
    assert (spoiled.samples, spoiled.p50_seconds, spoiled.loss_ratio, spoiled.excluded_minutes) == (
        0,
        None,
        None,
        1,
    )


def test_the_whole_path_comes_with_its_standing_and_its_events(path):
    """One answer holds the verdict of the same period and the evidence beside it."""
    assert [row.samples for row in path.standing] == [2]
    assert (path.step_seconds, path.period_end) == (60, "2025-10-09T01:00:00Z")
    assert [(event.time, event.detail) for event in path.events] == [
        ("2025-10-09T00:01:00Z", {"hops": ["10.0.0.1"]})
    ]


@pytest.mark.parametrize("length_s", [60, 3600, 86400, 7 * 86400, 30 * 86400, 1095 * 86400])
def test_a_chart_never_has_too_many_points(length_s):
    """Every period has a step that keeps it readable, the finest that does."""
    step = step_for(Period(DAY, DAY + length_s))
    assert length_s / step <= MOST_POINTS
    finer = [s for s in STEPS if s < step]
    assert not finer or length_s / finer[-1] > MOST_POINTS
