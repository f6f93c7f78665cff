"""Budgets of a store's paths: which samples are in which window, and what does not count."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from collector.budget import WINDOWS, State
from collector.budgets import budgets_now
from collector.store.schema import open_reader
from tests.batches import DAY, MS, batch, series, window
from tests.small_fleet import fill, fleet, maintenance

UTC_ZONE = ZoneInfo("UTC")
NOW = DAY + 20 * 86400 + 9 * 3600 + 17 * 60
"""29 October 2025, 09:17."""
LIMIT = 12 * MS


def rows_at(ages_s, over=0, per_row=100, **more):
    """One minute row for each age before NOW with so many samples, some over the limit."""
    values = [20 * MS] * over + [7 * MS] * (per_row - over)
    return [
        window(start_s=(NOW - age) // 60 * 60, values_ns=values, limit_ns=LIMIT, **more) for age in ages_s
    ]


@pytest.fixture
def ask(tmp_path):
    def found(windows, more="", zone=UTC_ZONE, merge=True, now_s=NOW):
        fill(tmp_path / "store.db", [batch(windows)], NOW + 60, merge)
        connection = open_reader(tmp_path / "store.db")
        rows = budgets_now(connection, fleet(more), now_s, zone)
        one = budgets_now(connection, fleet(more), now_s, zone, ("ams", "fra"))
        connection.close()
        assert [row for row in rows if (row.source, row.destination) == ("ams", "fra")] == list(one)
        (budget,) = one
        return budget

    return found


AGES = {"5m": 60, "30m": 600, "1h": 2400, "2h": 5400, "6h": 4 * 3600, "1d": 12 * 3600, "3d": 2 * 86400}


@pytest.mark.parametrize("merge", [True, False])
@pytest.mark.parametrize("name", WINDOWS)
def test_a_slow_stretch_burns_in_the_windows_that_hold_it_and_no_others(ask, name, merge):
    """Whichever tier answers: five slow samples of a hundred, at one age, among healthy ones at every other."""
    healthy = [age for other, age in AGES.items() if other != name] + [10 * 86400]
    found = ask([*rows_at(healthy), *rows_at([AGES[name]], over=5)], merge=merge)
    burning = [other for other, rate in found.rates.items() if rate]
    assert burning == list(WINDOWS)[list(WINDOWS).index(name) :]
    assert found.rates["3d"] == pytest.approx(5 / 7)
    rolling, month = found.budgets
    assert (rolling.judged, rolling.over_limit, month.judged) == (800, 5, 800)
    assert rolling.remaining_ratio == pytest.approx(1 - 5 / 8)


def test_the_month_is_that_of_the_zone(ask):
    """A sample of the last evening before the month counts where it is the first morning already."""
    last_evening = int(datetime(2025, 9, 30, 17, tzinfo=UTC).timestamp())
    windows = [*rows_at([3600]), *rows_at([NOW - last_evening], over=3)]
    for zone, judged in (("UTC", 100), ("Asia/Shanghai", 200), ("America/New_York", 100)):
        rolling, month = ask(windows, zone=ZoneInfo(zone)).budgets
        assert (rolling.judged, month.judged) == (200, judged)
    assert month.period_start == "2025-10-01T04:00:00Z"


def test_a_month_that_begins_at_half_past_an_hour_begins_then(ask):
    """In India midnight is 18:30 UTC: what was before is last month's, though of the same hour."""
    midnight = int(datetime(2025, 9, 30, 18, 30, tzinfo=UTC).timestamp())
    windows = [*rows_at([NOW - midnight + 600], over=3), *rows_at([NOW - midnight - 600])]
    _, month = ask(windows, zone=ZoneInfo("Asia/Kolkata")).budgets
    assert (month.judged, month.over_limit, month.period_start) == (100, 0, "2025-09-30T18:30:00Z")


def test_what_does_not_count_uses_no_budget(ask):
    """Spoiled minutes, announced work and older samples; announced twice is announced once."""
    windows = [
        *rows_at([600, 3000]),
        *rows_at([1200], over=50, quality={"steal_ratio": 0.5}),
        *rows_at([1800], over=50),
        *rows_at([31 * 86400], over=50),
    ]
    work = maintenance(NOW - 2000, NOW - 1700) + maintenance(NOW - 1900, NOW - 1500, 'nodes = ["fra"]')
    found = ask(windows, work)
    assert [(b.judged, b.over_limit, b.remaining_ratio) for b in found.budgets] == [(200, 0, 1.0)] * 2
    assert found.state is State.MEASURED


def test_a_path_that_nobody_told_anything_of_is_silent_and_one_in_maintenance_is_not(ask):
    """Absence of data is a state of its own, with no figure that looks good."""
    old = rows_at([2 * 86400])
    silent, excluded = ask(old), ask(old, maintenance(NOW - 7200, NOW + 7200))
    assert (silent.state, silent.rates["1h"], silent.burns[0].burning) == (State.SILENT, None, None)
    assert excluded.state is State.EXCLUDED


def test_a_path_that_loses_every_probe_is_not_silent(ask):
    """It has no burn rate, and its loss is told."""
    found = ask([window(start_s=NOW // 60 * 60 - 300, values_ns=[], lost=6)])
    assert (found.state, found.rates["1h"], found.burning) == (State.UNANSWERED, None, False)


def test_each_contract_allows_its_own_share(ask):
    """Before the change one in ten, since then one in a hundred."""
    change = datetime.fromtimestamp(NOW - 5 * 86400, UTC).isoformat()
    classes = f"""
[[classes]]
name = "x"
objective = 0.9
valid_until = {change}
[[classes]]
name = "x"
valid_from = {change}
[[applications]]
class = "x"
nodes = ["ams", "fra"]
"""
    found = ask([*rows_at([10 * 86400], over=8), *rows_at([86400], over=1)], classes)
    rolling, _ = found.budgets
    assert rolling.allowed == pytest.approx(10 + 1)
    assert rolling.remaining_ratio == pytest.approx(1 - 9 / 11)
    assert found.objective == 0.99


def test_another_clock_of_the_same_probe_counts_too(ask):
    """Budgets are of the path, whichever clock timed it."""
    from agent.wire.series import Family, SeriesKey, TimeSource

    kernel = SeriesKey("ams", "fra", "tcp", Family.IPV4, TimeSource.KERNEL)
    other = [window(kernel, NOW // 60 * 60 - 600, [7 * MS] * 50, LIMIT)]
    assert (
        ask([*rows_at([300]), *other, window(series(destination="nyc"), NOW // 60 * 60 - 600)])
        .budgets[0]
        .judged
        == 150
    )
