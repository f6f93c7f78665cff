import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.kernel.inet_diag import AF_INET, AF_INET6
from agent.kernel.parse_error import ParseError
from agent.kernel.ss import parse_ss
from agent.socket_listing import LISTED_ACCOUNTS, listed_figures, listing_unit

ROW = "ESTAB 0 0 10.0.0.2:40000 {remote} ino:1 sk:a <-> cubic cwnd:10 {more}"


def listed(remote="10.0.0.1:443", more="", unit="bytes"):
    (socket,) = parse_ss(ROW.format(remote=remote, more=more).encode())
    return listed_figures(socket, unit)


@pytest.mark.parametrize(
    ("remote", "family", "address"),
    [
        ("10.0.0.1:443", AF_INET, bytes([10, 0, 0, 1]) + bytes(12)),
        ("[2001:db8::1]:443", AF_INET6, bytes.fromhex("20010db8") + bytes(11) + b"\1"),
        ("::ffff:10.0.0.1:443", AF_INET6, bytes(10) + b"\xff\xff\n\0\0\1"),
        ("[fe80::1]%eth0:443", AF_INET6, b"\xfe\x80" + bytes(13) + b"\1"),
    ],
)
def test_addresses_are_as_a_dump_has_them(remote, family, address):
    """Both families, zones, and v4-mapped with or without brackets."""
    figures = listed(remote)
    assert (figures[1], figures[2], figures[3]) == (family, b"\x9c\x40\x01\xbb", address)


def test_a_socket_that_cannot_be_told_apart_or_placed_is_left_out():
    """Names in place of addresses, no cookie, or no tcp_info give no figures."""
    assert listed("frankfurt.example:https") is None
    (socket,) = parse_ss(b"ESTAB 0 0 10.0.0.2:1 10.0.0.1:2 cubic cwnd:10")
    assert listed_figures(socket, "bytes") is None


def test_the_unit_is_that_of_the_whole_listing():
    """An idle socket among others that sent bytes has sent 0 bytes, not an unknown number of segments."""
    assert listing_unit(b"ESTAB ... segs_out:3\nESTAB ... bytes_sent:7 segs_out:3") == "bytes"
    assert listing_unit(b"ESTAB ... bytes_acked:1560 segs_out:18") == "segments"
    read = LISTED_ACCOUNTS["segments"].read
    assert read(listed(more="segs_out:18 retrans:0/4 busy:12ms", unit="segments")[12])[3:] == (18, 4)


@given(
    st.lists(st.sampled_from(["cwnd", "ssthresh", "bytes_sent", "bytes_retrans"]), max_size=4),
    st.integers(0, 10**20 - 1),
)
def test_no_number_in_a_text_is_too_big(keys, number):
    """Text may claim anything; what would not fit the kernel's field is held to its bound."""
    with contextlib.suppress(ParseError):
        assert listed(more=" ".join(f"{key}:{number}" for key in keys)) is not None
