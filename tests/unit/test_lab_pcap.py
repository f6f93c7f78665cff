"""The lab's capture reader, on files scapy writes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6PacketTooBig, IPv6
from scapy.layers.l2 import Ether
from scapy.utils import RawPcapWriter

from lab.capture import echo_rtts_ns, handshake_rtts_ns
from lab.pcap import read_packets

A, B = "198.18.0.1", "198.18.1.1"


@pytest.fixture
def pcap(tmp_path):
    """A function: packets with their times in ns → the bytes of a capture file."""

    def write(*packets, ethernet: bool = False) -> bytes:
        file = tmp_path / "capture.pcap"
        with RawPcapWriter(str(file), linktype=1 if ethernet else 101, nano=True) as writer:
            writer.write_header(None)
            for time_ns, packet in packets:
                seconds, nanoseconds = divmod(time_ns, 10**9)
                writer.write_packet(bytes(packet), sec=seconds, usec=nanoseconds)
        return file.read_bytes()

    return write


def test_tcp_fields_are_read(pcap):
    """Time to the nanosecond, ends, flags, numbers, TTL, id, length, payload."""
    sent = IP(src=A, dst=B, ttl=61, id=99) / TCP(sport=4000, dport=443, seq=7, ack=8, flags="PA") / b"hello"
    [packet] = read_packets(pcap((1_700_000_000_123_456_789, sent)))
    assert packet.time_ns == 1_700_000_000_123_456_789
    assert (packet.source, packet.source_port, packet.destination, packet.destination_port) == (
        A,
        4000,
        B,
        443,
    )
    assert (packet.protocol, packet.flags, packet.seq, packet.ack) == ("tcp", "PA", 7, 8)
    assert (packet.ttl, packet.ip_id, packet.length_bytes, packet.payload) == (61, 99, 45, b"hello")
    assert packet.icmp_type is None


def test_icmp_fields_are_read(pcap):
    """Echo ids and sequences and the MTU of too-big messages, in both families, also over Ethernet."""
    frames = [
        Ether() / IP(src=A, dst=B) / ICMP(id=5, seq=6),
        Ether() / IP(src=A, dst=B) / ICMP(type=3, code=4, nexthopmtu=1400),
        Ether() / IPv6() / ICMPv6EchoRequest(id=7, seq=8),
        Ether() / IPv6() / ICMPv6PacketTooBig(mtu=1300),
    ]
    packets = read_packets(pcap(*enumerate(frames), ethernet=True))
    assert [(p.protocol, p.icmp_type, p.icmp_id, p.icmp_seq, p.mtu_bytes) for p in packets] == [
        ("icmp", 8, 5, 6, None),
        ("icmp", 3, None, None, 1400),
        ("icmp6", 128, 7, 8, None),
        ("icmp6", 2, None, None, 1300),
    ]


def test_a_later_fragment_shows_no_ports(pcap):
    """Its payload is not taken for a header."""
    [packet] = read_packets(pcap((0, IP(src=A, dst=B, proto=17, frag=100) / (b"\x12\x34" * 20))))
    assert (packet.protocol, packet.source_port) == ("udp", None)


def test_a_file_still_being_written_gives_what_is_whole(pcap):
    """Cut anywhere, the packets before the cut are read."""
    data = pcap((1, IP() / UDP()), (2, IP() / UDP()))
    whole = [len(read_packets(data[:cut])) for cut in range(len(data) + 1)]
    assert whole == sorted(whole)
    assert set(whole) == {0, 1, 2}


def test_another_file_is_refused():
    """A file of another kind is an error and not an empty capture."""
    with pytest.raises(ValueError, match="not a capture"):
        read_packets(b"\x0a\x0d\x0d\x0a" + bytes(60))


@given(st.binary(max_size=120))
def test_any_captured_bytes_are_read_or_left_out(data):
    """Packets cut by the snap length, or malformed, never end the reading."""
    head = bytes.fromhex("4d3cb2a1 0200 0400 00000000 00000000 00000400 65000000")
    assert len(read_packets(head + bytes(8) + len(data).to_bytes(4, "little") * 2 + data)) <= 1


def test_handshakes_are_paired_by_port_and_sequence(pcap):
    """A port used twice gives two round trips; a retransmitted SYN and others' handshakes give none."""
    forth, back = {"src": A, "dst": B}, {"src": B, "dst": A}
    packets = [
        (100, IP(**forth) / TCP(sport=4000, dport=443, flags="S", seq=1)),
        (150, IP(**back) / TCP(sport=443, dport=4000, flags="SA", seq=9, ack=2)),
        (200, IP(**forth) / TCP(sport=4000, dport=443, flags="S", seq=2**32 - 1)),
        (270, IP(**back) / TCP(sport=443, dport=4000, flags="RA", ack=0)),
        (300, IP(**forth) / TCP(sport=4001, dport=443, flags="S", seq=5)),
        (400, IP(**forth) / TCP(sport=4001, dport=443, flags="S", seq=5)),
        (450, IP(**back) / TCP(sport=443, dport=4001, flags="SA", ack=6)),
        (500, IP(**back) / TCP(sport=5000, dport=10981, flags="S", seq=70)),
        (501, IP(**forth) / TCP(sport=10981, dport=5000, flags="SA", ack=71)),
    ]
    assert handshake_rtts_ns(read_packets(pcap(*packets)), A) == {(4000, 1): 50, (4000, 2**32 - 1): 70}


def test_echoes_are_paired_by_id_and_sequence(pcap):
    """The first answer counts; an unanswered one is absent, and so is what others asked of this node."""
    packets = [
        (10, IP(src=A, dst=B) / ICMP(type=8, id=1, seq=1)),
        (15, IP(src=A, dst=B) / ICMP(type=8, id=1, seq=2)),
        (40, IP(src=B, dst=A) / ICMP(type=0, id=1, seq=1)),
        (41, IP(src=B, dst=A) / ICMP(type=0, id=1, seq=1)),
        (50, IP(src=B, dst=A) / ICMP(type=8, id=1, seq=3)),
        (51, IP(src=A, dst=B) / ICMP(type=0, id=1, seq=3)),
    ]
    assert echo_rtts_ns(read_packets(pcap(*packets)), A) == {(B, 1, 1): 30}
