import random
from collections import Counter, defaultdict

import pytest

from agent.wire.histogram import Histogram
from collector.measured import MinuteCounts
from collector.store import retention, rollup
from collector.store.batches import BatchStore
from collector.store.query import load, load_steps
from collector.store.schema import DAY_S, HOUR_S, open_writer
from collector.store.tiers import Period
from tests.batches import DAY, MS, batch, random_window, series, window


class Reference:
    """The same windows merged in plain Python, from the windows themselves, whatever the store did with them."""

    def __init__(self):
        self.windows = []

    def totals(self, start_s, end_s):
        found = defaultdict(lambda: [Histogram(), Counter(), 0, 0, set(), {}])
        for w in self.windows:
            if start_s <= w.start_s < end_s:
                row = found[w.series, bool(w.quality)]
                row[0].merge(w.rtt)
                row[1].update(w.outcomes)
                row[2] += w.judged
                row[3] += w.over_limit
                if w.limit_ns is not None:
                    row[4].add(w.limit_ns)
                row[5].setdefault(w.start_s // 60, []).append(w)
        return {
            key: (
                rtt,
                dict(outcomes),
                judged,
                over,
                min(limits, default=None),
                max(limits, default=None),
                self.counts(minutes),
            )
            for key, (rtt, outcomes, judged, over, limits, minutes) in found.items()
        }

    @staticmethod
    def counts(minutes):
        counts = MinuteCounts()
        for windows in minutes.values():
            outcomes = sum((Counter(w.outcomes) for w in windows), Counter())
            counts.add(outcomes, sum(w.judged for w in windows), sum(w.over_limit for w in windows))
        return counts


def as_reference(measured):
    return {
        (key, spoiled): (
            t.rtt,
            t.outcomes,
            t.judged,
            t.over_limit,
            t.limit_low_ns,
            t.limit_high_ns,
            t.counts,
        )
        for key, both in measured.items()
        for spoiled, t in ((False, both.clean), (True, both.spoiled))
        if t.minutes
    }


@pytest.fixture
def connection(tmp_path):
    connection = open_writer(tmp_path / "store.db")
    yield connection
    connection.close()


@pytest.fixture
def sink(connection):
    return BatchStore()


@pytest.mark.parametrize("seed", range(6))
def test_a_period_answers_the_same_from_any_tier(connection, sink, seed):
    """Whatever arrived late or twice and whatever is merged already: the answer equals the plain merge of all windows."""
    rng = random.Random(seed)
    keys = [series("ams", "fra"), series("ams", "lon"), series("lon", "ams")]
    reference = Reference()
    for sequence in range(60):
        source = rng.choice(("ams", "lon"))
        start_s = DAY + rng.randrange(0, 3 * DAY_S, 600)
        windows = [
            random_window(rng, rng.choice([key for key in keys if key.source == source]), start_s + 60 * i)
            for i in range(10)
        ]
        sink.store(connection, batch(windows, sequence, source), DAY + 4 * DAY_S)
        reference.windows += windows
        if rng.random() < 0.3:
            for unit in rollup.due_units(connection, DAY + 4 * DAY_S, most=rng.randrange(1, 40)):
                rollup.roll_up(connection, unit)
        if rng.random() < 0.3:
            low, high = sorted(rng.sample(range(0, 3 * DAY_S + 60, 60), 2))
            period, measured = load(connection, Period(DAY + low, DAY + high))
            assert (period.start_s, period.end_s) == (DAY + low, DAY + high)
            assert as_reference(measured) == reference.totals(DAY + low, DAY + high)
    while units := rollup.due_units(connection, DAY + 4 * DAY_S):
        for unit in units:
            rollup.roll_up(connection, unit)
    assert as_reference(load(connection, Period(DAY, DAY + 3 * DAY_S))[1]) == reference.totals(
        DAY, DAY + 3 * DAY_S
    )


def test_announced_maintenance_is_cut_out_of_its_paths_only(connection, sink):
    """Minutes inside a cut do not count for that series, whatever tier answers; other series keep theirs."""
    fra, lon = series("ams", "fra"), series("ams", "lon")
    starts = range(DAY, DAY + 2 * DAY_S, 600)
    sink.store(connection, batch([window(key, s) for key in (fra, lon) for s in starts]), DAY + 2 * DAY_S)
    for _ in range(2):
        _, found = load(
            connection,
            Period(DAY, DAY + 2 * DAY_S),
            lambda *path: [Period(DAY + 1200, DAY + 3 * HOUR_S + 60)] if path == ("ams", "fra") else (),
        )
        assert found[lon].clean.minutes == len(starts)
        assert found[fra].clean.minutes == len(
            [s for s in starts if not DAY + 1200 <= s < DAY + 3 * HOUR_S + 60]
        )
        while units := rollup.due_units(connection, DAY + 3 * DAY_S):
            for unit in units:
                rollup.roll_up(connection, unit)


def test_a_month_is_read_from_days_alone_once_it_is_merged(connection, sink):
    """After the roll-up the fine rows are not needed: with them gone the answer stays."""
    windows = [random_window(random.Random(7), series(), DAY + 60 * i) for i in range(0, 2 * 1440, 7)]
    sink.store(connection, batch(windows), DAY + 3 * DAY_S)
    before = load(connection, Period(DAY, DAY + 2 * DAY_S))
    while units := rollup.due_units(connection, DAY + 3 * DAY_S):
        for unit in units:
            rollup.roll_up(connection, unit)
    connection.execute("DELETE FROM minute")
    connection.execute("DELETE FROM hour")
    assert load(connection, Period(DAY, DAY + 2 * DAY_S)) == before


def test_an_empty_store_answers_with_nothing(connection):
    """No data is no series, not a series of zeros."""
    assert load(connection, Period(DAY, DAY + DAY_S)) == (Period(DAY, DAY + DAY_S), {})
    assert load_steps(connection, Period(DAY, DAY + DAY_S), 300, "ams", "fra")[1] == {}


def test_a_path_over_time_has_gaps_where_there_was_no_data(connection, sink):
    """Each step holds its own minutes only, and a step without rows is absent."""
    starts = (DAY, DAY + 60, DAY + 900)
    sink.store(
        connection,
        batch([window(start_s=s, values_ns=[(i + 1) * MS]) for i, s in enumerate(starts)]),
        DAY + 7200,
    )
    period, steps = load_steps(connection, Period(DAY + 60, DAY + 1000), 300, "ams", "fra")
    assert period == Period(DAY, DAY + 1200)
    points = {start: both.clean.rtt.max_ns for start, both in steps[series()].items()}
    assert points == {DAY: 2 * MS, DAY + 900: 3 * MS}


def test_a_path_over_time_leaves_other_paths_out(connection, sink):
    """The page of one path shows that path's series, each by itself."""
    other = series("ams", "lon")
    sink.store(connection, batch([window(), window(other, values_ns=[99 * MS])]), DAY + 7200)
    _, steps = load_steps(connection, Period(DAY, DAY + HOUR_S), 60, "ams", "fra")
    assert list(steps) == [series()]


def test_steps_agree_with_the_whole(connection, sink):
    """Merging the steps of a chart gives what the period gives."""
    rng = random.Random(3)
    windows = [random_window(rng, series(), DAY + 60 * i) for i in range(300)]
    sink.store(connection, batch(windows), DAY + 2 * DAY_S)
    for unit in rollup.due_units(connection, DAY + 2 * DAY_S):
        rollup.roll_up(connection, unit)
    whole = load(connection, Period(DAY, DAY + DAY_S))[1][series()].clean.rtt
    for step_s in (300, HOUR_S, DAY_S):
        merged = Histogram()
        for both in load_steps(connection, Period(DAY, DAY + DAY_S), step_s, "ams", "fra")[1][
            series()
        ].values():
            merged.merge(both.clean.rtt)
        assert merged == whole


def test_a_period_beyond_the_minutes_says_what_it_covers(connection, sink):
    """With the minutes deleted the answer grows to whole hours and its period says so."""
    sink.store(connection, batch([window(start_s=DAY + 600), window(start_s=DAY + 1200)]), DAY + DAY_S)
    sink.store(connection, batch([window(start_s=DAY + 20 * DAY_S)], 1), DAY + 20 * DAY_S)
    for unit in rollup.due_units(connection, DAY + 30 * DAY_S):
        rollup.roll_up(connection, unit)
    retention.advance_horizons(connection, retention.Retention(), DAY + 20 * DAY_S)
    while retention.delete_some(connection):
        pass
    period, measured = load(connection, Period(DAY + 1200, DAY + 1800))
    assert period == Period(DAY, DAY + HOUR_S)
    assert measured[series()].clean.rtt.count == 2
