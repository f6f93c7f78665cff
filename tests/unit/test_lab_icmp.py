"""What the lab's routers say, dissected by scapy."""

from ipaddress import ip_address

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPerror, UDPerror
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPerror6,
    IPv6,
)
from scapy.utils import checksum as scapy_checksum

from lab import icmp
from lab.path import CORE_ADDRESSES

A, B = "198.18.0.1", "198.18.1.1"
A6, B6 = "2001:2::1", "2001:2:0:1::1"
ROUTER, ROUTER6 = (ip_address(text).packed for text in CORE_ADDRESSES)


def verified(message: bytes):
    """The message as scapy reads it, once its checksums are proven and its length is what it says."""
    if message[0] >> 4 == 4:
        assert scapy_checksum(message[:20]) == scapy_checksum(message[20:]) == 0
        assert IP(message).len == len(message)
        return IP(message)
    pseudo = message[8:40] + (len(message) - 40).to_bytes(4, "big") + b"\0\0\0\x3a"
    assert scapy_checksum(pseudo + message[40:]) == 0
    assert IPv6(message).plen == len(message) - 40
    return IPv6(message)


def test_time_exceeded_quotes_the_packet():
    """Type 11 from the router to the source, quoting header and ports, so that a traceroute can match it."""
    packet = bytes(IP(src=A, dst=B, ttl=1, id=77) / UDP(sport=40000, dport=33434) / (b"x" * 40))
    answer = verified(icmp.time_exceeded(ROUTER, packet, 250))
    assert (answer.src, answer.dst, answer.ttl) == (CORE_ADDRESSES[0], A, 250)
    assert (answer[ICMP].type, answer[ICMP].code) == (11, 0)
    assert (answer[IPerror].id, answer[UDPerror].sport, answer[UDPerror].dport) == (77, 40000, 33434)


def test_time_exceeded_in_ipv6():
    """ICMPv6 type 3 code 0 with the whole small packet quoted."""
    packet = bytes(IPv6(src=A6, dst=B6, hlim=1) / UDP(sport=40000, dport=33434))
    answer = verified(icmp.time_exceeded(ROUTER6, packet, 255))
    assert (answer.src, answer.dst, answer[ICMPv6TimeExceeded].code) == (CORE_ADDRESSES[1], A6, 0)
    assert bytes(answer[IPerror6]) == packet


def test_too_big_names_the_mtu():
    """Frag-needed has it as next-hop MTU (RFC 1191), packet-too-big in its 32-bit field."""
    answer = verified(
        icmp.too_big(ROUTER, bytes(IP(src=A, dst=B, flags="DF") / TCP() / bytes(1460)), 255, 1400)
    )
    assert (answer[ICMP].type, answer[ICMP].code, answer[ICMP].nexthopmtu) == (3, 4, 1400)
    answer = verified(icmp.too_big(ROUTER6, bytes(IPv6(src=A6, dst=B6) / TCP() / bytes(1440)), 255, 1300))
    assert answer[ICMPv6PacketTooBig].mtu == 1300


@pytest.mark.parametrize(
    ("packet", "router", "limit"),
    [
        (bytes(IP(src=A, dst=B) / UDP() / bytes(1400)), ROUTER, 576),
        (bytes(IPv6(src=A6, dst=B6) / UDP() / bytes(1400)), ROUTER6, 1280),
    ],
)
def test_errors_stay_below_the_size_every_path_takes(packet, router, limit):
    """A long packet is quoted only so far that the message is 576 (IPv4) or 1280 bytes (IPv6)."""
    assert len(icmp.time_exceeded(router, packet, 255)) == limit


def test_unreachables_have_their_codes():
    """No route and host unreachable are told apart in both families."""
    packet, packet6 = bytes(IP(src=A, dst=B) / TCP()), bytes(IPv6(src=A6, dst=B6) / TCP())
    assert verified(icmp.no_route(ROUTER, packet, 255))[ICMP].code == 0
    assert verified(icmp.host_unreachable(ROUTER, packet, 255))[ICMP].code == 1
    assert verified(icmp.no_route(ROUTER6, packet6, 255))[ICMPv6DestUnreach].code == 0
    assert verified(icmp.host_unreachable(ROUTER6, packet6, 255))[ICMPv6DestUnreach].code == 3


def test_a_router_answers_ping():
    """Id, sequence and data come back."""
    reply = verified(icmp.router_reply(ROUTER, bytes(IP(src=A, dst=B) / ICMP(id=5, seq=6) / b"data"), 255))
    assert (reply[ICMP].type, reply[ICMP].id, reply[ICMP].seq, reply[ICMP].load) == (0, 5, 6, b"data")
    echo = bytes(IPv6(src=A6, dst=B6) / ICMPv6EchoRequest(id=5, seq=6, data=b"data"))
    reply = verified(icmp.router_reply(ROUTER6, echo, 255))
    assert (reply[ICMPv6EchoReply].id, reply[ICMPv6EchoReply].seq, reply[ICMPv6EchoReply].data) == (
        5,
        6,
        b"data",
    )


def test_a_router_has_no_open_port():
    """UDP to a router's own address gets port unreachable, TCP gets nothing."""
    assert verified(icmp.router_reply(ROUTER, bytes(IP(src=A, dst=B) / UDP()), 255))[ICMP].code == 3
    assert (
        verified(icmp.router_reply(ROUTER6, bytes(IPv6(src=A6, dst=B6) / UDP()), 255))[ICMPv6DestUnreach].code
        == 4
    )
    assert icmp.router_reply(ROUTER, bytes(IP(src=A, dst=B) / TCP()), 255) is None


@pytest.mark.parametrize(
    "packet",
    [
        IP(src=A, dst=B) / ICMP(type=11) / IP(src=B, dst=A),
        IP(src=A, dst=B) / ICMP(type=3),
        IP(src=A, dst=B, frag=10, proto=17) / b"later",
        IP(src=A, dst="224.0.0.251") / UDP(),
        IP(src=A, dst="255.255.255.255") / UDP(),
        IPv6(src=A6, dst=B6) / ICMPv6TimeExceeded() / IPv6(src=B6, dst=A6),
        IPv6(src=A6, dst="ff02::2") / UDP(),
    ],
)
def test_no_error_where_the_standards_forbid_it(packet):
    """Errors about errors, later fragments and group addresses would make storms."""
    assert not icmp.may_answer(bytes(packet))


@pytest.mark.parametrize(
    "packet",
    [
        IP(src=A, dst=B) / ICMP(),
        IP(src=A, dst=B) / TCP(),
        IPv6(src=A6, dst=B6) / ICMPv6EchoRequest(),
        IPv6(dst=B6) / UDP(),
    ],
)
def test_errors_about_ordinary_packets_are_allowed(packet):
    """Echo requests, TCP and UDP may be answered about."""
    assert icmp.may_answer(bytes(packet))
