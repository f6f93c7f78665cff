"""INET_DIAG over netlink (include/uapi/linux/inet_diag.h): the request for TCP sockets and the reply's messages.

A reply is a run of netlink messages: struct nlmsghdr (16 bytes), struct inet_diag_msg (72 bytes), attributes.
"""

import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from agent.kernel.parse_error import ParseError

AF_INET, AF_INET6 = 2, 10
SOCK_DIAG_BY_FAMILY = 20
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_DUMP_INTR = 0x10
"""Set on a message when the tables changed while they were being dumped: some sockets may be missing or double."""

# attributes; the first eight can be asked for, and VEGASINFO asks for that of any algorithm
MEMINFO, INFO, VEGASINFO, CONG, TOS, TCLASS, SKMEMINFO, SHUTDOWN = range(1, 9)
DCTCPINFO, SKV6ONLY, MARK, BBRINFO, CLASS_ID = 9, 11, 15, 16, 17

CONNECTED_STATES = sum(1 << state for state in (1, 4, 5, 8, 9, 11))
"""ESTABLISHED, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, LAST_ACK, CLOSING: those that carry a struct tcp_info."""

HEADER = struct.Struct("=IHHII")
MESSAGE = struct.Struct("=4B 2s2s 16s16s I Q 5I")
ATTRIBUTES_AT = HEADER.size + MESSAGE.size
_ATTRIBUTE = struct.Struct("=HH")
_TYPE_MASK = 0x3FFF  # NLA_F_NESTED and NLA_F_NET_BYTEORDER are the two bits above
V4_MAPPED = bytes(10) + b"\xff\xff"
"""The first twelve bytes of an IPv4 address within an IPv6 one (RFC 4291, 2.5.5.2)."""


def encode_request(
    family: int, states: int = CONNECTED_STATES, attributes: tuple[int, ...] = (INFO, CONG)
) -> bytes:
    """A dump request for TCP sockets of one family in these states (bits 1 << state), with these attributes."""
    extensions = sum(1 << (attribute - 1) for attribute in attributes)
    body = struct.pack("=BBBBI48x", family, 6, extensions, 0, states)
    # flags: NLM_F_REQUEST | NLM_F_DUMP (NLM_F_ROOT | NLM_F_MATCH)
    return HEADER.pack(HEADER.size + len(body), SOCK_DIAG_BY_FAMILY, 0x301, 1, 0) + body


class Message(NamedTuple):
    """One netlink message within a buffer: its place, length and header fields."""

    offset: int
    length: int
    type: int
    flags: int


def messages(buffer: bytes | memoryview) -> Iterator[Message]:
    """The netlink messages of one read. Raises ParseError for a length that leaves the buffer."""
    offset, end = 0, len(buffer)
    while offset < end:
        if end - offset < HEADER.size:
            raise ParseError("inet_diag", f"byte {offset}", f"{end - offset} bytes left, no netlink header")
        length, kind, flags, _, _ = HEADER.unpack_from(buffer, offset)
        if not HEADER.size <= length <= end - offset:
            raise ParseError("inet_diag", f"byte {offset}", f"message of {length} bytes, {end - offset} left")
        yield Message(offset, length, kind, flags)
        offset += (length + 3) & ~3


def error_number(buffer: bytes | memoryview, message: Message) -> int:
    """The errno of an NLMSG_ERROR or NLMSG_DONE message, 0 for none. Raises ParseError."""
    if message.length < HEADER.size + 4:
        if message.type == NLMSG_DONE:
            return 0
        raise ParseError("inet_diag", f"byte {message.offset}", "error message without a number")
    return -int(struct.unpack_from("=i", buffer, message.offset + HEADER.size)[0])


def attributes(buffer: bytes | memoryview, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(type, start, length) of each attribute's payload between start and end. Raises ParseError."""
    while start + _ATTRIBUTE.size <= end:
        length, kind = _ATTRIBUTE.unpack_from(buffer, start)
        if length < _ATTRIBUTE.size or start + length > end:
            raise ParseError("inet_diag", f"byte {start}", f"attribute of {length} bytes, {end - start} left")
        yield kind & _TYPE_MASK, start + _ATTRIBUTE.size, length - _ATTRIBUTE.size
        start += (length + 3) & ~3


def address_text(address: bytes) -> str:
    """4 or 16 bytes as text; an IPv4 address within an IPv6 one as ::ffff:192.0.2.1."""
    if len(address) == 4:
        return str(IPv4Address(address))
    if address.startswith(V4_MAPPED):
        return f"::ffff:{IPv4Address(address[12:])}"
    return str(IPv6Address(address))
