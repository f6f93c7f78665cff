"""The BPF programs let our answers through and nothing else, by an interpreter of classic BPF."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from agent.net.filter import echo_reply_filter, tcp_answer_filter

LOW, HIGH = 61000, 65095


def accepts(program, packet):
    """What the kernel would do (Documentation/networking/filter.rst); a load beyond the packet drops it."""
    a = x = at = 0
    while True:
        code, jt, jf, k = program[at]
        at += 1
        try:
            if code == 0xB1:
                x = 4 * (packet[k] & 0xF)
            elif code == 0x01:
                x = k
            elif code == 0x48:
                (a,) = struct.unpack_from("!H", packet, x + k)
            elif code == 0x50:
                a = packet[x + k]
            elif code == 0x06:
                return k > 0
            else:
                holds = {0x15: a == k, 0x25: a > k, 0x35: a >= k, 0x45: bool(a & k)}[code]
                at += jt if holds else jf
        except (IndexError, struct.error):
            return False


def tcp(port, flags, ip_options=0):
    header = bytes([0x45 + ip_options]) + bytes(19 + 4 * ip_options)
    return header, struct.pack("!HHIIBBHHH", 443, port, 1, 2, 5 << 4, flags, 0, 0, 0)


@given(port=st.integers(0, 65535), flags=st.integers(0, 63), ip_options=st.integers(0, 10))
def test_only_answers_to_our_ports_pass(port, flags, ip_options):
    """A segment passes iff it is for a port in the range and has SYN, RST or ACK; IP options do not shift that."""
    header, segment = tcp(port, flags, ip_options)
    wanted = LOW <= port <= HIGH and flags & 0x16 != 0
    assert accepts(tcp_answer_filter(LOW, HIGH, has_ip_header=True), header + segment) == wanted
    assert accepts(tcp_answer_filter(LOW, HIGH, has_ip_header=False), segment) == wanted


@given(kind=st.integers(0, 255), identifier=st.integers(0, 65535))
def test_only_echo_replies_with_our_identifier_pass(kind, identifier):
    """A raw ICMP socket gets its own echo replies, not other ICMP and not other pings' replies."""
    message = struct.pack("!BBHHH", kind, 0, 0, identifier, 1)
    ours = identifier == 4711
    assert accepts(echo_reply_filter(4711, has_ip_header=True), bytes([0x45]) + bytes(19) + message) == (
        ours and kind == 0
    )
    assert accepts(echo_reply_filter(4711, has_ip_header=False), message) == (ours and kind == 129)
