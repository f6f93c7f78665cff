"""The text of `ip address`, `ip link` and their -d and -s variants (iproute2 ip/ipaddress.c print_linkinfo).

Lines that follow an interface's first one are told by their words, not by their indentation, which does not
survive being pasted into a ticket.
"""

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv6Interface, ip_interface

from agent.kernel.parse_error import ParseError
from agent.kernel.text import number, text_of

SOURCE = "ip address"
HEAD = re.compile(r"([0-9]{1,10}): ([^\s:@]\S*?)(?:@(\S+?))?: <([A-Z0-9_,-]*)>(.*)\Z")
# kinds of `ip -d link` as their own module prints them; each begins a line of its own
KINDS = frozenset(
    {
        "vxlan",
        "geneve",
        "wireguard",
        "ipip",
        "sit",
        "gre",
        "gretap",
        "ip6gre",
        "ip6gretap",
        "ip6tnl",
        "vti",
        "vti6",
        "xfrm",
        "erspan",
        "bareudp",
        "gtp",
        "veth",
        "bridge",
        "bond",
        "vlan",
        "macvlan",
        "macvtap",
        "ipvlan",
        "dummy",
        "ifb",
        "tun",
        "team",
        "vrf",
        "netkit",
        "nlmon",
        "amt",
    }
)


@dataclass(frozen=True, slots=True)
class Link:
    """One interface. peer: what follows '@' ("if17", "eth0"). kind: from -d only. details: the -d line's words."""

    index: int
    name: str
    peer: str | None
    flags: frozenset[str]
    mtu: int | None
    qdisc: str | None
    state: str | None
    kind: str | None = None
    details: tuple[str, ...] = ()
    addresses: tuple[IPv4Interface | IPv6Interface, ...] = ()


@dataclass(slots=True)
class _Open:
    """The interface whose lines are being read."""

    head: re.Match[str]
    where: str
    kind: str | None = None
    details: tuple[str, ...] = ()
    addresses: list[IPv4Interface | IPv6Interface] = field(default_factory=list)


def parse_ip_address(data: bytes) -> tuple[Link, ...]:
    """Interfaces in the order printed. Raises ParseError."""
    links: list[Link] = []
    current: _Open | None = None
    for line_number, line in enumerate(text_of(SOURCE, data).splitlines(), 1):
        where = f"line {line_number}"
        words = line.split()
        if not words:
            continue
        head = HEAD.match(line)
        if head is not None:
            if current is not None:
                links.append(_link(current))
            current = _Open(head, where)
        elif current is None:
            raise ParseError(SOURCE, where, "'N: NAME: <FLAGS> mtu ...' was expected", line)
        elif words[0] in ("inet", "inet6"):
            current.addresses.append(_address(words, where, line))
        elif words[0] in KINDS:
            current.kind, current.details = words[0], tuple(words[1:])
    if current is None:
        raise ParseError(SOURCE, "file", "no interface")
    return (*links, _link(current))


def _link(current: _Open) -> Link:
    index, name, peer, flags, rest = current.head.groups()
    words = rest.split()
    pairs = dict(zip(words[::2], words[1::2], strict=False))
    return Link(
        index=int(index),
        name=name,
        peer=peer,
        flags=frozenset(filter(None, flags.split(","))),
        mtu=number(SOURCE, current.where, pairs["mtu"]) if "mtu" in pairs else None,
        qdisc=pairs.get("qdisc"),
        state=pairs.get("state"),
        kind=current.kind,
        details=current.details,
        addresses=tuple(current.addresses),
    )


def _address(words: list[str], where: str, line: str) -> IPv4Interface | IPv6Interface:
    try:
        return ip_interface(words[1])
    except (IndexError, ValueError):
        raise ParseError(SOURCE, where, "an address with its prefix length was expected", line) from None
