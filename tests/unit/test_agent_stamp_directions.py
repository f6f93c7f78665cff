"""Each direction's loss, reordering and duplication, against a simulated path whose truth is known."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.stamp.directions import COUNTS, Directions


def totals(directions, seen=None):
    counts = directions.take()
    return {name: counts[name] + (seen or {}).get(name, 0) for name in COUNTS}


def run(fates, directions=None):
    """One probe after the other: 'ok', 'forward' or 'backward' lost. Returns the totals."""
    directions, number, seen = directions or Directions(), 0, None
    for probe, fate in enumerate(fates):
        directions.sent(probe)
        if fate == "ok":
            directions.replied(probe, number)
        number += fate != "forward"
        directions.ended(probe, answered=fate == "ok")
        seen = totals(directions, seen)
    return seen


@given(fates=st.lists(st.sampled_from(["ok", "forward", "backward"]), max_size=60))
def test_every_loss_is_put_down_to_its_direction(fates):
    """Whatever is lost in whichever way, one reply later both counts are exact, from the first probe on."""
    seen = run([*fates, "ok"])
    assert (seen["lost_forward"], seen["lost_backward"]) == (fates.count("forward"), fates.count("backward"))
    assert seen["reflector_restarts"] == 0


def test_loss_is_not_attributed_before_it_can_be():
    """Until a later reply came, nobody knows which way the packet was lost."""
    seen = run(["ok", "forward", "backward"])
    assert (seen["lost_forward"], seen["lost_backward"]) == (0, 0)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), loss=st.sampled_from([0.0, 0.05, 0.3]))
def test_overlapping_probes_are_counted_right(seed, loss):
    """Ten in flight at a time, deadlines long after the replies of later probes: the sums still match the truth."""
    dice, directions, seen, truth = random.Random(seed), Directions(), None, {"forward": 0, "backward": 0}
    number, lost = 0, []
    for probe in range(400):
        directions.sent(probe)
        fate = dice.choices(("ok", "forward", "backward"), (1 - 2 * loss, loss, loss))[0]
        if fate == "ok":
            directions.replied(probe, number)
            directions.ended(probe, answered=True)
        else:
            truth[fate] += 1
            lost.append((probe + 10, probe))
        number += fate != "forward"
        while lost and lost[0][0] <= probe:
            directions.ended(lost.pop(0)[1], answered=False)
        seen = totals(directions, seen)
    for _, probe in lost:
        directions.ended(probe, answered=False)
    directions.sent(400)
    directions.replied(400, number)
    directions.ended(400, answered=True)
    seen = totals(directions, seen)
    assert (seen["lost_forward"], seen["lost_backward"]) == (truth["forward"], truth["backward"])
    assert not any(seen[name] for name in COUNTS[2:])


@pytest.mark.parametrize(
    ("arrivals", "name"),
    [
        (
            [(0, 0), (2, 1), (1, 2), (3, 3)],
            "reordered_forward",
        ),  # (probe, the reflector's number), as they arrive
        ([(0, 0), (2, 2), (1, 1), (3, 3)], "reordered_backward"),
    ],
)
def test_overtaking_is_seen_in_its_direction(arrivals, name):
    """Overtaken on the way there, the reflector's numbers follow arrival; on the way back they are out of order."""
    directions = Directions()
    for probe in range(4):
        directions.sent(probe)
    for probe, number in arrivals:
        directions.replied(probe, number)
        directions.ended(probe, answered=True)
    assert {key: value for key, value in directions.take().items() if value} == {name: 1}


def test_doubled_request_and_doubled_reply_differ():
    """A doubled request is counted twice by the reflector; a doubled reply bears the same number twice."""
    directions = Directions()
    for probe in range(2):
        directions.sent(probe)
    directions.replied(0, 0)
    directions.ended(0, answered=True)
    directions.repeated(0, 1)
    directions.replied(1, 2)
    directions.ended(1, answered=True)
    directions.repeated(1, 2)
    assert {key: value for key, value in directions.take().items() if value} == {
        "duplicated_forward": 1,
        "duplicated_backward": 1,
    }


def test_late_reply_is_not_a_loss_of_either_direction():
    """A reply after the deadline but before the next one takes the probe out of the lost ones."""
    directions = Directions()
    for probe in range(3):
        directions.sent(probe)
    directions.replied(0, 0)
    directions.ended(0, answered=True)
    directions.ended(1, answered=False)
    directions.late(1, 1)
    directions.replied(2, 2)
    directions.ended(2, answered=True)
    assert not any(directions.take().values())


def test_reflector_that_counts_anew_is_a_restart_not_a_loss():
    """After a NAT's rebinding the numbers begin at 0 again; loss from then on is attributed as before."""
    directions, seen = Directions(), None
    for probe, number in enumerate([0, 1, 2, 0, 1, None, 2]):
        directions.sent(probe)
        if number is not None:
            directions.replied(probe, number)
        directions.ended(probe, answered=number is not None)
        seen = totals(directions, seen)
    assert {key: value for key, value in seen.items() if value} == {
        "reflector_restarts": 1,
        "lost_forward": 1,
    }


def test_reflector_that_counts_on_from_an_older_session_makes_no_loss():
    """A reflector that did not begin at 0 for us has lost nothing by that, and is believed from then on."""
    directions, seen = Directions(), None
    for probe, number in enumerate([None, 500, 501, None, 502]):
        directions.sent(probe)
        if number is not None:
            directions.replied(probe, number)
        directions.ended(probe, answered=number is not None)
        seen = totals(directions, seen)
    assert {key: value for key, value in seen.items() if value} == {"lost_forward": 1}


def test_lost_copy_of_a_doubled_request_is_no_loss():
    """The reflector answered one request twice and the second answer was lost: nothing was, nor is a later loss moved."""
    directions, seen = Directions(), None
    for probe, number in enumerate([0, 1, 3, None, 4]):  # its number 2 was the second answer to probe 1
        directions.sent(probe)
        if number is not None:
            directions.replied(probe, number)
        directions.ended(probe, answered=number is not None)
        seen = totals(directions, seen)
    assert {key: value for key, value in seen.items() if value} == {"lost_forward": 1}


def test_more_gaps_than_losses_never_make_a_count_negative():
    """Lost copies of doubled requests while another probe is open: one loss is one loss, in one direction."""
    directions = Directions()
    for probe in range(4):
        directions.sent(probe)
    directions.replied(0, 0)
    directions.ended(0, answered=True)
    directions.replied(2, 6)
    directions.ended(1, answered=False)
    directions.ended(2, answered=True)
    counts = directions.take()
    assert (counts["lost_forward"], counts["lost_backward"]) == (0, 1)


def test_memory_is_bounded_while_one_probe_stays_open():
    """Tens of thousands of probes over an open one: what is kept does not grow with them."""
    directions = Directions()
    directions.sent(0)
    for probe in range(1, 30_000):
        directions.sent(probe)
        directions.replied(probe, probe - 1)
        directions.ended(probe, answered=True)
    assert len(directions._replies) <= 10_001
