"""Routes: /proc/net/route, /proc/net/ipv6_route, and the text of `ip route`.

The column headed MTU in /proc/net/route is none: the kernel prints the route's advertised MSS + 40 there, or 0
(net/ipv4/fib_trie.c fib_route_seq_show). A route's MTU is told only by netlink and `ip route`.
"""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from sys import byteorder

from agent.kernel.parse_error import ParseError
from agent.kernel.text import number, text_of

SOURCE = "proc/net/route"
IPV6_SOURCE = "proc/net/ipv6_route"
TEXT_SOURCE = "ip route"
RTF_UP, RTF_REJECT = 0x0001, 0x0200  # include/uapi/linux/route.h
TCP_IP_HEADERS_BYTES = 40
ROUTE_TYPES = frozenset(
    {
        "unicast",
        "local",
        "broadcast",
        "multicast",
        "throw",
        "unreachable",
        "prohibit",
        "blackhole",
        "nat",
        "anycast",
    }
)
VALUELESS = frozenset(
    {"onlink", "pervasive", "linkdown", "dead", "rt_offload", "rt_trap", "offload", "notify"}
)


@dataclass(frozen=True, slots=True)
class Route:
    """One route. destination: a /0 network for the default route. interface None: several next hops or none.

    mtu, mss_bytes: set on this route, None when not or when the source cannot tell; mtu_locked: path MTU
    discovery may not lower it.
    """

    destination: IPv4Network | IPv6Network
    interface: str | None
    gateway: IPv4Address | IPv6Address | None = None
    metric: int | None = None
    mtu: int | None = None
    mtu_locked: bool = False
    mss_bytes: int | None = None
    table: str | None = None
    type: str = "unicast"

    @property
    def is_default(self) -> bool:
        """Whether this is a default route that carries packets."""
        return self.destination.prefixlen == 0 and self.type == "unicast"


def parse_route(data: bytes, order: str = byteorder) -> tuple[Route, ...]:
    """/proc/net/route: IPv4 routes of the main table. `order` is the byte order of the host it came from.

    Raises ParseError.
    """
    lines = text_of(SOURCE, data).splitlines()
    if not lines or not lines[0].startswith("Iface"):
        raise ParseError(
            SOURCE, "line 1", "the heading 'Iface Destination ...' was expected", lines[0] if lines else ""
        )
    routes = []
    for line_number, line in enumerate(lines[1:], 2):
        words = line.split()
        where = f"line {line_number}"
        if len(words) != 11:
            raise ParseError(SOURCE, where, "eleven columns were expected", line)
        flags = _hexadecimal(SOURCE, words[3], 4, where)
        if not flags & RTF_UP:
            continue
        destination, gateway, mask = (_ipv4(words[at], where, order) for at in (1, 2, 7))
        mss_and_headers = number(SOURCE, where, words[8])
        try:
            network = IPv4Network(f"{destination}/{mask}", strict=False)
        except ValueError:
            raise ParseError(SOURCE, where, "the mask has holes", words[7]) from None
        routes.append(
            Route(
                destination=network,
                interface=None if words[0] == "*" else words[0],
                gateway=gateway if int(gateway) else None,
                metric=number(SOURCE, where, words[6]),
                mss_bytes=mss_and_headers - TCP_IP_HEADERS_BYTES if mss_and_headers else None,
                type="unreachable" if flags & RTF_REJECT else "unicast",
            )
        )
    return tuple(routes)


