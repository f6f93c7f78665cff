"""One bandwidth test at a time, and exactly how long it took of each minute."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bandwidth_slot import BandwidthSlot, SlotTakenError

NS = 1_000_000_000


class Stopwatch:
    now_ns = 0

    def __call__(self):
        return self.now_ns


def test_a_second_test_is_refused_until_the_first_has_ended():
    """Also when the first ended badly."""
    slot = BandwidthSlot(Stopwatch())
    with pytest.raises(RuntimeError), slot.hold():
        with pytest.raises(SlotTakenError), slot.hold():
            pass
        assert not slot.is_free
        raise RuntimeError
    assert slot.is_free


@given(st.lists(st.tuples(st.sampled_from(["hold", "leave", "ask"]), st.integers(0, 100)), max_size=40))
def test_every_held_second_is_counted_in_exactly_one_minute(steps):
    """Whenever minutes close: before, in the middle of, or after a test."""
    watch = Stopwatch()
    slot = BandwidthSlot(watch)
    held, asked, holding = 0, 0.0, None
    for step, seconds in steps:
        watch.now_ns += seconds * NS
        held += seconds if holding else 0
        if step == "hold" and holding is None:
            holding = slot.hold()
            holding.__enter__()
        elif step == "leave" and holding is not None:
            holding.__exit__(None, None, None)
            holding = None
        elif step == "ask":
            asked += slot.take_seconds()
    assert asked + slot.take_seconds() == pytest.approx(held)
