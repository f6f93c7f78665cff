"""rtnetlink's answers, against the tools that ask the same kernel."""

import struct

import pytest

from agent.kernel import rtnetlink as layout
from agent.kernel.ip_address import parse_ip_address
from agent.kernel.parse_error import ParseError
from agent.kernel.route import parse_ip_route
from tests.host_samples import recorded

INTERFACES = {1: "lo", 2: "veth1", 3: "veth0"}


def test_links_agree_with_ip():
    """Name, MTU, queueing discipline and kind of the same recording, read from bytes and from `ip -d link`."""
    links = layout.decode_links(recorded("rtnetlink_links_6.18.bin"))
    printed = parse_ip_address(recorded("ip_d_link_6.18.txt"))
    assert [(a.index, a.name, a.mtu, a.qdisc, a.kind) for a in links] == [
        (b.index, b.name, b.mtu, b.qdisc, b.kind) for b in printed
    ]


def test_underlay_of_tunnels():
    """VXLAN over IPv4 on veth0, VXLAN over IPv6 without a device."""
    links = {link.name: link for link in layout.decode_links(recorded("rtnetlink_links_6.18.bin"))}
    assert (links["vxlan0"].underlay_index, links["vxlan0"].underlay_family) == (3, "ipv4")
    assert (links["vxlan6"].underlay_index, links["vxlan6"].underlay_family) == (None, "ipv6")


def test_routes_agree_with_ip():
    """The main table of the same recording, with MTU, its lock and MSS."""
    routes = [
        r
        for r in layout.decode_routes(recorded("rtnetlink_routes_6.18.bin"), INTERFACES)
        if r.table == "main"
    ]

    def seen(route):
        return (
            str(route.destination),
            route.interface,
            route.gateway,
            route.mtu,
            route.mtu_locked,
            route.mss_bytes,
            route.type,
        )

    four = parse_ip_route(recorded("ip_route_6.18.txt"))
    six = parse_ip_route(recorded("ip_6_route_6.18.txt"), ipv6=True)
    assert [seen(route) for route in routes] == [seen(route) for route in (*four, *six)]


def attribute(kind, payload):
    return struct.pack("=HH", 4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def test_link_into_another_namespace():
    """A parent's index in another namespace names nothing here, although an interface of that index exists."""
    body = layout.IFINFO.pack(0, 1, 9, 0, 0) + attribute(3, b"vxlan9\0") + attribute(5, struct.pack("=I", 3))
    message = layout.HEADER.pack(16 + len(body) + 8, 16, 0, 1, 0) + body + attribute(37, struct.pack("=i", 0))
    assert layout.decode_links(message)[0].underlay_index is None


@pytest.mark.parametrize("cut", [1, 15, 17, 40])
def test_truncated_dump(cut):
    """A dump cut short anywhere within a message is an error."""
    with pytest.raises(ParseError):
        layout.decode_links(recorded("rtnetlink_links_6.18.bin")[:cut])
