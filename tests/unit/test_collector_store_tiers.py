import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.store.schema import DAY_S, HOUR_S, TIER_SECONDS
from collector.store.tiers import Coverage, Period, Span, plan, plan_steps, widen, without

D = 20_000 * DAY_S
KEPT = {"minute": 0, "hour": 0, "day": 0}


def test_a_month_reads_days_in_the_middle_and_finer_rows_at_its_edges():
    """Whole days come from day rows; only the ragged ends cost hours and minutes."""
    period = Period(D - 90 * 60, D + 3 * DAY_S + 2 * HOUR_S + 60)
    assert plan(period, Coverage(KEPT)) == [
        Span("minute", D - 90 * 60, D - HOUR_S),
        Span("hour", D - HOUR_S, D),
        Span("day", D, D + 3 * DAY_S),
        Span("hour", D + 3 * DAY_S, D + 3 * DAY_S + 2 * HOUR_S),
        Span("minute", D + 3 * DAY_S + 2 * HOUR_S, D + 3 * DAY_S + 2 * HOUR_S + 60),
    ]


def test_what_is_not_merged_yet_is_read_from_finer_rows():
    """A touched hour is read from its minutes, and its day from hours, so that late data shows at once."""
    held = Coverage(KEPT, frozenset({D + 5 * HOUR_S}))
    assert plan(Period(D, D + 2 * DAY_S), held) == [
        Span("hour", D, D + 5 * HOUR_S),
        Span("minute", D + 5 * HOUR_S, D + 6 * HOUR_S),
        Span("hour", D + 6 * HOUR_S, D + DAY_S),
        Span("day", D + DAY_S, D + 2 * DAY_S),
    ]


def test_a_period_older_than_the_minutes_is_widened_to_what_is_left():
    """Where only hours or days are left the period grows to whole ones, and says so by its bounds."""
    held = Coverage({"minute": D, "hour": D - 10 * DAY_S, "day": 0})
    assert widen(Period(D - 30 * 60, D + 61), held) == Period(D - HOUR_S, D + 120)
    assert widen(Period(D - 10 * DAY_S - 60, D), held) == Period(D - 11 * DAY_S, D)
    assert widen(Period(D - HOUR_S, D - 60), held) == Period(D - HOUR_S, D)


@given(
    st.integers(0, 5000),
    st.integers(1, 5000),
    st.frozensets(st.integers(0, 170), max_size=5),
    st.frozensets(st.integers(0, 7), max_size=2),
)
def test_a_plan_covers_every_minute_once(start, length, hours, days):
    """Spans follow each other without gap or overlap, on their tier's own boundaries."""
    held = Coverage(
        KEPT, frozenset(D + hour * HOUR_S for hour in hours), frozenset(D + day * DAY_S for day in days)
    )
    period = Period(D + start * 60, D + (start + length) * 60)
    for spans in (plan(period, held), plan_steps(period, held, 300)):
        edges = [span.start_s for span in spans] + [spans[-1].end_s]
        assert edges[0] == period.start_s
        assert edges[-1] == period.end_s
        assert all(one.end_s == other.start_s for one, other in itertools.pairwise(spans))
        assert all(span.start_s % TIER_SECONDS[span.tier] == 0 for span in spans)


def test_steps_of_five_minutes_are_never_answered_by_hours_while_minutes_are_kept():
    """A chart's points are not smeared over an hour just because the hour is merged."""
    held = Coverage({"minute": D, "hour": D - DAY_S, "day": 0})
    assert {span.tier for span in plan_steps(Period(D, D + DAY_S), held, 300)} == {"minute"}
    assert {span.tier for span in plan_steps(Period(D, D + DAY_S), held, HOUR_S)} == {"hour"}
    assert {span.tier for span in plan_steps(Period(D - DAY_S, D), held, 300)} == {"hour"}


@pytest.mark.parametrize(("start_s", "end_s"), [(5, 5), (6, 5), (-1, 5)])
def test_a_period_that_ends_before_it_starts_is_refused(start_s, end_s):
    """An impossible period is an error, not an empty answer."""
    with pytest.raises(ValueError, match="ends after it starts"):
        Period(start_s, end_s)


def test_cuts_leave_what_lies_between_them():
    """Cuts may touch, overlap and reach beyond the period; where minutes are gone they take whole hours."""
    period = Period(D, D + DAY_S)
    minutes = Coverage(KEPT)
    cuts = [
        Period(D + 600, D + 700),
        Period(D - 60, D + 60),
        Period(D + 660, D + 900),
        Period(D + DAY_S - 60, D + 2 * DAY_S),
    ]
    assert without(period, cuts, minutes) == [Period(D + 60, D + 600), Period(D + 900, D + DAY_S - 60)]
    hours = Coverage({"minute": D + 2 * DAY_S, "hour": D, "day": 0})
    assert without(period, cuts[:1], hours) == [Period(D + HOUR_S, D + DAY_S)]
    assert without(period, [Period(0, 2 * D)], minutes) == []
