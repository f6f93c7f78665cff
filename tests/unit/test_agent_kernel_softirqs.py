"""Soft interrupts and their skew."""

import pytest

from agent.kernel.parse_error import ParseError
from agent.kernel.softirqs import busiest_share, parse_softirqs
from tests.corpus import field_file
from tests.host_samples import recorded


@pytest.mark.corpus
def test_softirqs_of_the_field():
    """One, eight and 128 CPUs; the eight's CPU 0 took 46% of received packets."""
    one = parse_softirqs(field_file("7-host/pcp_softirqs_1cpu_i686.txt"))
    assert one["NET_RX"] == {0: 2315415}
    eight = parse_softirqs(field_file("7-host/pcp_softirqs_8cpu.txt"))
    assert eight["BLOCK_IOPOLL"][7] == 0
    cpu, share = busiest_share(eight["NET_RX"])
    assert (cpu, round(share, 3)) == (0, 0.461)
    many = parse_softirqs(field_file("7-host/jc_softirqs.txt"))
    assert len(many["HI"]) == 128
    assert many["HI"][1] == 34056


def test_own_recording():
    """A two-CPU guest."""
    assert set(parse_softirqs(recorded("softirqs_6.18_2cpu.txt"))["NET_RX"]) == {0, 1}


def test_nothing_counted_has_no_busiest_cpu():
    """No packets, no skew."""
    assert busiest_share({0: 0, 1: 0}) is None
    assert busiest_share({}) is None


@pytest.mark.parametrize(
    "text",
    [b"", b"HI: 1\n", b"CPU0 CPU1\nHI: 1\n", b"CPU0 CPU0\nHI: 1 2\n", b"CPU0\nHI 1\n", b"CPU0\nHI: x\n"],
)
def test_malformed(text):
    """A row that does not fit the heading is an error."""
    with pytest.raises(ParseError):
        parse_softirqs(text)
