import random

from hypothesis import given
from hypothesis import strategies as st

from agent.socket_tally import SocketTally

NO_TOTALS = None


def figures(rtt_us, cookie=1):
    return (b"", 2, bytes(4), bytes(16), cookie, b"", rtt_us, 2**31 - 1, 10, b"", 0, 0, b"", b"", b"cubic\0")


def settled(values):
    tally = SocketTally()
    for cookie, value in enumerate(values):
        tally.add(figures(value, cookie), NO_TOTALS)
    return next(reading for reading in tally.settle(whole=True, account=None) if reading is not None)


@given(st.lists(st.integers(1, 2**32 - 1), min_size=1, max_size=300))
def test_quantiles_are_order_statistics(values):
    """Each is the value of rank ceil(q × count) of the sorted values."""
    random.shuffle(values)
    found, ordered = settled(values).rtt_seconds, sorted(values)
    assert found.minimum == ordered[0] / 1e6
    assert found.maximum == ordered[-1] / 1e6
    for q, quantile in ((50, found.p50), (90, found.p90), (99, found.p99)):
        assert quantile == ordered[-(-q * len(ordered) // 100) - 1] / 1e6


def test_a_kernel_without_totals_has_no_traffic_at_any_reading():
    """Before Linux 4.2 nothing is said of what was sent, not even 0."""
    tally = SocketTally()
    for _ in range(3):
        tally.add(figures(5), NO_TOTALS)
        (reading,) = [found for found in tally.settle(whole=True, account=None) if found is not None]
        assert reading.traffic is None
