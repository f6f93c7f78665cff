"""Who one source is, and that remembering sources costs no memory for ever."""

import pytest

from agent.net.rate import SourceRates, rate_key


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2", True),
    ],
)
def test_what_one_source_is(one, other, same):
    """An IPv4 address, also where IPv6 sockets show it mapped; a whole /64 of IPv6."""
    assert (rate_key(one) == rate_key(other)) is same


def test_sources_it_remembers_are_bounded():
    """A million addresses cost no memory for ever."""
    rates = SourceRates(1.0)
    for n in range(10_000):
        rates.allow(f"2001:db8:{n >> 8:x}:{n & 255:x}::1", 0)
    assert len(rates._caps) == 4096


def test_each_source_has_a_rate_of_its_own():
    """Two a second: the third at once is refused, a second later it is not, and a neighbour is not concerned."""
    rates = SourceRates(2.0)
    assert [rates.allow("192.0.2.1", 0) for _ in range(3)] == [True, True, False]
    assert rates.allow("192.0.2.2", 0)
    assert rates.allow("192.0.2.1", 10**9)
