import contextlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.inspect import inspect
from agent.kernel.parse_error import ParseError
from agent.kernel.ping import Echo, parse_ping

CORPUS = Path(os.environ.get("LIGHTFLOOR_CORPUS", Path(__file__).resolve().parents[2].parent / "shared/data"))

LINUX = """PING host.example (192.0.2.1) 56(84) bytes of data.
[1700000000.123456] 64 bytes from host.example (192.0.2.1): icmp_seq=1 ttl=57 time=12.3 ms
64 bytes from host.example (192.0.2.1): icmp_seq=1 ttl=57 time=12.9 ms (DUP!)
no answer yet for icmp_seq=2
From gw.example (192.0.2.254) icmp_seq=3 Destination Host Unreachable
From 192.0.2.254 icmp_seq=4 Frag needed and DF set (mtu = 1400)

--- host.example ping statistics ---
4 packets transmitted, 1 received, +1 duplicates, +2 errors, 75% packet loss, time 3004ms
rtt min/avg/max/mdev = 12.300/12.600/12.900/0.300 ms, pipe 2
"""
MACOS = """PING 192.0.2.1 (192.0.2.1): 56 data bytes
64 bytes from 192.0.2.1: icmp_seq=0 ttl=64 time=1.100 ms
Request timeout for icmp_seq 1

--- 192.0.2.1 ping statistics ---
2 packets transmitted, 1 packets received, 50.0% packet loss
round-trip min/avg/max/stddev = 1.100/1.100/1.100/nan ms
"""
MACOS6 = """PING6(56=40+8+8 bytes) 2001:db8::2 --> 2001:db8::1
16 bytes from 2001:db8::1, icmp_seq=0 hlim=64 time=0.074 ms

--- v6.example ping6 statistics ---
1 packets transmitted, 1 packets received, 0.0% packet loss
round-trip min/avg/max/std-dev = 0.074/0.074/0.074/0.000 ms
"""
BUSYBOX = """PING 192.0.2.1 (192.0.2.1): 56 data bytes
64 bytes from 192.0.2.1: seq=0 ttl=55 time=12.345 ms

--- 192.0.2.1 ping statistics ---
1 packets transmitted, 1 packets received, 0% packet loss
round-trip min/avg/max = 12.345/12.345/12.345 ms
"""


def test_linux_prints_answers_duplicates_silence_and_errors():
    """Each line is what came of one packet; the summary is ping's own, in seconds, with duplicates out of the loss."""
    run = parse_ping(LINUX.encode())
    assert (run.target, run.address, run.data_bytes) == ("host.example", "192.0.2.1", 56)
    assert (run.sent, run.received, run.duplicates, run.errors, run.loss_ratio) == (4, 1, 1, 2, 0.75)
    assert (run.rtt_min_seconds, run.rtt_mean_seconds, run.rtt_mdev_seconds) == (0.0123, 0.0126, 0.0003)
    assert run.echoes == (
        Echo(1, 0.0123, 57, "192.0.2.1"),
        Echo(1, 0.0129, 57, "192.0.2.1", duplicate=True),
        Echo(2, error="no answer in time"),
        Echo(3, address="192.0.2.254", error="Destination Host Unreachable"),
        Echo(4, address="192.0.2.254", error="Frag needed and DF set (mtu = 1400)"),
    )


@pytest.mark.parametrize(
    ("text", "loss", "rtt", "ttl"),
    [(MACOS, 0.5, 0.0011, 64), (MACOS6, 0, 74e-6, 64), (BUSYBOX, 0, 0.012345, 55)],
)
def test_other_systems_say_the_same_otherwise(text, loss, rtt, ttl):
    """macOS, its ping6 and BusyBox; a deviation of nan is unknown."""
    run = parse_ping(text.replace("\n", "\r\n").encode())
    assert (run.loss_ratio, run.rtt_min_seconds, run.echoes[0].rtt_seconds, run.echoes[0].ttl) == (
        loss,
        rtt,
        rtt,
        ttl,
    )
    assert run.address is not None
    assert run.rtt_mdev_seconds in (None, 0)


def test_ten_tenths_are_one_whole():
    """One version of iputils prints 73.0 ms as 72.10; other systems mean their three digits."""
    lines = "\n".join(
        f"64 bytes from 192.0.2.1: icmp_seq=1 ttl=1 time={t} ms" for t in ("72.10", "1.100", "72.1", "0.100")
    )
    linux = parse_ping(("PING 192.0.2.1 (192.0.2.1) 56(84) bytes of data.\n" + lines).encode())
    assert [echo.rtt_seconds for echo in linux.echoes] == [0.073, 0.002, 0.0721, 0.0001]
    macos = parse_ping(("PING 192.0.2.1 (192.0.2.1): 56 data bytes\n" + lines).encode())
    assert macos.echoes[1].rtt_seconds == 0.0011


def test_without_a_summary_the_loss_is_unknown():
    """Killed after two replies: their times stand, no ratio is made up; all lost is 1, with no time."""
    run = parse_ping("\n".join(LINUX.splitlines()[:2]).encode())
    assert (run.sent, run.loss_ratio, run.rtt_mean_seconds, len(run.echoes)) == (None, None, None, 1)
    text = "PING a (192.0.2.1) 56(84) bytes of data.\n\n--- a ping statistics ---\n3 packets transmitted, 0 received, 100% packet loss, time 2031ms\n"
    lost = parse_ping(text.encode())
    assert (lost.loss_ratio, lost.rtt_min_seconds, lost.echoes) == (1, None, ())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no output"),
        (
            "ping: unknown.example: Name or service not known",
            "line 1: ping: unknown.example: Name or service",
        ),
        ("connect: Network is unreachable", "Network is unreachable"),
        ("hello", "not ping's first line"),
        ("PING a (192.0.2.1) 56(84) bytes of data.\n", "no reply and no summary"),
        ("PING a (192.0.2.1) 56(84) bytes of data.\nsurprise\n", "neither a reply, an error nor the summary"),
        (
            "PING a (192.0.2.1): 5 data bytes\n1 packets transmitted, 2 received, 0% packet loss",
            "2 of 1 packets",
        ),
    ],
)
def test_what_is_no_run_is_refused_with_its_reason(text, reason):
    """ping's own words where it gave them."""
    with pytest.raises(ParseError, match=reason):
        parse_ping(text.encode())


@given(
    st.one_of(
        st.binary(max_size=200),
        st.lists(st.sampled_from([*LINUX.splitlines(), *MACOS6.splitlines(), "x"]), max_size=9).map(
            lambda t: "\n".join(t).encode()
        ),
    ),
    st.integers(0, 300),
)
def test_any_bytes_give_a_run_or_a_parse_error(data, cut):
    """No input makes another exception."""
    for text in (data, LINUX.encode()[:cut] + data):
        with contextlib.suppress(ParseError):
            json.dumps(inspect("ping", text))


@pytest.mark.corpus
def test_every_real_run_is_read():
    """The single round trips lie within the summary's, as they do once 72.10 is read as 73.0."""
    files = sorted((CORPUS / "6-path").glob("ping_*"))
    if not files:
        pytest.skip(f"no corpus at {CORPUS}")
    for path in files:
        run = parse_ping(path.read_bytes())
        assert (run.sent, run.received, len(run.echoes)) == (4, 4, 4), path.name
        times = [echo.rtt_seconds for echo in run.echoes]
        assert min(times) == pytest.approx(run.rtt_min_seconds, rel=0.01), path.name
        assert sum(times) / 4 == pytest.approx(run.rtt_mean_seconds, rel=0.005), path.name
