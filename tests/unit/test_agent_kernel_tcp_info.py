import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.kernel.parse_error import ParseError
from agent.kernel.tcp_info import OFFSETS, SHORTEST, SIZE, TcpInfo, decode_tcp_info

KERNEL_SIZES = {"2.6.32": 104, "3.15": 120, "4.1": 136, "4.2": 144, "4.6": 160, "4.9": 168, "4.10": 192, "4.19": 224,
                "5.4": 232, "6.2": 240, "6.7": 248, "6.18": 280}  # fmt: skip


def info_bytes(length=SIZE, **fields):
    """A struct tcp_info of this many bytes with these u32 fields set."""
    data = bytearray(length)
    for name, value in fields.items():
        struct.pack_into("=I", data, OFFSETS[name], value)
    return bytes(data)


def test_offsets_are_those_of_the_kernel_header():
    """Fields lie where include/uapi/linux/tcp.h puts them."""
    known = {"retransmits": 2, "options": 5, "rto_us": 8, "unacked": 24, "lost": 32, "retrans": 36, "rtt_us": 68,
             "snd_ssthresh": 76, "snd_cwnd": 80, "reordering": 88, "rcv_rtt_us": 92, "total_retrans": 100,
             "pacing_rate": 104, "bytes_acked": 120, "segs_out": 136, "min_rtt_us": 148, "delivery_rate": 160,
             "busy_us": 168, "delivered": 192, "bytes_sent": 200, "bytes_retrans": 208, "rcv_ooopack": 224,
             "snd_wnd": 228, "rcv_wnd": 232, "total_rto": 240, "total_rto_time_ms": 244, "accecn": 276}  # fmt: skip
    assert {name: OFFSETS[name] for name in known} == known
    assert SIZE == 280


def test_each_field_has_its_own_place():
    """A struct whose bytes are all different gives each field the bytes at its offset, none of them twice."""
    data = bytes(i % 251 for i in range(SIZE))
    info = decode_tcp_info(data)
    assert info.rto_us == int.from_bytes(data[8:12], "little")
    assert info.bytes_retrans == int.from_bytes(data[208:216], "little")
    assert info.total_rto_recoveries == int.from_bytes(data[242:244], "little")
    assert len(set(OFFSETS.values())) == len(OFFSETS) == len(TcpInfo._fields) - 1


@pytest.mark.parametrize(("kernel", "length"), KERNEL_SIZES.items())
def test_an_older_kernel_leaves_later_fields_unknown(kernel, length):
    """Fields beyond the length the kernel gave are None, never 0; those within it are there."""
    info = decode_tcp_info(bytes(length))
    for name, offset in OFFSETS.items():
        never_zero = (
            "rtt_us",
            "rttvar_us",
            "rcv_rtt_us",
            "pacing_rate",
            "max_pacing_rate",
            "min_rtt_us",
            "delivery_rate",
        )
        if offset >= length:
            assert getattr(info, name) is None, (kernel, name)
        elif name not in never_zero:
            assert getattr(info, name) == 0, (kernel, name)


def test_bytes_of_a_newer_kernel_are_counted():
    """A struct longer than what is known decodes as usual and says how much was not understood."""
    info = decode_tcp_info(info_bytes(snd_cwnd=10) + bytes(16))
    assert (info.snd_cwnd, info.unread_bytes) == (10, 16)


def test_sentinels_are_none():
    """Infinite ssthresh, an RTT not yet measured and an unlimited pacing rate are unknown, not numbers."""
    data = bytearray(info_bytes(snd_ssthresh=2147483647, min_rtt_us=0xFFFFFFFF, rttvar_us=250000))
    struct.pack_into("=QQ", data, OFFSETS["pacing_rate"], 2**64 - 1, 2**64 - 1)
    info = decode_tcp_info(bytes(data))
    assert info.snd_ssthresh is None
    assert info.min_rtt_us is info.rtt_us is info.rttvar_us is None
    assert info.pacing_rate is info.max_pacing_rate is None
    assert decode_tcp_info(info_bytes(snd_ssthresh=2147483646)).snd_ssthresh == 2147483646


def test_too_short_a_struct_is_refused():
    """Fewer bytes than the oldest layout are an error that says how many."""
    with pytest.raises(ParseError, match=f"{SHORTEST - 1} bytes"):
        decode_tcp_info(bytes(SHORTEST - 1))


@given(st.binary(max_size=320))
def test_any_bytes_decode_or_are_a_parse_error(data):
    """No length and no content raises anything but ParseError."""
    try:
        decode_tcp_info(data)
    except ParseError:
        assert len(data) < SHORTEST
