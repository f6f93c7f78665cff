"""rtnetlink dumps of links and routes: requests out, answers in (rtnetlink(7); include/uapi/linux/if_link.h). No socket.

Decoders take the concatenated messages of a finished dump and raise ParseError for anything cut short.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal

from agent.kernel.parse_error import ParseError
from agent.kernel.route import Route

SOURCE = "rtnetlink"
HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
ATTRIBUTE = struct.Struct("=HH")  # length with this header, type
IFINFO = struct.Struct("=BxHiII")  # family, ARPHRD type, index, flags, change
RTMSG = struct.Struct("=8BI")  # family, dst_len, src_len, tos, table, protocol, scope, type, flags
U32 = struct.Struct("=I")
NLMSG_ERROR, NLMSG_DONE = 2, 3
RTM_NEWLINK, RTM_GETLINK, RTM_NEWROUTE, RTM_GETROUTE = 16, 18, 24, 26
RTM_NEWNSID, RTM_GETNSID = 88, 90
NETNSA_NSID, NETNSA_PID = 1, 2
NLM_F_REQUEST, NLM_F_DUMP = 0x1, 0x300
ATTRIBUTE_TYPE_MASK = 0x3FFF  # the upper bits say "nested" and "network byte order"
AF_UNSPEC, AF_INET, AF_INET6 = 0, 2, 10

IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_QDISC, IFLA_LINKINFO = 3, 4, 5, 6, 18
IFLA_LINK_NETNSID = 37  # the link lies in another network namespace, where its index means something else
IFLA_INFO_KIND, IFLA_INFO_DATA = 1, 2
# kind → attributes of its INFO_DATA that hold an address of the underlay (local or remote), and its link
UNDERLAY_ADDRESSES: dict[str, tuple[int, ...]] = {
    "vxlan": (2, 4, 16, 17),  # IFLA_VXLAN_GROUP, LOCAL, GROUP6, LOCAL6
    "geneve": (2, 7),  # IFLA_GENEVE_REMOTE, REMOTE6
    "gre": (6, 7),  # IFLA_GRE_LOCAL, REMOTE
    "gretap": (6, 7),
    "ip6gre": (6, 7),
    "ip6gretap": (6, 7),
    "ipip": (2, 3),  # IFLA_IPTUN_LOCAL, REMOTE
    "sit": (2, 3),
    "ip6tnl": (2, 3),
}
UNDERLAY_LINK = {"vxlan": 3}  # IFLA_VXLAN_LINK; the others use IFLA_LINK or route

RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_METRICS, RTA_TABLE = 1, 4, 5, 6, 8, 15
RTM_F_CLONED = 0x200
RTAX_LOCK, RTAX_MTU, RTAX_ADVMSS = 1, 2, 8
RT_TABLE_NAMES = {253: "default", 254: "main", 255: "local"}
ROUTE_TYPES = {1: "unicast", 2: "local", 3: "broadcast", 4: "anycast", 5: "multicast"} | {
    6: "blackhole", 7: "unreachable", 8: "prohibit", 9: "throw"
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class NetlinkLink:
    """One interface. kind: of a virtual device ("vxlan", "veth"), None for hardware.

    underlay_index: the interface that carries a tunnel's packets; underlay_family: of its outer addresses.
    peer_namespace: this namespace's number for the one that the other end lies in, None for none or this one.
    """

    index: int
    name: str
    mtu: int | None
    qdisc: str | None
    flags: int
    kind: str | None = None
    underlay_index: int | None = None
    underlay_family: Literal["ipv4", "ipv6"] | None = None
    peer_namespace: int | None = None


def namespace_number_request(sequence: int, pid: int) -> bytes:
    """RTM_GETNSID: which number this namespace has for that of a process (include/uapi/linux/net_namespace.h)."""
    body = bytes(4) + ATTRIBUTE.pack(8, NETNSA_PID) + U32.pack(pid)
    return HEADER.pack(HEADER.size + len(body), RTM_GETNSID, NLM_F_REQUEST, sequence, 0) + body


def decode_namespace_number(data: bytes) -> int | None:
    """The number; None where this namespace has none for it: no interface leads there. Raises ParseError."""
    for kind, body in messages(data):
        if kind == RTM_NEWNSID:
            number = attributes(body[4:]).get(NETNSA_NSID, b"")
            if len(number) == 4:
                return None if number == b"\xff" * 4 else U32.unpack(number)[0]
    raise ParseError(SOURCE, "RTM_NEWNSID", "no number in the answer")


def link_dump_request(sequence: int) -> bytes:
    """RTM_GETLINK for every interface of the network namespace."""
    return _request(RTM_GETLINK, sequence, IFINFO.pack(AF_UNSPEC, 0, 0, 0, 0))


def route_dump_request(sequence: int) -> bytes:
    """RTM_GETROUTE for every route of both families."""
    return _request(RTM_GETROUTE, sequence, RTMSG.pack(AF_UNSPEC, *[0] * 8))


def _request(kind: int, sequence: int, body: bytes) -> bytes:
    return HEADER.pack(HEADER.size + len(body), kind, NLM_F_REQUEST | NLM_F_DUMP, sequence, 0) + body


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of each message. Raises ParseError where a length does not fit."""
    at = 0
    while at < len(data):
        if len(data) - at < HEADER.size:
            raise ParseError(SOURCE, f"byte {at}", "a message header is cut short")
        length, kind, *_ = HEADER.unpack_from(data, at)
        if not HEADER.size <= length <= len(data) - at:
            raise ParseError(SOURCE, f"byte {at}", f"a message of {length} bytes does not fit")
        yield kind, data[at + HEADER.size : at + length]
        at += (length + 3) & ~3


