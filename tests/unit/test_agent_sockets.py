import pytest

from agent.sockets import MINIMUM_SENT, Traffic


@pytest.mark.parametrize("unit", ["bytes", "segments"])
def test_a_ratio_needs_its_minimum_volume(unit):
    """One less than the minimum is unknown; the minimum itself is a ratio, and 0 of it is 0."""
    least = MINIMUM_SENT[unit]
    assert Traffic(unit, least - 1, least - 1, None, None, None).retransmit_ratio() is None
    assert Traffic(unit, least, least // 4, None, None, None).retransmit_ratio() == 0.25
    assert Traffic(unit, least, 0, None, None, None).retransmit_ratio() == 0


def test_times_that_the_kernel_does_not_keep_give_no_share():
    """Neither before Linux 4.10 nor without busy time is there a share."""
    assert Traffic("segments", 0, 0, None, None, None).rwnd_limited_ratio() is None
    assert Traffic("bytes", 0, 0, 0.0, 0.0, 0.0).sndbuf_limited_ratio() is None
    assert Traffic("bytes", 0, 0, 2.0, 0.0, 1.0).sndbuf_limited_ratio() == 0.5
