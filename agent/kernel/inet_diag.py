"""INET_DIAG over netlink (include/uapi/linux/inet_diag.h): the request for TCP sockets and the reply's messages.

A reply is a run of netlink messages: struct nlmsghdr (16 bytes), struct inet_diag_msg (72 bytes), attributes.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from agent.kernel.parse_error import ParseError
from agent.kernel.tcp_info import OPTION_BITS, TcpInfo, decode_tcp_info
from agent.kernel.tcp_socket import STATES, Bbr, Dctcp, Retrans, Socket, Timer, Vegas

AF_INET, AF_INET6 = 2, 10
SOCK_DIAG_BY_FAMILY = 20
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_DUMP_INTR = 0x10
"""Set on a message when the tables changed while they were being dumped: some sockets may be missing or double."""

MEMINFO, INFO, VEGASINFO, CONG, TOS, TCLASS, SKMEMINFO, SHUTDOWN = range(1, 9)
DCTCPINFO, PROTOCOL, SKV6ONLY = 9, 10, 11
MARK, BBRINFO, CLASS_ID, MD5SIG, ULP_INFO = 15, 16, 17, 18, 19
CGROUP_ID = 21

CONNECTED_STATES = sum(1 << state for state in (1, 4, 5, 8, 9, 11))
"""ESTABLISHED, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, LAST_ACK, CLOSING: those that carry a struct tcp_info."""

HEADER = struct.Struct("=IHHII")
MESSAGE = struct.Struct("=4B 2s2s 16s16s I Q 5I")
ATTRIBUTES_AT = HEADER.size + MESSAGE.size
_ATTRIBUTE = struct.Struct("=HH")
_TYPE_MASK = 0x3FFF  # NLA_F_NESTED and NLA_F_NET_BYTEORDER are the two bits above
_TIMERS = {1: "on", 2: "keepalive", 3: "timewait", 4: "persist", 5: "delack"}
_MEMORY_KEYS = ("r", "rb", "t", "tb", "f", "w", "o", "bl", "d")
_V4_MAPPED = bytes(10) + b"\xff\xff"


def encode_request(family: int, states: int = CONNECTED_STATES, attributes: tuple[int, ...] = (INFO, CONG)) -> bytes:
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


def decode_socket(buffer: bytes | memoryview, message: Message) -> Socket:
    """Everything one message says of its socket. Raises ParseError."""
    if message.length < ATTRIBUTES_AT:
        raise ParseError("inet_diag", f"byte {message.offset}", f"{message.length} bytes hold no inet_diag_msg")
    (family, state, timer, retransmits, sport, dport, source, destination, interface, cookie, *figures) = (
        MESSAGE.unpack_from(buffer, message.offset + HEADER.size)
    )
    expires_ms, recv_q, send_q, uid, inode = figures
    found = {
        kind: bytes(buffer[start : start + length])
        for kind, start, length in attributes(
            buffer, message.offset + ATTRIBUTES_AT, message.offset + message.length
        )
    }
    v6only = bool(found[SKV6ONLY][0]) if found.get(SKV6ONLY) else None
    try:
        return Socket(
            state=STATES.get(state, "UNKNOWN"),
            local=_endpoint(family, source, sport, v6only=bool(v6only)),
            remote=_endpoint(family, destination, dport, v6only=bool(v6only)),
            recv_q=recv_q,
            send_q=send_q,
            timer=_timer(timer, expires_ms, retransmits),
            uid=uid,
            ino=inode,
            sk=f"{cookie:x}",
            v6only=v6only,
            interface_index=interface or None,
            **_attribute_fields(found),
        )
    except struct.error as error:
        raise ParseError("inet_diag", f"byte {message.offset}", f"attribute too short: {error}") from error


def _endpoint(family: int, address: bytes, port: bytes, *, v6only: bool) -> str:
    number = int.from_bytes(port, "big") or "*"
    if family == AF_INET:
        return f"{address_text(address[:4])}:{number}"
    if not any(address) and not v6only:
        return f"*:{number}"
    return f"[{address_text(address)}]:{number}"
