import ipaddress
import struct

import pytest
from scapy.contrib.geneve import GENEVE
from scapy.layers.inet import GRE, ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.ipsec import AH
from scapy.layers.l2 import ARP, CookedLinux, CookedLinuxV2, Dot1AD, Dot1Q, Ether, Loopback
from scapy.layers.ppp import HDLC, PPP, PPPoE
from scapy.layers.vxlan import VXLAN

from agent.kernel.packet import IPV4, IPV6, LINK_LAYERS, OTHER, ipv4, ipv6, tunnel

V4 = IP(src="192.0.2.1", dst="198.51.100.2", id=77)
V6 = IPv6(src="2001:db8::1", dst="2001:db8::2")
SEGMENT = TCP(sport=1234, dport=443) / b"payload"


@pytest.mark.parametrize(
    ("link_type", "frame"),
    [
        (1, Ether()),
        (1, Ether() / Dot1Q(vlan=5)),
        (1, Ether() / Dot1AD(vlan=5) / Dot1Q(vlan=6)),
        (1, Ether() / PPPoE(sessionid=1) / PPP()),
        (0, Loopback()),
        (9, PPP()),
        (50, HDLC() / PPP()),
        (113, CookedLinux()),
        (276, CookedLinuxV2()),
        (101, None),
        (228, None),
    ],
)
@pytest.mark.parametrize("network", [V4, V6])
def test_the_network_header_is_found_behind_every_link_layer(link_type, frame, network):
    """scapy builds the frame; address, protocol and the payload's ends are where it put them."""
    if link_type == 228 and network is V6:
        link_type = 229
    packet = network / SEGMENT if frame is None else frame / network / SEGMENT
    data = bytes(packet) + bytes(6)  # Ethernet pads short frames
    family, at = LINK_LAYERS[link_type][1](data)
    assert family == (IPV4 if network is V4 else IPV6)
    transport = (ipv4 if network is V4 else ipv6)(data, at, len(data))
    assert (transport.protocol, transport.fragment) == (6, False)
    assert data[transport.at : transport.end] == bytes(packet[TCP])
    half = len(transport.addresses) // 2
    assert str(ipaddress.ip_address(transport.addresses[:half])) == network.src
    assert transport.ip_id == (77 if network is V4 else None)


def test_ipv6_extension_headers_are_walked():
    """Hop-by-hop, routing, destination and authentication headers, and an atomic fragment, lie before the segment."""
    packet = V6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrRouting(addresses=["2001:db8::9"]) / IPv6ExtHdrDestOpt()
    packet = (
        packet
        / IPv6ExtHdrFragment(offset=0, m=0)
        / AH(nh=6, payloadlen=4, icv=bytes(12), spi=1, seq=1)
        / SEGMENT
    )
    data = bytes(packet)
    transport = ipv6(data, 0, len(data))
    assert (transport.protocol, transport.fragment) == (6, False)
    assert data[transport.at : transport.end] == bytes(SEGMENT)


def test_fragments_are_told_apart_from_whole_datagrams():
    """First and later pieces alike, in both families; "don't fragment" is none."""
    for flags, offset, expected in ((0, 0, False), (2, 0, False), (1, 0, True), (0, 100, True)):
        data = bytes(IP(flags=flags, frag=offset) / ICMP())
        assert ipv4(data, 0, len(data)).fragment is expected
    for more, offset in ((1, 0), (0, 9)):
        data = bytes(V6 / IPv6ExtHdrFragment(offset=offset, m=more) / SEGMENT)
        assert ipv6(data, 0, len(data)).fragment is True


def test_a_length_of_zero_is_a_segment_not_yet_cut_up():
    """Large segments captured before the network card cut them have no length in the IP header."""
    for network in (V4, V6):
        data = bytearray(bytes(network / SEGMENT))
        data[2:4] = b"\0\0"
        data[4:6] = b"\0\0" if network is V6 else data[4:6]
        end = (ipv4 if network is V4 else ipv6)(bytes(data), 0, 9000).end
        assert end == 9000


WIREGUARD = b"\4\0\0\0" + bytes(28)


@pytest.mark.parametrize(
    ("packet", "name"),
    [
        (V4 / UDP(dport=4789) / VXLAN(vni=5) / Ether(), "vxlan"),
        (V4 / UDP(dport=8472) / VXLAN(vni=5) / Ether(), "vxlan"),
        (V4 / UDP(dport=6081) / GENEVE(vni=5) / Ether(), "geneve"),
        (V4 / UDP(dport=51820) / WIREGUARD, "wireguard"),
        (V4 / UDP(dport=5) / (b"\1\0\0\0" + bytes(144)), "wireguard"),
        (V4 / UDP(dport=5) / (b"\1\0\0\0" + bytes(100)), None),
        (V4 / UDP(dport=53) / b"\x12\x34\1\0\0\1" / bytes(30), None),
        (V4 / UDP(dport=53), None),
        (V4 / GRE() / V4, "gre"),
        (V4 / V4 / ICMP(), "ipip"),
        (V4 / V6 / SEGMENT, "sit"),
        (V4 / SEGMENT, None),
    ],
)
def test_tunnels_are_named(packet, name):
    """By protocol, port and header; other UDP is no tunnel."""
    data = bytes(packet)
    try:
        assert tunnel(data, ipv4(data, 0, len(data))) == name
    except IndexError:
        assert name is None  # too short to be any


def test_what_is_not_ip_is_said_to_be_other():
    """ARP has no IP header."""
    data = bytes(Ether() / ARP())
    assert LINK_LAYERS[1][1](data)[0] == OTHER


def test_a_short_frame_raises_only_what_the_caller_counts():
    """Every prefix of a tagged frame gives a place or an error of struct or index."""
    whole = bytes(Ether() / Dot1Q(vlan=5) / V6 / IPv6ExtHdrHopByHop() / SEGMENT)
    failures = 0
    for cut in range(len(whole)):
        try:
            _, at = LINK_LAYERS[1][1](whole[:cut])
            ipv6(whole[:cut], at, cut)
        except (struct.error, IndexError):
            failures += 1
    assert failures > 50