def parse_ipv6_route(data: bytes) -> tuple[Route, ...]:
    """/proc/net/ipv6_route: IPv6 routes of all tables, without their MTU. Raises ParseError."""
    routes = []
    for line_number, line in enumerate(text_of(IPV6_SOURCE, data).splitlines(), 1):
        words = line.split()
        where = f"line {line_number}"
        if len(words) != 10:
            raise ParseError(IPV6_SOURCE, where, "ten columns were expected", line)
        address = _hexadecimal(IPV6_SOURCE, words[0], 32, where)
        prefix = _hexadecimal(IPV6_SOURCE, words[1], 2, where)
        gateway = _hexadecimal(IPV6_SOURCE, words[4], 32, where)
        metric = _hexadecimal(IPV6_SOURCE, words[5], 8, where)
        flags = _hexadecimal(IPV6_SOURCE, words[8], 8, where)
        if prefix > 128:
            raise ParseError(IPV6_SOURCE, where, "a prefix length is at most 128", words[1])
        if flags & RTF_UP or flags & RTF_REJECT:
            routes.append(
                Route(
                    destination=IPv6Network((address, prefix), strict=False),
                    interface=words[9],
                    gateway=IPv6Address(gateway) if gateway else None,
                    metric=metric,
                    type="unreachable" if flags & RTF_REJECT else "unicast",
                )
            )
    return tuple(routes)


def parse_ip_route(data: bytes, *, ipv6: bool = False) -> tuple[Route, ...]:
    """The text of `ip route`, or of `ip -6 route` (ipv6 says what "default" means). Raises ParseError."""
    routes = []
    for line_number, line in enumerate(text_of(TEXT_SOURCE, data).splitlines(), 1):
        words = line.split()
        if not words or words[0] == "nexthop":  # the further hops of a multipath route
            continue
        routes.append(_text_route(words, f"line {line_number}", ipv6=ipv6))
    return tuple(routes)


def _text_route(words: list[str], where: str, *, ipv6: bool) -> Route:
    kind = words[0] if words[0] in ROUTE_TYPES else "unicast"
    rest = words[1:] if words[0] in ROUTE_TYPES else words
    if not rest:
        raise ParseError(TEXT_SOURCE, where, "a destination was expected", " ".join(words))
    attributes, locked = _attributes(rest[1:])
    default = "::/0" if ipv6 else "0.0.0.0/0"
    gateway = attributes.get("via")
    try:
        return Route(
            destination=ip_network(default if rest[0] == "default" else rest[0], strict=False),
            interface=attributes.get("dev"),
            gateway=ip_address(gateway) if gateway else None,
            metric=_optional(attributes, "metric", where),
            mtu=_optional(attributes, "mtu", where),
            mtu_locked="mtu" in locked,
            mss_bytes=_optional(attributes, "advmss", where),
            table=attributes.get("table"),
            type=kind,
        )
    except ParseError:
        raise
    except ValueError:
        raise ParseError(
            TEXT_SOURCE, where, "a network and addresses were expected", " ".join(words)
        ) from None


def _attributes(words: list[str]) -> tuple[dict[str, str], set[str]]:
    """Name → value of "via A dev B mtu lock 1400 onlink", and the names that are locked."""
    attributes: dict[str, str] = {}
    locked: set[str] = set()
    at = 0
    while at < len(words):
        name, value = words[at], words[at + 1 : at + 2]
        if name in VALUELESS or not value:
            at += 1
            continue
        if value[0] == "lock" or (name == "via" and value[0] in ("inet", "inet6")):
            locked.add(name)
            value = words[at + 2 : at + 3]
            at += 1
        attributes[name] = "".join(value)
        at += 2
    return attributes, locked


def _optional(attributes: dict[str, str], name: str, where: str) -> int | None:
    return number(TEXT_SOURCE, where, attributes[name]) if name in attributes else None


def _ipv4(word: str, where: str, order: str) -> IPv4Address:
    value = _hexadecimal(SOURCE, word, 8, where)
    return IPv4Address(struct.pack("<I" if order == "little" else ">I", value))


def _hexadecimal(source: str, word: str, digits: int, where: str) -> int:
    if len(word) != digits or not all(character in "0123456789abcdefABCDEF" for character in word):
        raise ParseError(source, where, f"{digits} hexadecimal digits were expected", word)
    return int(word, 16)
