import math
import os
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.kernel import inet_diag
from agent.kernel.inet_diag import messages
from agent.kernel.inet_diag_socket import decode_socket, decode_sockets
from agent.kernel.parse_error import ParseError
from agent.kernel.ss import parse_ss
from agent.kernel.tcp_socket import Dctcp, to_json

CORPUS = Path(os.environ.get("LIGHTFLOOR_CORPUS", Path(__file__).resolve().parents[2].parent / "shared/data"))
FIELD = CORPUS / "3-ss"
FIXTURES = Path(__file__).resolve().parents[1] / "fixtures/kernel"
V4 = (FIXTURES / "inet_diag_6.18_v4_all.bin").read_bytes()
V6 = (FIXTURES / "inet_diag_6.18_v6_all.bin").read_bytes()


def packets(pcap):
    """The netlink bytes of each packet of an nlmon capture (LINKTYPE_NETLINK: 16 bytes before them)."""
    offset = 24
    while offset < len(pcap):
        (length,) = struct.unpack_from("<I", pcap, offset + 8)
        yield pcap[offset + 32 : offset + 16 + length]
        offset += 16 + length


def key(socket):
    return socket.state, socket.local, socket.remote


def comparable(socket):
    """The fields but for what only one side knows: names of processes and cgroups, and hidden fractions."""
    fields = to_json(socket)
    if (
        socket.timer is not None and socket.timer.expires_seconds >= 10
    ):  # `ss` cuts to whole seconds, then minutes
        fields["timer"]["expires_seconds"] = math.floor(socket.timer.expires_seconds)
        if socket.timer.expires_seconds >= 600:
            fields["timer"]["expires_seconds"] = socket.timer.expires_seconds // 60 * 60
    if socket.rcv_rtt_seconds is not None:  # six digits
        fields["rcv_rtt_seconds"] = float(f"{socket.rcv_rtt_seconds:.6g}")
    if socket.busy_seconds is not None:  # whole milliseconds
        for name in ("busy_seconds", "rwnd_limited_seconds", "sndbuf_limited_seconds"):
            fields[name] = math.floor(fields.get(name, 0) * 1000 + 1e-6) / 1000
    return fields


@pytest.mark.corpus
@pytest.mark.skipif(not FIELD.is_dir(), reason="the field data is not here")
@pytest.mark.parametrize(
    ("pcap", "text"),
    [
        ("netlink_4_19_319_tcp_10_sockets.pcap", "xtcp2_4_19_319_ss_tcp_info_a_10.txt"),
        ("netlink_5_4_281_tcp_10_sockets.pcap", "xtcp2_5_4_281_ss_tcp_info_a_10.txt"),
        ("netlink_6_10_3_tcp_10_sockets.pcap", "xtcp2_6_10_3_ss_tcp_info_a_10.txt"),
        ("netlink_6_6_44_ss_tcp_info_a_4.pcap", "xtcp2_6_6_44_ss_tcp_info_a_4.txt"),
    ],
)
def test_netlink_and_ss_text_of_one_kernel_agree(pcap, text):
    """Every key that `ss` printed has the value that the raw tcp_info holds, for every socket."""
    raw = [socket for data in packets((FIELD / pcap).read_bytes()) if data[4:6] == b"\x14\0"
           and not int.from_bytes(data[6:8], "little") & 1 for socket in decode_sockets(data)]  # fmt: skip
    printed = {key(socket): socket for socket in parse_ss((FIELD / text).read_bytes())}
    assert {key(socket) for socket in raw} == set(printed)
    for socket in raw:
        said, held = comparable(printed[key(socket)]), comparable(socket)
        shared = {name: value for name, value in said.items() if name not in ("users", "cgroup")}
        assert {name: held.get(name) for name in shared} == shared