def attributes(data: bytes) -> dict[int, bytes]:
    """Payload by type; the last of a repeated type. Raises ParseError where a length does not fit."""
    found: dict[int, bytes] = {}
    at = 0
    while at + ATTRIBUTE.size <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, at)
        if not ATTRIBUTE.size <= length <= len(data) - at:
            raise ParseError(SOURCE, f"attribute at byte {at}", f"{length} bytes do not fit")
        found[kind & ATTRIBUTE_TYPE_MASK] = data[at + ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3
    return found


def decode_links(data: bytes) -> tuple[NetlinkLink, ...]:
    """Interfaces of an RTM_GETLINK dump. Raises ParseError."""
    return tuple(_link(body) for kind, body in messages(data) if kind == RTM_NEWLINK)


def _link(body: bytes) -> NetlinkLink:
    _need(body, IFINFO.size, "ifinfomsg")
    _, _, index, flags, _ = IFINFO.unpack_from(body)
    found = attributes(body[IFINFO.size :])
    info = attributes(found.get(IFLA_LINKINFO, b""))
    kind = _string(info[IFLA_INFO_KIND]) if IFLA_INFO_KIND in info else None
    details = attributes(info.get(IFLA_INFO_DATA, b"")) if kind in UNDERLAY_ADDRESSES else {}
    link = details.get(UNDERLAY_LINK.get(kind or "", -1)) or found.get(IFLA_LINK)
    return NetlinkLink(
        index=index,
        name=_string(found.get(IFLA_IFNAME, b"")),
        mtu=_u32(found.get(IFLA_MTU)),
        qdisc=_string(found[IFLA_QDISC]) if IFLA_QDISC in found else None,
        flags=flags,
        kind=kind,
        underlay_index=None if IFLA_LINK_NETNSID in found else _u32(link) or None,
        underlay_family=_underlay_family(details, UNDERLAY_ADDRESSES.get(kind or "", ())),
        peer_namespace=_u32(found.get(IFLA_LINK_NETNSID)),
    )


def _underlay_family(details: dict[int, bytes], kinds: tuple[int, ...]) -> Literal["ipv4", "ipv6"] | None:
    for kind in kinds:
        address = details.get(kind, b"")
        if any(address) and len(address) in (4, 16):
            return "ipv4" if len(address) == 4 else "ipv6"
    return None


def decode_routes(data: bytes, interfaces: dict[int, str]) -> tuple[Route, ...]:
    """Routes of an RTM_GETROUTE dump; interfaces names them by index. Raises ParseError.

    IPv4 and IPv6 only. Cached routes (which IPv6 lists where it learnt a path MTU) are left out.
    """
    routes = (_route(body, interfaces) for kind, body in messages(data) if kind == RTM_NEWROUTE)
    return tuple(route for route in routes if route is not None)


def _route(body: bytes, interfaces: dict[int, str]) -> Route | None:
    _need(body, RTMSG.size, "rtmsg")
    family, prefix, _, _, table, _, _, route_type, flags = RTMSG.unpack_from(body)
    if family not in (AF_INET, AF_INET6) or flags & RTM_F_CLONED:
        return None
    size = 4 if family == AF_INET else 16
    found = attributes(body[RTMSG.size :])
    address, gateway = found.get(RTA_DST, bytes(size)), found.get(RTA_GATEWAY)
    if len(address) != size or prefix > size * 8 or (gateway is not None and len(gateway) != size):
        raise ParseError(SOURCE, "rtmsg", f"an address of {size} bytes was expected", address.hex())
    metrics = attributes(found.get(RTA_METRICS, b""))
    interface = _u32(found.get(RTA_OIF))
    table = _u32(found.get(RTA_TABLE)) or table
    return Route(
        destination=(IPv4Network if family == AF_INET else IPv6Network)((address, prefix), strict=False),
        interface=None if interface is None else interfaces.get(interface, f"index {interface}"),
        gateway=None if gateway is None else (IPv4Address if family == AF_INET else IPv6Address)(gateway),
        metric=_u32(found.get(RTA_PRIORITY)),
        mtu=_u32(metrics.get(RTAX_MTU)),
        mtu_locked=bool((_u32(metrics.get(RTAX_LOCK)) or 0) & 1 << RTAX_MTU),
        mss_bytes=_u32(metrics.get(RTAX_ADVMSS)),
        table=RT_TABLE_NAMES.get(table, str(table)),
        type=ROUTE_TYPES.get(route_type, "unknown"),
    )


def _u32(payload: bytes | None) -> int | None:
    if payload is None:
        return None
    _need(payload, U32.size, "attribute")
    return int(U32.unpack_from(payload)[0])


def _string(payload: bytes) -> str:
    return payload.partition(b"\0")[0].decode(errors="replace")


def _need(data: bytes, size: int, where: str) -> None:
    if len(data) < size:
        raise ParseError(SOURCE, where, f"{size} bytes were expected, got {len(data)}")
