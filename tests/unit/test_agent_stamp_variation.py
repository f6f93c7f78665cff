"""PDV (RFC 5481): delay minus the least of the last minute, whatever the clocks' offset."""

from hypothesis import given
from hypothesis import strategies as st

from agent.stamp.variation import WINDOW_NS, Variation


@given(
    delays=st.lists(st.tuples(st.integers(1, WINDOW_NS), st.integers(-(10**12), 10**12)), max_size=50),
    offset_ns=st.integers(-(10**15), 10**15),
)
def test_equals_the_definition_and_ignores_the_offset(delays, offset_ns):
    """Each value is its delay minus the minimum over the window; a constant offset changes nothing."""
    variation, at, seen = Variation(), 0, []
    for gap_ns, delay_ns in delays:
        at += gap_ns
        seen.append((at, delay_ns))
        least = min(delay for when, delay in seen if when > at - WINDOW_NS)
        assert variation.add(at, delay_ns + offset_ns) == delay_ns - least


def test_after_a_clock_step_earlier_delays_do_not_count():
    """Forgotten: the next delay is the new least one."""
    variation = Variation()
    variation.add(1, 100)
    variation.forget()
    assert variation.add(2, 5_000) == 0
