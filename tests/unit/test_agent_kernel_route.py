"""Routes, with the MTU and MSS that they carry."""

from ipaddress import ip_address, ip_network

import pytest

from agent.kernel.parse_error import ParseError
from agent.kernel.route import parse_ip_route, parse_ipv6_route, parse_route
from tests.host_samples import recorded


def test_mtu_column_of_proc_is_the_mss():
    """The kernel printed 1380 for a route with advmss 1340 and MTU 1400: the column is the MSS + 40."""
    routes = {
        str(route.destination): route for route in parse_route(recorded("route_mtu_6.18.txt"), "little")
    }
    assert (routes["192.0.2.0/24"].mss_bytes, routes["192.0.2.0/24"].mtu) == (1340, None)
    default = routes["0.0.0.0/0"]
    assert (default.interface, default.gateway, default.metric) == ("veth0", ip_address("10.0.0.2"), 50)
    assert default.is_default
    assert (routes["198.51.100.0/24"].type, routes["198.51.100.0/24"].interface) == ("unreachable", None)


def test_big_endian_host():
    """A captured tree of a big-endian machine is read in its own order."""
    head = b"Iface\tDestination\n"
    (route,) = parse_route(head + b"eth0 0A000000 00000000 0001 0 0 0 FF000000 0 0 0\n", "big")
    assert route.destination == ip_network("10.0.0.0/8")


def test_ipv6_routes_of_proc():
    """Network, gateway, metric; the unreachable defaults of the local table carry nothing."""
    routes = parse_ipv6_route(recorded("ipv6_route_6.18.txt"))
    (default,) = [route for route in routes if route.is_default]
    assert (default.interface, default.gateway, default.metric) == ("eth0", ip_address("fd00::1"), 1024)


def test_text_of_ip_route():
    """mtu lock, advmss, unreachable, and the default route of either family."""
    routes = {str(route.destination): route for route in parse_ip_route(recorded("ip_route_6.18.txt"))}
    locked = routes["192.0.2.0/24"]
    assert (locked.mtu, locked.mtu_locked, locked.mss_bytes) == (1400, True, 1340)
    assert routes["198.51.100.0/24"].type == "unreachable"
    assert routes["0.0.0.0/0"].metric == 50
    six = parse_ip_route(recorded("ip_6_route_6.18.txt"), ipv6=True)
    assert (six[0].mtu, six[0].mtu_locked) == (1380, False)
    (default,) = parse_ip_route(
        b"default via fe80::1 dev eth0 proto ra onlink mtu 1450 pref medium\n", ipv6=True
    )
    assert (default.is_default, default.mtu) == (True, 1450)


def test_next_hop_of_the_other_family():
    """IPv4 over an IPv6 gateway, and the further hops of a multipath route."""
    text = b"10.0.0.0/8 via inet6 fe80::1 dev eth0\n10.2.0.0/16\n\tnexthop via 10.0.0.1 dev eth0 weight 1\n"
    over, multipath = parse_ip_route(text)
    assert (over.gateway, over.interface) == (ip_address("fe80::1"), "eth0")
    assert multipath.interface is None


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_route, b""),
        (parse_route, b"Iface\neth0 0 0\n"),
        (parse_route, b"Iface\neth0 00000000 00000000 0001 0 0 0 00FF00FF 0 0 0\n"),
        (parse_route, b"Iface\neth0 0000000g 00000000 0001 0 0 0 00000000 0 0 0\n"),
        (parse_ipv6_route, b"00 00\n"),
        (
            parse_ipv6_route,
            b"0" * 32 + b" ff " + b"0" * 32 + b" 00 " + b"0" * 32 + b" 00000000" * 4 + b" eth0\n",
        ),
        (parse_ip_route, b"unreachable\n"),
        (parse_ip_route, b"10.0.0.0/99 dev eth0\n"),
        (parse_ip_route, b"10.0.0.0/8 dev eth0 mtu many\n"),
    ],
)
def test_malformed(parse, text):
    """Wrong columns, digits, masks and networks are errors."""
    with pytest.raises(ParseError):
        parse(text)
