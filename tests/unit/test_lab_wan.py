"""Packets between nodes, to routers, and to nowhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6TimeExceeded, IPv6

from lab.path import CORE_ADDRESSES, Hop, Path
from lab.wan import Wan

NODES = [(f"198.18.{n}.1", f"2001:2:0:{n}::1") for n in range(3)]


@pytest.fixture
def wan() -> Wan:
    return Wan(NODES, seed=1)


def test_packets_go_to_the_node_of_their_address(wan):
    """Each address leads to its node, in both families, under that direction's settings."""
    wan.configure(0, 2, Path(delay_ms=7))
    assert [arrival[:2] for arrival in wan.forward(0, bytes(IP(dst="198.18.1.1") / UDP()), 0)] == [(0, 1)]
    assert [arrival[:2] for arrival in wan.forward(0, bytes(IPv6(dst="2001:2:0:2::1") / UDP()), 0)] == [
        (7_000_000, 2)
    ]
    assert [arrival[:2] for arrival in wan.forward(2, bytes(IP(dst="198.18.0.1") / UDP()), 0)] == [(0, 0)]


def test_one_path_does_not_disturb_anothers_dice():
    """Which packets 0 → 1 loses does not depend on traffic 0 → 2."""
    quiet, busy = Wan(NODES, seed=1), Wan(NODES, seed=1)
    for world in (quiet, busy):
        world.configure(0, 1, Path(loss=0.5))
        world.configure(0, 2, Path(loss=0.5))
    packet, other = bytes(IP(dst="198.18.1.1") / UDP()), bytes(IP(dst="198.18.2.1") / UDP())
    alone, among = [], []
    for now_ns in range(100):
        alone.append(quiet.forward(0, packet, now_ns))
        busy.forward(0, other, now_ns)
        among.append(busy.forward(0, packet, now_ns))
    assert alone == among


def test_paths_have_dice_of_their_own(wan):
    """What 0 → 1 loses, 0 → 2 does not lose too, nor 1 → 0."""
    losses = []
    for source, destination in [(0, 1), (0, 2), (1, 0)]:
        wan.configure(source, destination, Path(loss=0.5))
        packet = bytes(IP(dst=f"198.18.{destination}.1") / UDP())
        losses.append([bool(wan.forward(source, packet, now_ns)) for now_ns in range(100)])
    assert losses[0] != losses[1] != losses[2] != losses[0]


def test_no_route_is_answered(wan):
    """An address of nobody gets network unreachable / no route from the core."""
    [(_, node, message)] = wan.forward(1, bytes(IP(src="198.18.1.1", dst="203.0.113.9") / TCP()), 0)
    assert (node, IP(message).src, IP(message)[ICMP].type, IP(message)[ICMP].code) == (
        1,
        CORE_ADDRESSES[0],
        3,
        0,
    )
    [(_, node, message)] = wan.forward(1, bytes(IPv6(src="2001:2:0:1::1", dst="2001:db8::1") / TCP()), 0)
    assert (node, IPv6(message)[ICMPv6DestUnreach].code) == (1, 0)
    [(_, _, message)] = wan.forward(1, bytes(IPv6(src="2001:2:0:1::1", dst="2001:db8::1", hlim=1) / TCP()), 0)
    assert ICMPv6TimeExceeded in IPv6(message)


def test_groups_and_errors_about_nothing_are_dropped(wan):
    """Multicast is not routed; an ICMP error to nowhere is not answered."""
    assert wan.forward(0, bytes(IP(dst="224.0.0.251") / UDP()), 0) == []
    assert wan.forward(0, bytes(IPv6(dst="ff02::2") / UDP()), 0) == []
    assert wan.forward(0, bytes(IP(dst="203.0.113.9") / ICMP(type=3)), 0) == []


def test_routers_answer_ping_at_their_distance(wan):
    """The second hop of a path replies, its delay there and back, and a TTL too small for it expires before."""
    hops = tuple(Hop(addresses=(f"198.19.0.{n}", f"2001:2:0:ffff::{n}:0")) for n in (1, 2, 3))
    wan.configure(0, 1, Path(delay_ms=8, hops=hops))
    wan.configure(1, 0, Path(delay_ms=8, hops=hops))
    [(at_ns, node, message)] = wan.forward(0, bytes(IP(src="198.18.0.1", dst="198.19.0.2") / ICMP()), 0)
    assert (at_ns, node, IP(message).src, IP(message)[ICMP].type) == (8_000_000, 0, "198.19.0.2", 0)
    [(_, _, message)] = wan.forward(0, bytes(IP(src="198.18.0.1", dst="198.19.0.2", ttl=1) / ICMP()), 0)
    assert (IP(message).src, IP(message)[ICMP].type) == ("198.19.0.1", 11)
    echo = bytes(IPv6(src="2001:2::1", dst="2001:2:0:ffff::3:0") / ICMPv6EchoRequest())
    assert ICMPv6EchoReply in IPv6(wan.forward(0, echo, 0)[0][2])


@given(st.binary(max_size=80), st.sampled_from(["4", "6", ""]))
def test_any_bytes_are_forwarded_or_dropped(data, shape):
    """Raw sockets can send anything; no packet ends the emulator."""
    wan = Wan(NODES, seed=1)
    wan.configure(0, 1, Path(loss=0.1, jitter_ms=1, mtu_bytes=68, legs=2, bad_legs=(0,), bad_leg_loss=0.1))
    if shape == "4":
        data = b"\x45" + data[1:16].ljust(15, b"\0") + bytes((198, 18, 1, 1)) + data[16:]
    elif shape == "6":
        data = (
            b"\x60"
            + data[1:24].ljust(23, b"\0")
            + bytes.fromhex("20010002000000010000000000000001")
            + data[24:]
        )
    for at_ns, node, packet in wan.forward(0, data, 5):
        assert at_ns >= 5
        assert node in (0, 1)
        assert packet
