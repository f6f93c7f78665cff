"""Due times are absolute, phases are spread and stable, and nothing due is ever lost silently."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.schedule import Entry, FairShare, RateCap, Schedule, phase_ns

NS = 1_000_000_000
WALL_NS = 1_800_000_000 * NS
START_NS = 77 * NS


def entry(name, interval_s=10.0):
    return Entry(("fra", name, "tcp", "ipv4"), round(interval_s * NS))


def schedule_of(*entries, start_ns=START_NS, wall_ns=WALL_NS):
    schedule = Schedule(wall_ns, start_ns)
    schedule.replace(entries, start_ns)
    return schedule


STEPS = st.lists(st.integers(0, 40 * NS), min_size=1, max_size=40)


@given(STEPS, st.integers(1, 12 * NS))
def test_every_due_time_is_taken_or_counted_as_missed(steps, interval_ns):
    """Whenever the loop comes, taken + missed = the due times that have passed, each of them start + k × interval."""
    one = Entry(("a",), interval_ns)
    schedule = schedule_of(one)
    first = schedule.next_due_ns()
    now, counted = START_NS, 0
    for step in steps:
        now += step
        for due in schedule.take(now):
            counted += 1 + due.missed
            assert (due.due_ns - first) % interval_ns == 0
            assert now - interval_ns < due.due_ns <= now
        passed = 0 if now < first else (now - first) // interval_ns + 1
        assert counted == passed
        assert schedule.next_due_ns() > now


@given(st.text(max_size=20), st.integers(1, 3600 * NS), st.integers(0, 10**19), st.integers(0, 10**15))
def test_the_phase_is_the_same_after_every_restart(name, interval_ns, wall_ns, mono_ns):
    """An agent that starts at another moment, on another monotonic clock, still probes at the same wall times."""
    one = Entry((name,), interval_ns)
    schedule = schedule_of(one, start_ns=mono_ns, wall_ns=wall_ns)
    due_wall = schedule.next_due_ns() - mono_ns + wall_ns
    assert due_wall % interval_ns == phase_ns(one.key, interval_ns)
    assert 0 <= due_wall - wall_ns < interval_ns


def test_a_fleet_that_starts_at_once_spreads_over_the_interval():
    """10,000 probes of one mesh: no tenth of the interval gets more than 11% or less than 9% of them."""
    tenths = [0] * 10
    for source in range(100):
        for destination in range(100):
            phase = phase_ns((f"n{source}", f"n{destination}", "tcp", "ipv4"), 10 * NS)
            tenths[phase // NS] += 1
    assert min(tenths) > 900
    assert max(tenths) < 1100


def test_both_directions_and_both_families_have_their_own_phase():
    """Two nodes do not probe each other in the same instant."""
    keys = [
        ("a", "b", "tcp", "ipv4"),
        ("b", "a", "tcp", "ipv4"),
        ("a", "b", "tcp", "ipv6"),
        ("ab", "", "tcp", "ipv4"),
    ]
    assert len({phase_ns(key, 10 * NS) for key in keys}) == len(keys)


@given(st.sets(st.integers(0, 9)), st.sets(st.integers(0, 9)), st.integers(0, 15 * NS))
def test_replacing_the_plan_keeps_the_rhythm_of_what_stays(before, after, pause_ns):
    """A peer that stays is due exactly when it would have been; one that left is never due again."""
    schedule = schedule_of(*(entry(str(n)) for n in before))
    undisturbed = schedule_of(*(entry(str(n)) for n in before & after))
    schedule.replace([entry(str(n)) for n in after], START_NS + pause_ns)
    taken = schedule.take(START_NS + pause_ns + 20 * NS)
    assert {due.entry for due in taken} == {entry(str(n)) for n in after}
    stayed = {due.entry: due for due in taken if due.entry in {entry(str(n)) for n in before}}
    expected = {due.entry: due for due in undisturbed.take(START_NS + pause_ns + 20 * NS)}
    assert stayed == expected


def test_a_new_interval_starts_a_new_rhythm():
    """A changed interval takes effect at once, at its own phase."""
    schedule = schedule_of(entry("a", 3600))
    schedule.replace([entry("a", 1)], START_NS)
    assert schedule.next_due_ns() <= START_NS + NS


def test_a_plan_without_entries_is_never_due():
    """An agent without peers waits."""
    schedule = schedule_of()
    assert schedule.next_due_ns() is None
    assert schedule.take(10**18) == []


@given(st.lists(st.integers(0, NS), min_size=2, max_size=200), st.floats(0.1, 50))
def test_the_cap_holds_over_any_stretch_of_time(steps, per_second):
    """Between any two moments no more pass than the rate allows, plus one second's worth."""
    cap = RateCap(per_second, 0)
    now, passed = 0, []
    for step in steps:
        now += step
        if cap.allow(now):
            passed.append(now)
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            seconds = (passed[last] - passed[first]) / NS
            assert last - first + 1 <= per_second * seconds + max(per_second, 1) + 1e-6


def test_what_stays_below_the_cap_always_passes():
    """A plan within its rate is never thinned by rounding."""
    cap = RateCap(10, 0)
    assert all(cap.allow(n * NS // 10) for n in range(10_000))


@pytest.mark.parametrize("share", [0.5, 0.9, 1 / 3, 0.01])
def test_over_the_cap_every_peer_loses_the_same_share(share):
    """No peer is starved because its due time always meets an empty bucket: turns are even for each, spread over all."""
    fair = FairShare(share)
    keys = [(name,) for name in "abcdefghij"]
    turns = {key: [] for key in keys}
    for n in range(1000):
        for key in keys:
            if fair.has_turn(key):
                fair.sent(key)
                turns[key].append(n)
    for gone in turns.values():
        assert len(gone) == pytest.approx(1000 * share, abs=1.01)
        assert max(b - a for a, b in pairwise(gone)) <= 1 / share + 1
    assert len({tuple(gone) for gone in turns.values()}) > 1


def test_a_turn_that_was_not_used_is_kept():
    """A probe that the bucket refused goes next time."""
    fair = FairShare(0.5)
    first = next(n for n in range(3) if fair.has_turn(("a",)))
    assert first <= 2
    assert fair.has_turn(("a",))


def test_a_plan_within_the_cap_is_not_thinned():
    """Share 1 lets everything pass."""
    fair = FairShare(1.0)
    for _ in range(100):
        assert fair.has_turn(("a",))
        fair.sent(("a",))
