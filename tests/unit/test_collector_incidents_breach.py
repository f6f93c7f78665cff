"""When a block of a path is out of its usual."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.wire.histogram import Histogram
from agent.wire.series import Family, Outcome
from collector.incidents.breach import Cell, Kind, breaches_of, usual_of
from collector.store.totals import SeriesTotals, Totals

MS = 1_000_000
CALM = [80 * MS + at * 10_000 for at in range(100)]
USUAL = usual_of(Histogram.of(CALM * 20), 2000, 0, 1, 2001)


def minutes(values=(), lost=0, over=0, flags=None):
    rtt = Histogram.of(values)
    outcomes = {Outcome.OK: rtt.count, Outcome.TIMEOUT: lost}
    return Totals(outcomes, rtt, rtt.count, over, minutes=5, flags=flags or {})


def found(clean=None, spoiled=None, usual=USUAL, objective=0.99, **more):
    cell = Cell(
        "fra", "nyc", Family.IPV4, {"tcp": SeriesTotals(clean or Totals(), spoiled or Totals())}, **more
    )
    return list(breaches_of(cell, 300, {"tcp": usual} if usual else {}, 1500, objective))


def test_a_calm_block_is_no_breach():
    """Samples as usual, and as many lost as usual."""
    assert found(minutes(CALM[:30])) == []


def test_a_slow_block_is_a_breach_with_its_figures():
    """All samples 40 ms above: the figure is their median, and the minimum moved with it."""
    (slow,) = found(minutes([value + 40 * MS for value in CALM[:30]], over=30))
    assert (slow.kind, slow.hint, slow.stepped, slow.over_limit) == (Kind.LATENCY, False, True, True)
    assert slow.figure - slow.usual == pytest.approx(0.04, rel=0.05)
    assert (slow.hit, slow.probes, slow.score) == (30, 30, 12)


def test_a_full_queue_leaves_the_minimum_where_it_was():
    """Half of the samples slow, the fastest as ever: queueing, not a longer route."""
    (slow,) = found(
        minutes([*(value + MS for value in CALM[:12]), *(value + 40 * MS for value in CALM[:18])])
    )
    assert not slow.stepped
    assert slow.figure == pytest.approx(0.12, rel=0.05)


def test_half_as_slow_is_a_hint():
    """5 ms on 80: not enough to accuse anybody."""
    (hint,) = found(minutes([value + 5 * MS for value in CALM[:30]]))
    assert hint.hint


def test_a_tail_over_the_limit_is_a_breach_although_the_median_is_calm():
    """A fifth of the samples over the limit where one in a hundred is promised."""
    values = [*CALM[:24], *(value + 300 * MS for value in CALM[:6])]
    (slow,) = found(minutes(values, over=6))
    assert (slow.hit, slow.probes, slow.over_limit) == (6, 30, True)
    assert slow.score < 10  # one block of it opens nothing


def test_what_is_always_over_its_limit_is_no_breach_for_that():
    """A route too long for its limit is a verdict, and no event."""
    always = usual_of(Histogram.of(CALM * 20), 2000, 2000, 0, 2000)
    assert found(minutes(CALM[:30], over=30), usual=always) == []
    mostly = usual_of(Histogram.of(CALM * 20), 2000, 1200, 0, 2000)
    assert found(minutes(CALM[:30], over=30), usual=mostly) == []


def test_a_noisy_path_must_leave_its_own_noise():
    """What spreads over tens of milliseconds every day is not slow at 20 ms above its median."""
    noisy = [80 * MS + at * MS // 2 for at in range(100)]
    usual = usual_of(Histogram.of(noisy * 20), 2000, 0, 0, 2000)
    assert found(minutes([value + 20 * MS for value in noisy[::3]]), usual=usual) == []
    assert found(minutes([value + 150 * MS for value in noisy[::3]]), usual=usual)


def test_loss_is_a_breach_without_a_usual():
    """A path that never answered is lost from the first block on."""
    (lost,) = found(minutes(lost=30), usual=None)
    assert (lost.kind, lost.figure, lost.score) == (Kind.LOSS, 1.0, 12)


def test_one_lost_probe_of_thirty_is_nothing():
    """It happens every day."""
    assert found(minutes(CALM[:29], lost=1)) == []


def test_a_blocked_protocol_says_nothing_of_the_path():
    """A probe that is always lost neither breaks the path nor hides what another one shows."""
    blocked = usual_of(Histogram(), 0, 0, 2000, 2000)
    assert found(minutes(lost=30), usual=blocked) == []
    cell = Cell(
        "fra",
        "nyc",
        Family.IPV4,
        {"icmp": SeriesTotals(minutes(lost=30)), "tcp": SeriesTotals(minutes(CALM[:20], lost=10))},
    )
    (lost,) = breaches_of(cell, 300, {"icmp": blocked, "tcp": USUAL}, None, 0.99)
    assert (lost.hit, lost.probes) == (10, 30)


def test_too_few_probes_say_nothing():
    """Four of four slow and lost: not a figure to accuse anybody by."""
    assert found(minutes([500 * MS] * 4)) == []
    assert found(minutes(lost=4)) == []


def test_minutes_that_the_source_spoiled_say_so():
    """What only spoiled minutes show carries their flags; an own bandwidth test proves nothing at all."""
    slow = [value + 40 * MS for value in CALM[:30]]
    (own,) = found(minutes(CALM[:6]), minutes(slow, flags={"steal_ratio": (0.3, 4)}))
    assert own.flags == {"steal_ratio": 0.3}
    assert found(minutes(CALM[:6]), minutes(slow, flags={"own_test_seconds": (10.0, 1)})) == []


def test_a_smaller_mtu_is_a_breach():
    """One measurement is enough: it was repeated already."""
    (small,) = found(minutes(CALM[:30]), path_mtu_bytes=1400)
    assert (small.kind, small.figure, small.usual) == (Kind.MTU, 1400, 1500)
    assert found(minutes(CALM[:30]), path_mtu_bytes=1500) == []


@given(
    values=st.lists(st.integers(0, 10**10), max_size=40),
    lost=st.integers(0, 50),
    known=st.lists(st.integers(0, 10**10), max_size=40),
    over=st.integers(0, 40),
)
def test_any_figures_give_finite_scores(values, lost, known, over):
    """Whatever was measured before and now: no exception, no score beyond its bounds."""
    usual = usual_of(Histogram.of(known), len(known), min(over, len(known)), lost, lost + len(known))
    for breach in found(minutes(values, lost, min(over, len(values))), usual=usual):
        assert 0 < breach.score <= 12
        assert math.isfinite(breach.figure)
