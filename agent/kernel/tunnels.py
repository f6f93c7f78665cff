"""Tunnels: which interface is one, and how many bytes it adds to every packet. Pure.

Overhead is what a tunnel takes from the underlay's MTU: outer IP header and its own headers; for VXLAN and Geneve also the
inner Ethernet header, which the inner MTU does not count.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

UnderlayFamily = Literal["ipv4", "ipv6"]


class TunnelKind(StrEnum):
    """Kinds as iproute2 names them; NONE: packets go out as they are."""

    IPIP = "ipip"
    SIT = "sit"
    GRE = "gre"
    GRETAP = "gretap"
    IP6TNL = "ip6tnl"
    IP6GRE = "ip6gre"
    VXLAN = "vxlan"
    GENEVE = "geneve"
    WIREGUARD = "wireguard"
    TUN = "tun"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Overhead:
    """Bytes over an IPv4 and over an IPv6 underlay; None where the kind does not exist there."""

    kind: TunnelKind
    ipv4: int | None
    ipv6: int | None
    breakdown: str


OVERHEADS: dict[TunnelKind, Overhead] = {
    overhead.kind: overhead
    for overhead in (
        Overhead(TunnelKind.IPIP, 20, 40, "outer IP"),
        Overhead(TunnelKind.SIT, 20, None, "outer IPv4"),
        Overhead(TunnelKind.IP6TNL, None, 40, "outer IPv6 (48 with the encapsulation limit option)"),
        Overhead(TunnelKind.GRE, 24, 44, "outer IP + GRE 4 (4 more each for key, checksum, sequence)"),
        Overhead(TunnelKind.IP6GRE, None, 44, "outer IPv6 + GRE 4"),
        Overhead(TunnelKind.GRETAP, 38, 58, "outer IP + GRE 4 + inner Ethernet 14"),
        Overhead(TunnelKind.VXLAN, 50, 70, "outer IP + UDP 8 + VXLAN 8 + inner Ethernet 14"),
        Overhead(TunnelKind.GENEVE, 50, 70, "outer IP + UDP 8 + Geneve 8 + inner Ethernet 14, options extra"),
        Overhead(TunnelKind.WIREGUARD, 60, 80, "outer IP + UDP 8 + WireGuard 32"),
        Overhead(TunnelKind.NONE, 0, 0, "no encapsulation"),
    )
}

# uevent DEVTYPE and rtnetlink's kind use the same words
KINDS: dict[str, TunnelKind] = {str(kind): kind for kind in tuple(TunnelKind) if kind != "none"}
KINDS["ip6gretap"] = TunnelKind.GRETAP
# include/uapi/linux/if_arp.h: the type file of sysfs
ARPHRD_KINDS: dict[int, TunnelKind] = {
    768: TunnelKind.IPIP,
    769: TunnelKind.IP6TNL,
    776: TunnelKind.SIT,
    778: TunnelKind.GRE,
    823: TunnelKind.IP6GRE,
}
# names that a network plugin gives its devices: beginning of the name → kind; the last resort
NAME_KINDS: tuple[tuple[str, TunnelKind], ...] = (
    ("flannel-wg", TunnelKind.WIREGUARD),
    ("flannel.ipip", TunnelKind.IPIP),
    ("flannel.", TunnelKind.VXLAN),
    ("vxlan", TunnelKind.VXLAN),
    ("cilium_vxlan", TunnelKind.VXLAN),
    ("cilium_geneve", TunnelKind.GENEVE),
    ("genev", TunnelKind.GENEVE),
    ("antrea-tun", TunnelKind.GENEVE),
    ("cilium_wg", TunnelKind.WIREGUARD),
    ("wireguard", TunnelKind.WIREGUARD),
    ("wg", TunnelKind.WIREGUARD),
    ("tunl", TunnelKind.IPIP),
    ("sit", TunnelKind.SIT),
    ("gretap", TunnelKind.GRETAP),
    ("gre", TunnelKind.GRE),
    ("tun", TunnelKind.TUN),
)
# made by the kernel as soon as the module is loaded; they carry nothing while they are down
FALLBACK_DEVICES = frozenset(
    {"tunl0", "gre0", "gretap0", "erspan0", "sit0", "ip6tnl0", "ip6gre0", "ip_vti0", "ip6_vti0"}
)
INHERENT_FAMILY: dict[TunnelKind, UnderlayFamily] = {
    TunnelKind.SIT: "ipv4",
    TunnelKind.IPIP: "ipv4",
    TunnelKind.GRE: "ipv4",
    TunnelKind.IP6TNL: "ipv6",
    TunnelKind.IP6GRE: "ipv6",
}


@dataclass(frozen=True, slots=True)
class Tunnel:
    """One tunnel interface. known_by: what told its kind ("rtnetlink", "DEVTYPE", "device type", "name").

    underlay_interface, underlay_family: who carries its packets, None when that cannot be told.
    """

    interface: str
    kind: TunnelKind
    known_by: str
    mtu: int | None = None
    underlay_interface: str | None = None
    underlay_family: UnderlayFamily | None = None

    @property
    def overhead_bytes(self) -> int | None:
        """Bytes that it adds to each packet; None while the underlay's family is not known."""
        return overhead_bytes(self.kind, self.underlay_family)


def overhead_bytes(kind: TunnelKind, family: UnderlayFamily | None) -> int | None:
    """Bytes a tunnel of this kind takes from the underlay's MTU; None when kind or family do not tell."""
    overhead = OVERHEADS.get(kind)
    if overhead is None or family is None:
        return None
    return overhead.ipv4 if family == "ipv4" else overhead.ipv6


def tunnel_kind(
    interface: str, *, link_kind: str | None = None, devtype: str | None = None, arphrd: int | None = None
) -> tuple[TunnelKind, str] | None:
    """The kind of tunnel an interface is and what told it; None when it is none.

    link_kind: from rtnetlink or `ip -d link`; devtype: DEVTYPE of its uevent; arphrd: its type file. Where the kernel
    names another kind (a bridge called vxlan0), the name decides nothing.
    """
    for word, source in ((link_kind, "rtnetlink"), (devtype, "DEVTYPE")):
        if word is not None:
            return (KINDS[word], source) if word in KINDS else None
    if arphrd in ARPHRD_KINDS:
        return ARPHRD_KINDS[arphrd], "device type"
    for beginning, kind in NAME_KINDS:
        if interface.startswith(beginning):
            return kind, "name"
    return None
