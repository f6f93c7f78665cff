import contextlib
import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.kernel.parse_error import ParseError
from agent.kernel.ss import inspect_ss, parse_ss

CORPUS = Path(os.environ.get("LIGHTFLOOR_CORPUS", Path(__file__).resolve().parents[2].parent / "shared/data"))
FIELD = CORPUS / "3-ss"
FIXTURES = Path(__file__).resolve().parents[1] / "fixtures/kernel"
SAMPLES = {path.stem.rpartition("_")[2]: path.read_bytes() for path in FIXTURES.glob("ss_*.txt")}

BBR = b"""State Recv-Q Send-Q Local Address:Port Peer Address:Port Process
ESTAB      0      1831936   10.47.0.113:2112          10.65.1.42:4057   users:(("tmux: server",pid=41,fd=7),("a")",pid=2,fd=3)) timer:(on,1.204ms,3) uid:33 ino:178463 sk:9e cgroup:/a/b.scope <->
\t skmem:(r0,rb131072,t0,tb16384,f4294966016,w0,o0,bl0,d9) ts sack ecn bbr wscale:6,7 rto:448 backoff:2 rtt:234.813/3.371 ato:40 mss:1448 pmtu:1500 rcvmss:536 advmss:1448 cwnd:200 ssthresh:88 bytes_sent:3162469 bytes_retrans:1116408 bytes_acked:1516094 segs_out:2187 segs_in:664 data_segs_out:2185 bbr:(bw:328.6Mbps,mrtt:145.2,pacing_gain:2.88672,cwnd_gain:2) send 916.7Kbps lastsnd:8 lastrcv:5016 lastack:8 pacing_rate 1.2Gbps/2Gbps delivery_rate 942.8kbps delivered:1293 app_limited busy:4040ms rwnd_limited:96ms(2.4%) sndbuf_limited:1ms(0.1%) unacked:366 retrans:56/771 lost:56 sacked:244 rcv_rtt:22200.7 rcv_space:14480 minrtt:145.2 futurekey:12 rate2:1.5 word
"""


def only(data):
    (found,) = inspect_ss(data)
    return found


def test_every_key_of_a_line_has_its_typed_value():
    """Numbers are numbers, times seconds, rates bits per second; what is not known is kept under other."""
    found = only(BBR)
    expected = {
        "state": "ESTAB", "local": "10.47.0.113:2112", "remote": "10.65.1.42:4057", "recv_q": 0, "send_q": 1831936,
        "users": [{"name": "tmux: server", "pid": 41, "fd": 7}, {"name": 'a")', "pid": 2, "fd": 3}],
        "timer": {"name": "on", "expires_seconds": 1.204, "retransmits": 3}, "uid": 33, "ino": 178463, "sk": "9e",
        "cgroup": "/a/b.scope", "shutdown": [],
        "skmem": {"r": 0, "rb": 131072, "t": 0, "tb": 16384, "f": 4294966016, "w": 0, "o": 0, "bl": 0, "d": 9},
        "ts": True, "sack": True, "ecn": True, "congestion": "bbr", "wscale": (6, 7),
        "rto_seconds": 0.448, "backoff": 2, "rtt_seconds": 0.234813, "rtt_var_seconds": 0.003371,
        "ato_seconds": 0.04, "mss": 1448, "pmtu": 1500, "rcvmss": 536, "advmss": 1448, "cwnd": 200, "ssthresh": 88,
        "bytes_sent": 3162469, "bytes_retrans": 1116408, "bytes_acked": 1516094,
        "segs_out": 2187, "segs_in": 664, "data_segs_out": 2185,
        "bbr": {"bw_bits_per_second": 328600000, "mrtt_seconds": 0.1452, "pacing_gain": 2.88672, "cwnd_gain": 2.0},
        "send_bits_per_second": 916700, "lastsnd_seconds": 0.008, "lastrcv_seconds": 5.016, "lastack_seconds": 0.008,
        "pacing_rate_bits_per_second": 1200000000, "max_pacing_rate_bits_per_second": 2000000000,
        "delivery_rate_bits_per_second": 942800, "delivered": 1293, "app_limited": True,
        "busy_seconds": 4.04, "rwnd_limited_seconds": 0.096, "sndbuf_limited_seconds": 0.001,
        "unacked": 366, "retrans": {"now": 56, "total": 771}, "lost": 56, "sacked": 244,
        "rcv_rtt_seconds": 22.2007, "rcv_space": 14480, "min_rtt_seconds": 0.1452,
        "other": {"futurekey": 12, "rate2": 1.5, "word": True},
    }  # fmt: skip
    assert found == expected


def test_absent_keys_are_absent():
    """A socket without tcp_info has no rtt of 0 and no ssthresh of 2147483647: it has none."""
    assert only(b"TIME-WAIT 0 0 127.0.0.1:18500 127.0.0.1:40754 timer:(timewait,34sec,0)\n") == {
        "state": "TIME-WAIT", "local": "127.0.0.1:18500", "remote": "127.0.0.1:40754", "recv_q": 0, "send_q": 0,
        "timer": {"name": "timewait", "expires_seconds": 34.0, "retransmits": 0},
    }  # fmt: skip


