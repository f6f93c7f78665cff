import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.kernel.counters import (
    CounterReading,
    Discontinuity,
    Increments,
    counter_increase,
    increments,
    retransmits_by_kind,
    tcp_trouble,
)

U32 = st.integers(0, 2**32 - 1)


def reading(seconds, counters, boot="b", namespace=1):
    return CounterReading(round(seconds * 1e9), boot, namespace, counters)


def tcp(out, retrans=0, **more):
    return {"Tcp": {"OutSegs": out, "RetransSegs": retrans, "CurrEstab": 5, "MaxConn": -1}, "TcpExt": more}


def test_the_ratio_is_of_what_happened_between_the_readings():
    """5% of the segments sent since the first reading, whatever came before."""
    found = increments(reading(0, tcp(10**6, 500_000)), reading(15, tcp(10**6 + 2000, 500_100)))
    assert isinstance(found, Increments)
    assert tcp_trouble(found.counters).retransmit_ratio() == 0.05
    assert found.elapsed_seconds == 15


def test_a_few_segments_give_no_ratio():
    """Below the minimum volume the ratio is unknown, and 0 of enough segments is 0."""
    assert tcp_trouble(tcp(999, 999)).retransmit_ratio() is None
    assert tcp_trouble(tcp(1000, 0)).retransmit_ratio() == 0
    assert tcp_trouble(tcp(0, 0)).retransmit_ratio(minimum_segments=0) is None


def test_settings_and_states_have_no_increments():
    """CurrEstab and MaxConn are not counters."""
    found = increments(reading(0, tcp(1)), reading(1, tcp(2)))
    assert set(found.counters["Tcp"]) == {"OutSegs", "RetransSegs"}


@given(U32, st.integers(0, 10**6))
def test_a_counter_of_a_32_bit_kernel_survives_its_wrap(before, added):
    """The difference is what was added, whether or not the counter passed 2**32."""
    assert counter_increase(before, (before + added) % 2**32, 15) == added


def test_a_64_bit_counter_survives_its_wrap():
    """The same at 2**64."""
    assert counter_increase(2**64 - 5, 5, 15) == 10


def test_a_counter_set_back_has_no_increase():
    """A fall that no wrap explains is unknown: neither 0 nor four thousand million."""
    assert counter_increase(3_000_000_000, 5, 15) is None
    assert counter_increase(100, 5, 15) is None


@pytest.mark.parametrize(
    ("after", "why"),
    [
        (reading(15, tcp(5), boot="c"), Discontinuity.BOOT),
        (reading(15, tcp(5), namespace=2), Discontinuity.NAMESPACE),
        (reading(15, tcp(5)), Discontinuity.RESET),
        (reading(0, tcp(2000)), Discontinuity.CLOCK),
    ],
)
def test_nothing_is_subtracted_across_a_break(after, why):
    """Another boot, another namespace, all counters set back, or no time passed: the reason, not a number."""
    assert increments(reading(0, tcp(1000)), after) is why


def test_a_counter_that_appears_or_vanishes_is_unknown():
    """A difference needs both readings; other counters keep theirs."""
    found = increments(reading(0, tcp(1, TCPTimeouts=7, Old=1)), reading(15, tcp(9, TCPTimeouts=8, New=3)))
    assert found.counters["TcpExt"] == {"TCPTimeouts": 1}


def test_kinds_that_the_kernel_does_not_count_are_none():
    """An old kernel without loss probes is told from one that sent none."""
    kinds = retransmits_by_kind({"TcpExt": {"TCPLossProbes": 0, "TCPFastRetrans": 3, "TCPFullUndo": 2}})
    assert kinds["tail_loss_probe"] == 0
    assert kinds["fast"] == 3
    assert kinds["syn"] is None
    assert kinds["spurious_eifel"] is None, "half of a sum is not the sum"


def test_absent_counters_are_none_in_every_figure():
    """Nothing known gives nothing known."""
    trouble = tcp_trouble({})
    assert trouble.listen_overflows is None
    assert trouble.retransmit_ratio() is None
