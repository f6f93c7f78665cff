"""From a captured frame to its transport header: link layers, VLAN tags, IPv4, IPv6 and its extension headers.

Every function takes the frame's bytes and raises nothing but struct.error or IndexError, which mean that the frame
is too short for what it claims to be; the caller counts those.
"""

from collections.abc import Callable
from struct import Struct
from typing import NamedTuple

IPV4, IPV6, OTHER = 0x0800, 0x86DD, 0
TCP, UDP = 6, 17

_VLAN_TAGS = frozenset({0x8100, 0x88A8, 0x9100})
_PPPOE_SESSION = 0x8864
_PPP = {0x0021: IPV4, 0x0057: IPV6}
_BSD_FAMILIES = {
    2: IPV4,
    10: IPV6,
    24: IPV6,
    28: IPV6,
    30: IPV6,
}  # AF_INET; AF_INET6 of Linux, NetBSD, FreeBSD, macOS

_U16 = Struct(">H").unpack_from
_U32 = Struct(">I").unpack_from
_IPV4 = Struct(">BxHHHxB").unpack_from
_IPV6 = Struct(">4xHB").unpack_from

Layer = tuple[int, int]
"""(IPV4, IPV6 or OTHER; offset of the network header)"""


def _tagged(data: bytes, kind: int, at: int) -> Layer:
    while kind in _VLAN_TAGS:  # each tag is four bytes, so the frame's end ends this
        (kind,) = _U16(data, at + 2)
        at += 4
    if kind == _PPPOE_SESSION:
        return _PPP.get(_U16(data, at + 6)[0], OTHER), at + 8
    return (kind, at) if kind in {IPV4, IPV6} else (OTHER, at)


def _ethernet(data: bytes) -> Layer:
    (kind,) = _U16(data, 12)
    return (kind, 14) if kind in {IPV4, IPV6} else _tagged(data, kind, 14)


def _raw(data: bytes, at: int = 0) -> Layer:
    version = data[at] >> 4
    return (IPV4 if version == 4 else IPV6 if version == 6 else OTHER), at


def _cooked(data: bytes) -> Layer:
    return _tagged(data, _U16(data, 14)[0], 16)


def _cooked2(data: bytes) -> Layer:
    return _tagged(data, _U16(data, 0)[0], 20)


def _loopback(data: bytes) -> Layer:
    (family,) = _U32(data, 0)
    if family > 0xFFFF:  # in the byte order of the host that captured it
        family = int.from_bytes(data[:4], "little")
    return _BSD_FAMILIES.get(family, OTHER), 4


def _ppp(data: bytes) -> Layer:
    at = 2 if data.startswith(b"\xff\x03") else 0
    return _PPP.get(_U16(data, at)[0], OTHER), at + 2


LINK_LAYERS: dict[int, tuple[str, Callable[[bytes], Layer]]] = {
    0: ("null", _loopback),
    1: ("ethernet", _ethernet),
    9: ("ppp", _ppp),
    12: ("raw", _raw),
    14: ("raw", _raw),
    50: ("ppp_hdlc", _ppp),
    101: ("raw", _raw),
    108: ("loop", _loopback),
    113: ("linux_sll", _cooked),
    228: ("ipv4", _raw),
    229: ("ipv6", _raw),
    276: ("linux_sll2", _cooked2),
}
"""LINKTYPE_ number: (name, where its network header is). https://www.tcpdump.org/linktypes.html"""


class Transport(NamedTuple):
    """protocol: IP protocol number; at, end: of its bytes in the frame, end as the IP header has it (may be beyond a
    cut frame); addresses: both, source first; ip_id: None for IPv6. fragment: a piece of a larger datagram.
    """

    protocol: int
    at: int
    end: int
    addresses: bytes
    ip_id: int | None
    fragment: bool


def ipv4(data: bytes, at: int, wire_length: int) -> Transport:
    """RFC 791 section 3.1. A total length of 0 is a segment that the network card was yet to cut up."""
    first, total, ip_id, offset, protocol = _IPV4(data, at)
    end = at + total if total else wire_length
    fragment = bool(offset & 0x3FFF)  # more fragments, or an offset
    header = (first & 0x0F) * 4
    if header < 20:
        raise IndexError(header)
    return Transport(protocol, at + header, end, data[at + 12 : at + 20], ip_id, fragment)


_EXTENSIONS = frozenset({0, 43, 60, 135, 139, 140})
_FRAGMENT, _AUTHENTICATION = 44, 51


def ipv6(data: bytes, at: int, wire_length: int) -> Transport:
    """RFC 8200 section 4: extension headers are walked. A payload length of 0 is a jumbogram or one not yet cut up."""
    length, protocol = _IPV6(data, at)
    end = at + 40 + length if length else wire_length
    addresses = data[at + 8 : at + 40]
    at += 40
    fragment = False
    while True:
        if protocol in _EXTENSIONS:
            protocol, at = data[at], at + 8 + data[at + 1] * 8
        elif protocol == _FRAGMENT:
            fragment = fragment or bool(
                _U16(data, at + 2)[0] & 0xFFF9
            )  # RFC 6946: neither is an atomic fragment
            protocol, at = data[at], at + 8
        elif protocol == _AUTHENTICATION:
            protocol, at = data[at], at + (data[at + 1] + 2) * 4
        else:
            return Transport(protocol, at, end, addresses, None, fragment)


PROTOCOLS = {
    1: "icmp",
    4: "ipip",
    6: "tcp",
    17: "udp",
    41: "ipv6",
    47: "gre",
    50: "esp",
    58: "icmpv6",
    132: "sctp",
}
"""Names for the counts; any other protocol counts under its number."""

_IP_TUNNELS = {4: "ipip", 41: "sit", 47: "gre", 50: "esp"}
_VXLAN_PORTS = frozenset({4789, 8472})  # IANA's; Linux' own default, which flannel and Cilium use
_GENEVE_PORT = 6081
_WIREGUARD_LENGTHS = {1: 148, 2: 92, 3: 64}  # initiation, response, cookie (wireguard.com/protocol)


def tunnel(data: bytes, transport: Transport) -> str | None:
    """What this packet carries another packet in, by protocol, port and the shape of its header; else None."""
    if transport.protocol != UDP:
        return _IP_TUNNELS.get(transport.protocol)
    at = transport.at + 8
    (port,) = _U16(data, transport.at + 2)
    if port in _VXLAN_PORTS and data[at] & 0x08:
        return "vxlan"
    if port == _GENEVE_PORT and data[at] >> 6 == 0:
        return "geneve"
    if data[at : at + 1] in {b"\1", b"\2", b"\3", b"\4"} and data[at + 1 : at + 4] == bytes(3):
        length = transport.end - at
        if data[at] in _WIREGUARD_LENGTHS:
            return "wireguard" if length == _WIREGUARD_LENGTHS[data[at]] else None
        counter_high = data[at + 12 : at + 16]  # of a 64-bit packet counter: zero in any session's first 2^32
        return "wireguard" if length >= 32 and counter_high == bytes(4) else None
    return None
