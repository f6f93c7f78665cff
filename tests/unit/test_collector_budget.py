"""Budget, burn rates and what silence is, on counts alone."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from collector.budget import (
    PAIRS,
    WINDOWS,
    Counts,
    State,
    budget_of,
    burns_of,
    month_start,
    silence_window,
    state_of,
)


def counts(judged, over, objective=0.99):
    return Counts(judged, over, judged * (1 - objective), answered=judged)


def windows(**given):
    return {name: given.get(f"w{name}", counts(1000, 0)) for name in WINDOWS}


def test_the_budget_is_what_the_objective_allows_less_what_was_used():
    """1 % of 100,000 may be slow: 250 of them leave three quarters, 1,500 overdraw by half."""
    for over, left in ((0, 1), (250, 0.75), (1000, 0), (1500, -0.5)):
        found = budget_of("30d", "a", "b", counts(100_000, over))
        assert found.remaining_ratio == pytest.approx(left)
        assert found.sli == pytest.approx(1 - over / 100_000)


def test_two_objectives_in_one_period_allow_their_sum():
    """A month with a change of contract has the budget of both parts."""
    found = budget_of("month", "a", "b", counts(10_000, 40, 0.99) + counts(10_000, 40, 0.9))
    assert found.allowed == pytest.approx(1100)
    assert found.remaining_ratio == pytest.approx(1 - 80 / 1100)


def test_without_a_sample_there_is_no_figure():
    """No data is neither a full nor an empty budget, and burns at no rate."""
    found = budget_of("30d", "a", "b", Counts())
    assert (found.sli, found.remaining_ratio) == (None, None)
    (first, *_) = burns_of(dict.fromkeys(WINDOWS, Counts()))
    assert (first.long_rate, first.short_rate, first.burning) == (None, None, None)


@pytest.mark.parametrize("pair", PAIRS)
def test_a_pair_burns_only_if_both_windows_do(pair):
    """The long one says that it matters, the short one that it has not ended; at the factor itself it does not."""
    factor, long, short = pair
    hot, cold, at = (counts(10_000, round(10_000 * 0.01 * factor * scale)) for scale in (1.1, 0.9, 1.0))
    for of_long, of_short, burning in (
        (hot, hot, True),
        (hot, cold, False),
        (cold, hot, False),
        (at, hot, False),
    ):
        found = next(
            b for b in burns_of(windows(**{f"w{long}": of_long, f"w{short}": of_short})) if b.long == long
        )
        assert (found.factor, found.short, found.burning) == (factor, short, burning)


def test_too_few_samples_burn_nothing():
    """99 samples that are all slow leave the question open; 100 answer it."""
    for samples, burning in ((99, None), (100, True)):
        found = burns_of(windows(w1h=counts(samples, samples), w5m=counts(5, 5)))
        assert found[0].burning is burning


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (Counts(), State.SILENT),
        (Counts(excluded_seconds=3000), State.SILENT),
        (Counts(excluded_seconds=3600), State.EXCLUDED),
        (Counts(results=60), State.EXCLUDED),
        (Counts(results=60, lost=360), State.UNANSWERED),
        (Counts(results=60, lost=3, answered=357), State.UNJUDGED),
        (Counts(99, 0, 0.99, 99, results=60), State.FEW_SAMPLES),
        (Counts(360, 360, 3.6, 360, results=60), State.MEASURED),
    ],
)
def test_the_state_tells_silence_from_everything_else(found, state):
    """Only a path of which nobody has told anything is silent; excluded time and losses are something."""
    assert state_of(found, 3600) is state


def test_a_rare_probe_is_not_silent_between_two_of_its_times():
    """Three intervals, at least an hour, as far as there is a window."""
    assert [silence_window(seconds) for seconds in (10, 1200, 1201, 7200, 86400, 10**6)] == [
        "1h",
        "1h",
        "2h",
        "6h",
        "3d",
        "3d",
    ]


@pytest.mark.parametrize(
    ("now", "zone", "start"),
    [
        ("2026-03-31T23:30:00Z", "UTC", "2026-03-01T00:00:00Z"),
        ("2026-03-31T23:30:00Z", "Europe/Berlin", "2026-03-31T22:00:00Z"),
        ("2026-03-31T21:30:00Z", "Europe/Berlin", "2026-02-28T23:00:00Z"),
        ("2026-11-15T00:00:00Z", "America/New_York", "2026-11-01T04:00:00Z"),
        ("2026-10-31T16:00:00Z", "Asia/Shanghai", "2026-10-31T16:00:00Z"),
    ],
)
def test_a_calendar_month_begins_at_the_zones_midnight(now, zone, start):
    """Also in a month in which the clocks change after its first day."""
    found = month_start(int(datetime.fromisoformat(now).timestamp()), ZoneInfo(zone))
    assert datetime.fromtimestamp(found, UTC) == datetime.fromisoformat(start)
