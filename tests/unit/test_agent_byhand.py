"""A probe by hand: the target as people write it, exact figures of a few samples."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.byhand import Result, find_address, split_target
from agent.sample import Sample
from agent.wire.series import Family, Outcome, TimeSource
from agent.wire.settings import ConfigError


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("192.0.2.1:443", ("192.0.2.1", 443)),
        ("host.example:80", ("host.example", 80)),
        ("[::1]:443", ("::1", 443)),
        ("[fe80::1%eth0]:22", ("fe80::1%eth0", 22)),
    ],
)
def test_targets_with_a_port(text, target):
    """HOST:PORT, IPv6 in brackets."""
    assert split_target(text, has_port=True) == target


@pytest.mark.parametrize(
    "text", ["host", ":80", "host:", "host:0", "host:65536", "::1", "::1:443", "[::1]", "h:x", ""]
)
def test_wrong_targets(text):
    """Everything else says what was expected."""
    with pytest.raises(ConfigError, match="expected HOST:PORT"):
        split_target(text, has_port=True)


def test_targets_without_a_port():
    """Probes of a host take the address as it is, in brackets or not."""
    assert split_target("::1", has_port=False) == split_target("[::1]", has_port=False) == ("::1", 0)


def result(*samples):
    return Result("nyc:443", "192.0.2.1", "tcp", TimeSource.TCP_INFO, list(samples))


@given(st.lists(st.integers(1, 10**10), min_size=1, max_size=300))
def test_quantiles_are_nearest_rank(times):
    """At a few samples the figures are exact ones, each a time that was measured."""
    figures = result(*(Sample(Outcome.OK, time) for time in times)).rtt_seconds()
    ordered = sorted(times)
    for name, percent in (("min", 0), ("p50", 50), ("p90", 90), ("p99", 99), ("max", 100)):
        rank = max(1, -(-percent * len(times) // 100))
        assert figures[name] == ordered[rank - 1] / 1e9
    assert figures["mean"] == pytest.approx(sum(times) / len(times) / 1e9)


def test_no_answer_is_null_not_zero():
    """Without a time every figure is None, the target did not answer, and the text says why."""
    lost = result(Sample(Outcome.TIMEOUT, detail="no answer; 1 SYN retransmissions"), Sample(Outcome.TIMEOUT))
    assert set(lost.as_json()["rtt_seconds"].values()) == {None}
    assert lost.as_json()["outcomes"] == {"timeout": 2}
    assert not lost.answered
    assert "no round-trip time" in lost.as_text()
    assert "why    no answer" in lost.as_text()


@pytest.mark.parametrize(
    ("outcome", "answered"),
    [
        (Outcome.OK, True),
        (Outcome.REFUSED, False),
        (Outcome.SYN_RETRANSMITTED, False),
        (Outcome.FAILED, False),
    ],
)
def test_what_counts_as_an_answer(outcome, answered):
    """A refused or lost probe is not one."""
    assert result(Sample(outcome)).answered is answered


def test_the_json_object():
    """The contract of `probe tcp --json`."""
    document = result(Sample(Outcome.OK, 10_000_000), Sample(Outcome.REFUSED)).as_json()
    assert document["target"] == "nyc:443"
    assert document["sent"] == 2
    assert document["outcomes"] == {"ok": 1, "refused": 1}
    assert document["time_source"] == "tcp_info"
    assert list(document["rtt_seconds"]) == ["min", "p50", "p90", "p99", "max", "mean"]


@pytest.mark.parametrize(
    ("host", "family", "found"),
    [
        ("127.0.0.1", None, ("127.0.0.1", Family.IPV4)),
        ("::1", None, ("::1", Family.IPV6)),
        ("::1", "ipv6", ("::1", Family.IPV6)),
    ],
)
async def test_literal_addresses_need_no_look_up(host, family, found):
    """An address tells its own family."""
    assert await find_address(host, family) == found


@pytest.mark.parametrize(
    ("host", "family", "words"),
    [("::1", "ipv4", "::1 is not an ipv4 address"), ("a" * 64, None, "a" * 64), ("a..b", "ipv6", "a..b")],
)
async def test_a_host_that_cannot_be_found(host, family, words):
    """One error that names the host; also for names that no resolver takes."""
    with pytest.raises(OSError, match=words):
        await find_address(host, family)
