"""Counting above a limit, and clustering by minute."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.wire.histogram import Histogram
from agent.wire.series import Outcome
from collector.measured import Measured, MinuteCounts, above, design_effect, loss_design_effect

TIMES_NS = st.lists(st.integers(1, 10**10), min_size=1, max_size=200)


@given(TIMES_NS, st.integers(1, 10**10))
def test_the_true_count_lies_within_the_bounds(times_ns, limit_ns):
    """What the buckets leave open is said, never guessed away."""
    found = above(Histogram.of(times_ns), limit_ns)
    true = sum(t > limit_ns for t in times_ns)
    assert found.at_least <= true <= found.at_most
    assert found.at_least <= found.estimate <= found.at_most


@given(TIMES_NS, st.lists(st.integers(1, 10**10), min_size=2, max_size=20))
def test_a_larger_limit_never_has_more_above_it(times_ns, limits_ns):
    """A verdict can only improve as the limit grows."""
    rtt = Histogram.of(times_ns)
    estimates = [above(rtt, limit).estimate for limit in sorted(limits_ns)]
    assert estimates == sorted(estimates, reverse=True)


def test_an_empty_histogram_has_nothing_above():
    """No data is no breach."""
    assert above(Histogram(), 1.0).at_most == 0


def minutes_of(rows):
    counts = MinuteCounts()
    for judged, over in rows:
        counts.add({Outcome.OK: judged}, judged, over)
    return counts


def effect_of(rows):
    judged, over = (sum(column) for column in zip(*rows, strict=True))
    return design_effect(judged, over, minutes_of(rows))


def test_slow_samples_all_in_a_few_minutes_are_worth_one_each_minute():
    """Six slow samples in one bad minute are one event, not six."""
    rows = [(6, 6)] * 10 + [(6, 0)] * 1430
    assert effect_of(rows) == pytest.approx(6, rel=0.02)


def test_slow_samples_spread_evenly_keep_their_full_worth():
    """Without clustering every sample counts."""
    assert effect_of([(6, 1)] * 60 + [(6, 0)] * 1380) == 1.0


def test_without_minutes_or_slow_samples_there_is_no_effect_to_see():
    """Unknown clustering is not invented."""
    assert design_effect(100, 5, None) == 1.0
    assert effect_of([(6, 0)] * 100) == 1.0
    assert effect_of([(6, 6)] * 100) == 1.0


def lost_of(rows):
    """Effect of losses, given (sent, lost) of each minute."""
    counts = MinuteCounts()
    for sent, lost in rows:
        counts.add({Outcome.OK: sent - lost, Outcome.TIMEOUT: lost}, 0, 0)
    sent, lost = (sum(column) for column in zip(*rows, strict=True))
    return loss_design_effect(sent, lost, counts)


def test_losses_in_bursts_are_worth_less_than_spread_ones():
    """An outage of ten minutes is ten events of sixty probes."""
    assert lost_of([(6, 6)] * 10 + [(6, 0)] * 1430) == pytest.approx(6, rel=0.02)
    assert lost_of([(6, 1)] * 60 + [(6, 0)] * 1380) == 1.0


def test_sums_that_are_not_there_are_not_taken_for_no_clustering():
    """Hours merged before these sums were kept hold zeros, and no probes hold none."""
    old = MinuteCounts(measured=1440, available=1440)
    assert loss_design_effect(8640, 60, old) is None
    assert loss_design_effect(8640, 60, None) is None


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=2, max_size=50), st.data())
def test_minutes_merged_are_minutes_added(rows, data):
    """Hour and day rows give the same availability and clustering as the minutes they were rolled up from."""
    rows = [(max(r), min(r)) for r in rows]
    cut = data.draw(st.integers(0, len(rows)))
    merged = minutes_of(rows[:cut])
    merged.merge(minutes_of(rows[cut:]))
    assert merged == minutes_of(rows)


def test_availability_counts_minutes_with_an_answer_among_minutes_that_say_something():
    """A minute in which nothing was sent says nothing about the path."""
    counts = MinuteCounts()
    for outcomes in (
        {Outcome.OK: 6},
        {Outcome.TIMEOUT: 6},
        {Outcome.SKIPPED: 6},
        {Outcome.TIMEOUT: 5, Outcome.OK: 1},
    ):
        counts.add(outcomes, 0, 0)
    assert (counts.available, counts.measured) == (2, 3)


def test_contradictory_counts_are_refused():
    """More over the limit than were compared with it cannot be."""
    with pytest.raises(ValueError, match="does not hold"):
        Measured(Histogram.of([1, 2]), judged=1, over_limit=2)
