"""Control messages as the kernel (6.18, x86_64) gave them are read right, and any others are refused."""

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.kernel.parse_error import ParseError
from agent.net import timestamp

TX_V4 = [
    (1, 37, bytes.fromhex("a7fa006b000000005cfa1012000000000000000000000000000000000000000000000000000000000000000000000000")),
    (0, 11, bytes.fromhex("2a00000004000000000000000100000000000000000000000000000000000000")),
]  # fmt: skip
TX_V6 = [
    TX_V4[0],
    (
        41,
        25,
        bytes.fromhex(
            "2a00000004000000000000000100000000000000000000000000000000000000000000000000000000000000"
        ),
    ),
]
RX_V4 = [TX_V4[0], (0, 2, bytes.fromhex("40000000"))]
RX_V6 = [TX_V4[0], (41, 52, bytes.fromhex("40000000"))]
REFUSED_V4 = [
    TX_V4[0],
    (0, 2, bytes.fromhex("40000000")),
    (0, 11, bytes.fromhex("6f000000020303000000000000000000020000007f0000010000000000000000")),
]
REFUSED_V6 = [
    TX_V4[0],
    (41, 52, bytes.fromhex("40000000")),
    (
        41,
        25,
        bytes.fromhex(
            "6f0000000301040000000000000000000a000000000000000000000000000000000000000000000100000000"
        ),
    ),
]
STAMP_NS = 0x6B00FAA7 * 10**9 + 0x1210FA5C


@pytest.mark.parametrize("control", [TX_V4, TX_V6])
def test_tx_stamp_comes_with_the_number_of_its_packet(control):
    """The second packet's report names number 1 and the driver's time to the nanosecond, in both families."""
    assert timestamp.parse_report(control) == (1, STAMP_NS)


@pytest.mark.parametrize("control", [RX_V4, RX_V6])
def test_rx_stamp_and_ttl_come_with_the_data(control):
    """A received packet has its time and the TTL (hop limit) it arrived with."""
    assert timestamp.parse_arrival(control) == (STAMP_NS, 64)


def test_what_the_kernel_did_not_tell_is_none():
    """Without control messages, or with an empty stamp, nothing is made up."""
    assert timestamp.parse_arrival([]) == (None, None)
    assert timestamp.parse_arrival([(1, 37, bytes(48))]) == (None, None)
    assert timestamp.parse_report([]) is None
    assert timestamp.parse_report([TX_V4[1]]) is None


@pytest.mark.parametrize(
    ("control", "offender", "icmp"), [(REFUSED_V4, "127.0.0.1", (3, 3)), (REFUSED_V6, "::1", (1, 4))]
)
def test_icmp_error_names_who_said_it(control, offender, icmp):
    """A port-unreachable message is the errno, its type and code, and the address of the host that sent it."""
    error = timestamp.parse_report(control)
    assert (error.code, error.offender, (error.icmp_type, error.icmp_code)) == (111, offender, icmp)
    assert error.reason == "Connection refused"


def test_next_hop_mtu_of_a_router_is_kept():
    """Frag-needed carries the router's MTU and address."""
    report = struct.pack("=IBBBBII", 90, 2, 3, 4, 0, 1400, 0) + struct.pack(
        "=HH4s8x", 2, 0, bytes((10, 97, 1, 1))
    )
    error = timestamp.parse_report([(0, 11, report)])
    assert (error.information, error.offender) == (1400, "10.97.1.1")


def test_a_like_numbered_message_of_another_level_is_not_a_stamp():
    """Type 37 is a stamp at socket level only."""
    assert timestamp.parse_arrival([(socket.IPPROTO_IP, 37, TX_V4[0][2])]) == (None, None)


@pytest.mark.parametrize("parse", [timestamp.parse_arrival, timestamp.parse_report])
@given(
    control=st.lists(
        st.tuples(st.sampled_from((0, 1, 41)), st.sampled_from((2, 11, 25, 37, 52)), st.binary(max_size=64)),
        max_size=3,
    )
)
def test_any_bytes_give_a_value_or_a_parse_error(parse, control):
    """No control message makes the parsers fail in another way."""
    try:
        parse(control)
    except ParseError as error:
        assert error.reason  # noqa: PT017 - a value is as good