def test_addresses_of_both_families_are_as_ss_writes_them():
    """IPv4, IPv6, v4-mapped and the wildcard of a socket that takes both."""
    assert {socket.local.rpartition(":")[0] for socket in decode_sockets(V4)} == {"127.0.0.1"}
    v6 = decode_sockets(V6)
    assert {s.local.rpartition(":")[0] for s in v6} == {"[::1]", "[::ffff:127.0.0.1]", "*"}


def test_a_half_closed_socket_says_which_half():
    """FIN-WAIT-2 has shut its sending down, CLOSE-WAIT has been shut by the peer."""
    shut = {socket.state: socket.shutdown for socket in decode_sockets(V4)}
    assert shut["FIN-WAIT-2"] == ["send"]
    assert shut["CLOSE-WAIT"] == ["receive"]
    assert shut["ESTAB"] == []


def test_bbr_and_memory_are_decoded():
    """A BBR socket has its bandwidth and gains; every socket its nine memory figures."""
    sockets = decode_sockets(V4)
    bbr = next(socket for socket in sockets if socket.bbr)
    assert bbr.congestion == "bbr"
    assert bbr.bbr.bw_bits_per_second > 0
    assert bbr.bbr.cwnd_gain > 1
    assert all(set(socket.skmem) == {"r", "rb", "t", "tb", "f", "w", "o", "bl", "d"} for socket in sockets)


def message(attributes):
    body = b"".join(
        struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4) for kind, data in attributes
    )
    head = struct.pack("=IHHII", 88 + len(body), 20, 0, 1, 0)
    return (
        head
        + struct.pack(
            "=4B2s2s16s16sIQ5I", 2, 1, 0, 0, b"\0\x16", b"\1\0", bytes(16), bytes(16), 0, 7, *[0] * 5
        )
        + body
    )


def only(attributes):
    (socket,) = decode_sockets(message(attributes))
    return socket


def test_dctcp_and_vegas_are_decoded():
    """The other two algorithms that tell about themselves; Vegas' sentinel is None."""
    dctcp = only([(inet_diag.DCTCPINFO, struct.pack("=HHIII", 1, 0, 1024, 5, 6))]).dctcp
    assert dctcp == Dctcp(enabled=True, ce_state=0, alpha=1024, ab_ecn=5, ab_tot=6)
    vegas = only([(inet_diag.VEGASINFO, struct.pack("=4I", 1, 3, 0x7FFFFFFF, 80))]).vegas
    assert (vegas.rtt_seconds, vegas.minrtt_seconds) == (None, 80e-6)


def test_bandwidth_beyond_32_bits_and_unlike_window_scales():
    """BBR's bandwidth is two words; the sent window's shift is the low nibble."""
    bbr = only([(inet_diag.BBRINFO, struct.pack("=5I", 1, 1, 145, 739, 512))]).bbr
    assert bbr.bw_bits_per_second == (2**32 + 1) * 8
    assert (bbr.mrtt_seconds, bbr.pacing_gain, bbr.cwnd_gain) == (0.000145, 2.88671875, 2.0)
    data = bytearray(280)
    data[5], data[6] = 4, 0xA7
    assert only([(inet_diag.INFO, bytes(data))]).wscale == (7, 10)


def test_a_socket_without_tcp_info_has_no_figures():
    """No attribute, no invented value."""
    socket = only([])
    assert (socket.state, socket.local, socket.cwnd, socket.rtt_seconds) == (
        "ESTAB",
        "0.0.0.0:22",
        None,
        None,
    )


def test_an_attribute_that_is_too_short_is_refused():
    """A cut tcp_bbr_info is an error, not a half-read value."""
    with pytest.raises(ParseError, match="too short"):
        only([(inet_diag.BBRINFO, bytes(8))])


@settings(max_examples=200)
@given(st.integers(0, len(V6) - 1), st.integers(0, 12), st.binary(max_size=12))
def test_a_damaged_dump_gives_sockets_or_a_parse_error(start, length, replacement):
    """No damage raises anything but ParseError."""
    try:
        data = V6[:start] + replacement + V6[start + length :]
        for found in messages(data):
            decode_socket(data, found)
    except ParseError:
        pass
