import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.kernel.ss_values import KEYS, RATES, bits_per_second, milliseconds, read_rate, read_users
from agent.kernel.tcp_socket import Dctcp, User


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("0bps", 0),
        ("900150880bps", 900150880),
        ("916.7Kbps", 916_700),
        ("916.7kbps", 916_700),
        ("1.2Gbps", 1_200_000_000),
        ("1.31Tbps", 1_310_000_000_000),
        ("1e+03Mbps", 1_000_000_000),
    ],
)
def test_rates_of_every_version_are_bits_per_second(text, rate):
    """Prefixes are powers of 1000, K and k the same; %g may print an exponent."""
    assert bits_per_second(text) == rate


@given(st.integers(0, 10**9))
def test_a_time_is_the_double_nearest_to_what_was_printed(us):
    """Milliseconds with three decimals give exactly the seconds of that many microseconds."""
    assert milliseconds(f"{us // 1000}.{us % 1000:03d}") == us / 1e6


def test_dctcp_in_fallback_has_no_figures():
    """A socket whose path has no ECN is told from one with zeros."""
    assert KEYS["dctcp"]("fallback_mode") == {"dctcp": Dctcp(enabled=False)}
    full = Dctcp(enabled=True, ce_state=1, alpha=2, ab_ecn=3, ab_tot=4)
    assert KEYS["dctcp"]("(ce_state:1,alpha:2,ab_ecn:3,ab_tot:4)") == {"dctcp": full}


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ('("ppp",2399,8))', User(name="ppp", pid=2399, fd=8)),
        ('("java",pid=4195,fd=10865))', User(name="java", pid=4195, fd=10865)),
        ('("x",pid=1,tid=5,fd=3))', User(name="x", pid=1, fd=3, tid=5)),
        ('("sshd",pid=1,proc_ctx=system_u:r:s0,fd=3))', User(name="sshd", pid=1, fd=3)),
        ('("",pid=1,fd=0))', User(name="", pid=1, fd=0)),
    ],
)
def test_processes_of_every_version(text, user):
    """Positional before iproute2 3.17, named since; threads and SELinux contexts between."""
    assert read_users(text, 0) == ([user], len(text))


def test_many_processes_that_never_close_their_bracket_are_refused_at_once():
    """No amount of entries makes the reader try their combinations."""
    with pytest.raises(ValueError, match="expected"):
        read_users('("a",pid=1,fd=2),' * 5000 + "x", 0)


@given(st.sampled_from(sorted(KEYS)), st.text(max_size=30))
def test_any_value_is_read_or_is_a_value_error(key, text):
    """No text makes a reader raise anything else."""
    with contextlib.suppress(ValueError):
        assert KEYS[key](text)


@given(st.sampled_from(sorted(RATES)), st.text("0123456789.e+kKMGTbps/", max_size=30))
def test_any_rate_is_read_or_is_a_value_error(key, text):
    """No text makes the rate reader raise anything else, and what it reads is finite."""
    try:
        fields = read_rate(key, text)
    except ValueError:
        return
    assert all(isinstance(value, int) for value in fields.values())
