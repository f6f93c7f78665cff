"""What is usual comes from good days."""

import pytest

from collector.incidents.breach import Breach, Kind
from collector.incidents.episodes import Block
from collector.incidents.usual import Usuals
from collector.store.schema import DAY_S, open_reader
from tests.batches import DAY, MS, batch, series, window
from tests.small_fleet import fill

HOURS = range(0, DAY_S, 3600)


def day_of(day, value_ms, count=40):
    return [
        window(start_s=DAY + day * DAY_S + at, values_ns=[value_ms * MS + i for i in range(count)])
        for at in HOURS
    ]


def blocks_of(day, bad_hours):
    for at in HOURS:
        start_s = DAY + day * DAY_S + at
        bad = (
            Breach(start_s, "ams", "fra", series().family, Kind.LATENCY, 12.0, "tcp", 0.05, 0.008),
        ) if at < bad_hours * 3600 else ()  # fmt: skip
        yield Block(start_s, ("ams",), (), {}, bad)


@pytest.fixture
def usuals(tmp_path):
    opened = []

    def of(values_by_day, bad_hours_by_day, today):
        windows = [each for day, value in values_by_day.items() for each in day_of(day, value)]
        fill(tmp_path / "store.db", [batch(windows)], DAY + 60 * DAY_S)
        opened.append(open_reader(tmp_path / "store.db"))
        made = Usuals([block for day, hours in bad_hours_by_day.items() for block in blocks_of(day, hours)])
        made.begin_day(opened[-1], DAY + today * DAY_S)
        return made.of(series())

    yield of
    for connection in opened:
        connection.close()


def test_seven_days_make_the_usual(usuals):
    """Their median, and from where a sample is slow: 8 % and a millisecond above it."""
    usual = usuals(dict.fromkeys(range(7), 10), {}, 7)
    assert usual.median_ns == pytest.approx(10 * MS, rel=0.02)
    assert usual.slow_ns == pytest.approx(11.8 * MS, rel=0.02)


def test_bad_days_are_left_out_and_older_good_ones_take_their_place(usuals):
    """A path slow for a whole week is not usually slow."""
    values = dict.fromkeys(range(7), 10) | dict.fromkeys(range(7, 15), 50)
    usual = usuals(values, dict.fromkeys(range(7, 15), 24), 15)
    assert usual.median_ns == pytest.approx(10 * MS, rel=0.02)


def test_a_day_with_a_bad_evening_counts(usuals):
    """Four hours of twenty-four are no bad day."""
    usual = usuals(dict.fromkeys(range(7), 10), dict.fromkeys(range(7), 4), 7)
    assert usual.median_ns is not None


def test_after_four_weeks_the_bad_has_become_the_usual_or_there_is_none(usuals):
    """What lasts longer than anybody remembers is no incident any more: nothing is said of it."""
    values = dict.fromkeys(range(2), 10) | dict.fromkeys(range(2, 31), 50)
    usual = usuals(values, dict.fromkeys(range(2, 31), 24), 31)
    assert usual.median_ns is None