def test_one_line_and_several_lines_are_the_same_socket():
    """-O, terminal wrapping and a missing header change nothing."""
    first, rest = BBR.split(b"\n", 1)
    assert only(rest) == only(BBR)
    assert only(rest.replace(b"\n\t", b" ")) == only(BBR)
    words = rest.split(b" skmem")
    assert only(
        words[0] + b"\n skmem" + words[1].replace(b" send ", b"\nsend\n ").replace(b" bytes_", b"\nbytes_")
    ) == only(BBR)
    assert only(rest.replace(b" 10.65.1.42", b"\n10.65.1.42", 1)) == only(BBR)
    assert first.startswith(b"State")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1min23sec", 83),
        ("110min", 6600),
        ("440ms", 0.44),
        ("1.204ms", 1.204),
        ("5.485sec", 5.485),
        ("034ms", 0.034),
        ("", 0),
    ],
)
def test_timers_of_every_version(text, seconds):
    """Old `ss` printed "1.204ms" for 1.204 seconds; a plain "440ms" is milliseconds."""
    row = f"ESTAB 0 0 1.1.1.1:1 2.2.2.2:2 timer:(keepalive,{text},0)"
    assert only(row.encode())["timer"]["expires_seconds"] == seconds


@pytest.mark.parametrize(
    "endpoint",
    [
        "[fe80::1]%eth0:22",
        "fe80::1%eth0:22",
        "::ffff:127.0.0.1:2181",
        "[::ffff:127.0.0.1]:2181",
        "127.0.0.53%lo:53",
        "*:*",
        ":::22",
        "web:http",
    ],
)
def test_addresses_are_kept_as_printed(endpoint):
    """Zones, v4-mapped addresses with and without brackets, wildcards and names."""
    found = only(f"ESTAB 0 0 {endpoint} [2001:db8::1]:443".encode())
    assert (found["local"], found["remote"]) == (endpoint, "[2001:db8::1]:443")


def test_details_alone_are_a_socket_of_unknown_address():
    """A quoted line of details is read, with state and addresses None."""
    found = only(b"\t cubic wscale:7,7 rto:204 rtt:2.302/4.528 cwnd:10 send 816.3Mbps\n")
    assert found["state"] is found["local"] is found["remote"] is None
    assert found["rtt_seconds"] == 0.002302
    assert found["send_bits_per_second"] == 816_300_000


def test_other_protocols_are_left_out():
    """Of UDP, unix, netlink and SCTP rows nothing is kept, nor of the lines below them."""
    data = b"""Netid State Recv-Q Send-Q Local Address:Port Peer Address:Port
udp UNCONN 0 0 0.0.0.0:53 0.0.0.0:*
\t skmem:(r0,rb212992)
u_str ESTAB 0 0 * 20381 * 20382
nl UNCONN 0 0 rtnl:kernel *
sctp LISTEN 0 128 0.0.0.0:7777 0.0.0.0:*
   `- ESTAB 0 0 10.0.0.1:7777 10.0.0.2:7777
tcp LISTEN 0 128 [::]:22 [::]:* ino:29644 sk:7 v6only:1 <->
\t cubic cwnd:10
"""
    assert only(data) == {
        "state": "LISTEN", "local": "[::]:22", "remote": "[::]:*", "netid": "tcp", "recv_q": 0, "send_q": 128,
        "ino": 29644, "sk": "7", "v6only": True, "shutdown": [], "congestion": "cubic", "cwnd": 10,
    }  # fmt: skip


def test_ulp_mptcp_and_tls_lines():
    """The upper protocol is named, its own keys are kept under other."""
    row = b"tcp ESTAB 0 0 1.1.1.1:1 2.2.2.2:2\n\t cubic cwnd:4 "
    tls = only(
        row
        + b"tcp-ulp-tls version: 1.2 cipher: aes-gcm-128 rxconf: sw txconf: hw zc_ro_tx\n\tinet-sockopt: ( is_icsk mc_loop)"
    )
    assert tls["ulp"] == "tls"
    assert tls["other"] == {
        "version": 1.2, "cipher": "aes-gcm-128", "rxconf": "sw", "txconf": "hw", "zc_ro_tx": True,
        "inet-sockopt": "( is_icsk mc_loop)",
    }  # fmt: skip
    found = inspect_ss(row + b"tcp-ulp-mptcp flags:Mecv token:0000(id:0)/cdf9c645(id:0)\n"
                       b"mptcp FIN-WAIT-2 0 0 1.1.1.1:1 2.2.2.2:2\n\t remote_key token:cdf9c645 bytes_sent:7")  # fmt: skip
    assert found[0]["ulp"] == "mptcp"
    assert found[1]["netid"] == "mptcp"
    assert found[1]["bytes_sent"] == 7
    assert "congestion" not in found[1]


def test_queue_columns_may_be_missing():
    """-Q leaves the queues out; they are then unknown."""
    found = only(
        b"State Local Address:Port Peer Address:Port\nESTAB 10.0.0.1:22 10.0.0.2:4000\n\t cubic cwnd:10"
    )
    assert found["remote"] == "10.0.0.2:4000"
    assert "recv_q" not in found


