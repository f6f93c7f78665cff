"""The lab's packet arithmetic, held against scapy's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP, IPOption_NOP, IPOption_RR, IPOption_Security
from scapy.layers.inet6 import IPv6
from scapy.utils import checksum as scapy_checksum

from lab.packet import checksum, flow_hash, flow_hash_of, fragment, may_fragment, pass_routers, version

A, B = "198.18.0.1", "198.18.1.1"
A6, B6 = "2001:2::1", "2001:2:0:1::1"


@given(st.binary(max_size=300))
def test_checksum_is_the_internet_checksum(data):
    """Whatever the bytes, the checksum is the one scapy computes."""
    assert checksum(data) == scapy_checksum(data)


@pytest.mark.parametrize("data", [b"", b"\0\0", b"\xff\xff", b"\xff\xff\0\0", b"\xff\xfe\0\x01"])
def test_checksum_tells_both_zeros_apart(data):
    """Sums of 0 and of 0xffff, equal modulo 65535, keep their different checksums."""
    assert checksum(data) == scapy_checksum(data)


@given(st.integers(2, 255), st.integers(0, 0xFFFF), st.integers(0, 254))
def test_routers_take_hops_and_keep_the_checksum_right(ttl, ip_id, count):
    """After n routers TTL is n less and the header still verifies."""
    count = min(count, ttl - 1)
    passed = pass_routers(bytes(IP(src=A, dst=B, ttl=ttl, id=ip_id) / UDP()), count)
    assert IP(passed).ttl == ttl - count
    assert scapy_checksum(passed[:20]) == 0


def test_routers_take_from_the_hop_limit():
    """IPv6 has no header checksum; only the hop limit changes."""
    packet = bytes(IPv6(src=A6, dst=B6, hlim=64) / UDP())
    assert pass_routers(packet, 5) == bytes(IPv6(src=A6, dst=B6, hlim=59) / UDP())


@given(st.integers(0, 3000), st.integers(68, 1500), st.integers(0, 4000))
def test_fragments_join_to_the_original(payload_bytes, mtu_bytes, first_offset):
    """Fragments fit the MTU, verify, and lie end to end over the whole payload; only the last one ends it."""
    payload = bytes(n % 251 for n in range(payload_bytes + 1))
    packet = bytes(IP(src=A, dst=B, proto=17, frag=first_offset) / payload)
    pieces = [IP(piece) for piece in fragment(packet, mtu_bytes)]
    assert all(len(piece) <= mtu_bytes and scapy_checksum(bytes(piece)[:20]) == 0 for piece in pieces)
    at = first_offset * 8
    for piece in pieces:
        assert piece.frag * 8 == at
        at += len(piece.payload)
    assert b"".join(bytes(piece.payload) for piece in pieces) == payload
    assert [bool(piece.flags.MF) for piece in pieces] == [True] * (len(pieces) - 1) + [False]


def test_a_fragment_of_a_fragment_says_more_follows():
    """Where the original said that more fragments follow, its last piece says so too."""
    pieces = fragment(bytes(IP(src=A, dst=B, flags="MF", proto=17) / bytes(1000)), 500)
    assert IP(pieces[-1]).flags.MF


def test_fragments_carry_only_the_options_marked_as_copied():
    """Record route stays in the first fragment, security goes into each (RFC 791 section 3.1)."""
    options = [IPOption_NOP(), IPOption_RR(routers=["0.0.0.0"] * 2), IPOption_Security()]
    pieces = [
        IP(piece) for piece in fragment(bytes(IP(src=A, dst=B, proto=17, options=options) / bytes(1000)), 500)
    ]
    kinds = [{option.option for option in piece.options if option.option > 1} for piece in pieces]
    assert kinds[0] == {7, 2}
    assert kinds[1:] == [{2}] * (len(pieces) - 1)
    assert all(scapy_checksum(bytes(piece)[: piece.ihl * 4]) == 0 for piece in pieces)


def test_only_ipv4_without_dont_fragment_may_be_cut():
    """DF and IPv6 forbid a router to fragment."""
    assert may_fragment(bytes(IP(src=A, dst=B)))
    assert not may_fragment(bytes(IP(src=A, dst=B, flags="DF")))
    assert not may_fragment(bytes(IPv6(src=A6, dst=B6)))


@pytest.mark.parametrize("layer", [TCP, UDP])
def test_a_test_can_foretell_a_flow(layer):
    """flow_hash_of gives what the packet itself hashes to, in both families."""
    number = 6 if layer is TCP else 17
    assert flow_hash(bytes(IP(src=A, dst=B) / layer(sport=4000, dport=53))) == flow_hash_of(
        number, A, B, 4000, 53
    )
    assert flow_hash(bytes(IPv6(src=A6, dst=B6) / layer(sport=4000, dport=53))) == flow_hash_of(
        number, A6, B6, 4000, 53
    )


def test_ports_are_part_of_a_flow_except_in_fragments():
    """Source ports spread over the legs; a fragment, which may lack ports, goes by its addresses."""
    ports = range(4000, 4400)
    legs = [flow_hash(bytes(IP(src=A, dst=B) / UDP(sport=port, dport=53))) % 4 for port in ports]
    assert all(60 <= legs.count(leg) <= 140 for leg in range(4))
    assert (
        len({flow_hash(bytes(IP(src=A, dst=B, flags="MF") / UDP(sport=port, dport=53))) for port in ports})
        == 1
    )


@given(st.binary(max_size=60))
def test_any_bytes_have_a_version_or_none(data):
    """What is too short for its header, or of another version, is None."""
    found = version(data)
    assert found in (None, 4, 6)
    assert found is None or (data[0] >> 4 == found and len(data) >= {4: 20, 6: 40}[found])