def test_an_algorithm_of_ones_own_is_the_congestion_algorithm():
    """A name that no list knows is taken for it where `ss` prints it, before the first figure."""
    assert (
        only(b"ESTAB 0 0 1.1.1.1:1 2.2.2.2:2\n\t ts sack my_cc2 wscale:7,7 cwnd:9")["congestion"] == "my_cc2"
    )


def test_no_sockets_is_an_empty_list():
    """A header alone, or nothing at all with -H, is a host without connections."""
    assert parse_ss(b"State Recv-Q Send-Q Local Address:Port Peer Address:Port Process\n") == []
    assert parse_ss(b"") == []


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b"hello world\n", "line 1"),
        (b'{"state": "ESTAB"}', "line 1"),
        (b"TcpExt: A\nTcpExt: 1\n", "line 1"),
        (b"\n\nESTAB 0 0 1.1.1.1:1\n", "line 3"),
        (b"ESTAB 0 0 1.1.1.1:1 2.2.2.2:2\n\t cubic rtt:abc/1\n", "line 2"),
        (b"ESTAB 0 0 1.1.1.1:1 2.2.2.2:2\n\t cubic cwnd:1_0\n", "line 2"),
        (b"ESTAB 0 0 1.1.1.1:1 2.2.2.2:2\n\t cubic cwnd:10 send\n", "line 2"),
        (b"ESTAB 0 0 1.1.1.1:1 2.2.2.2:2\n\t cubic send fast\n", "line 2"),
        (b"ESTAB 0 0 1.1.1.1:1 2.2.2.2:2 users:((x)) \n", "line 1"),
        (b"ESTAB 0 0 1.1.1.1:1 2.2.2.2:2\nProcess finished\n", "line 2"),
        (b"ESTAB 0 0 1.1.1.1:1 2.2.2.2:2\n\t cubic rto:1e999\n", "line 2"),
        (b"ESTAB 0 0 1.1.1.1:1 2.2.2.2:2\n\t cubic retrans:" + b"9" * 5000 + b"/1\n", "line 2"),
    ],
)
def test_a_malformed_text_is_one_clear_error(data, where):
    """What is not `ss` text, or a key with a value that cannot be its own, is refused with its line."""
    with pytest.raises(ParseError) as caught:
        parse_ss(data)
    assert caught.value.where == where


@pytest.mark.parametrize("flags", ["tin", "tiepm"])
def test_own_recordings_agree_with_the_one_line_form(flags):
    """The same sockets, read from several flags of one kernel, have the same algorithms and segment sizes."""

    def figures(data):
        return {(s.state, s.local): (s.congestion, s.advmss, s.wscale, s.bytes_sent) for s in parse_ss(data)}

    whole, part = figures(SAMPLES["tinOH"]), figures(SAMPLES[flags])
    assert len(part) == 14
    # a recording of -m may be a moment later; what is in flight may have grown
    assert {key: value[:3] for key, value in part.items()} == {key: value[:3] for key, value in whole.items()}


WORDS = sorted({word for data in SAMPLES.values() for word in data.split()} | set(BBR.split()))


@settings(max_examples=300)
@given(
    st.binary(max_size=200)
    | st.lists(st.sampled_from([*WORDS, b"\n", b"\n\t", b"ESTAB", b"users:((", b"timer:("]), max_size=40).map(
        b" ".join
    )
)
def test_any_bytes_give_sockets_or_a_parse_error(data):
    """Arbitrary bytes and shuffled words of real text never raise anything but ParseError."""
    with contextlib.suppress(ParseError):
        inspect_ss(data)


@settings(max_examples=200)
@given(st.integers(0, len(BBR) - 1), st.integers(0, 20), st.binary(max_size=6))
def test_a_damaged_real_line_gives_sockets_or_a_parse_error(start, length, replacement):
    """A real line with a piece replaced never raises anything but ParseError."""
    with contextlib.suppress(ParseError):
        inspect_ss(BBR[:start] + replacement + BBR[start + length :])


@pytest.mark.corpus
@pytest.mark.skipif(not FIELD.is_dir(), reason="the field data is not here")
@pytest.mark.parametrize(
    "path", sorted(FIELD.glob("*ss_*.txt")) + sorted(FIELD.glob("single_*.txt")), ids=lambda p: p.name
)
def test_field_texts_read_without_a_remainder(path):
    """Every recorded text: as many sockets as it has TCP rows, and no key of TCP left unknown."""
    text = path.read_text()
    found = parse_ss(text.encode())
    states = "ESTAB|LISTEN|TIME-WAIT|CLOSE-WAIT|SYN-SENT|FIN-WAIT-[12]"
    rows = len(re.findall(rf"^(?:m?tcp +|mptcp +)?(?:{states}) +\d", text, re.MULTILINE))
    assert len(found) == max(rows, 1)
    if "mptcp" not in path.name:
        assert all(socket.other is None for socket in found)
