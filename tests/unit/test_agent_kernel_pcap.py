import gzip
import io
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.kernel.parse_error import ParseError
from agent.kernel.pcap import CaptureReader, Packet

FIXTURES = Path(__file__).parents[1] / "fixtures" / "pcap"
FRAMES = [b"first frame", b"second", b""]


def pcap(order: str, magic: int, link: int = 1, extra: bytes = b"") -> bytes:
    parts = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)]
    for number, frame in enumerate(FRAMES):
        parts.append(
            struct.pack(order + "IIII", 1_700_000_000 + number, 123_456, len(frame), len(frame) + 5)
            + extra
            + frame
        )
    return b"".join(parts)


def block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)


def section(order: str) -> bytes:
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface(order: str, link: int, options: bytes = b"", snap: int = 0) -> bytes:
    return block(order, 1, struct.pack(order + "HHI", link, 0, snap) + options)


def enhanced(order: str, number: int, stamp: int, frame: bytes) -> bytes:
    numbers = (number, stamp >> 32, stamp & 0xFFFFFFFF, len(frame), len(frame) + 5)
    return block(order, 6, struct.pack(order + "IIIII", *numbers) + frame)


def read(data: bytes) -> tuple[list[Packet], str | None]:
    reader = CaptureReader(io.BytesIO(data))
    return list(reader), reader.truncated


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("magic", "unit", "extra"), [(0xA1B2C3D4, 1000, b""), (0xA1B23C4D, 1, b""), (0xA1B2CD34, 1000, bytes(8))]
)
def test_every_pcap_magic_in_both_byte_orders(order, magic, unit, extra):
    """µs, ns and the patched format give the same packets, with the fraction in its own unit."""
    packets, truncated = read(pcap(order, magic, extra=extra))
    assert truncated is None
    assert [packet.data for packet in packets] == FRAMES
    assert packets[1] == Packet(1_700_000_001 * 10**9 + 123_456 * unit, 1, b"second", 11)


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng_times_follow_each_interface(order):
    """Decimal and binary resolution, an offset, and several interfaces of different link types."""
    nano = struct.pack(order + "HHB3x", 9, 1, 9)
    binary = struct.pack(order + "HHB3x", 9, 1, 0x80 | 10)
    shifted = struct.pack(order + "HHq", 14, 8, 100)
    data = (
        section(order)
        + interface(order, 1)
        + interface(order, 101, nano + shifted)
        + interface(order, 113, binary)
    )
    data += (
        enhanced(order, 0, 5_000_001, b"a") + enhanced(order, 1, 7, b"bb") + enhanced(order, 2, 512, b"ccc")
    )
    packets, truncated = read(data)
    assert truncated is None
    assert packets == [
        Packet(5_000_001_000, 1, b"a", 6),
        Packet(100 * 10**9 + 7, 101, b"bb", 7),
        Packet(500_000_000, 113, b"ccc", 8),
    ]


def test_pcapng_simple_and_obsolete_packets():
    """A simple packet has no time, which is None; an obsolete one is read as the enhanced one that replaced it."""
    obsolete = block("<", 2, struct.pack("<HHIIII", 0, 9, 0, 1_000_000, 3, 8) + b"old")
    simple = block("<", 3, struct.pack("<I", 100) + b"simp")
    unknown = block("<", 0xBAD, b"skip me")
    packets, truncated = read(section("<") + interface("<", 1, snap=4) + simple + unknown + obsolete)
    assert truncated is None
    assert packets == [Packet(None, 1, b"simp", 100), Packet(10**9, 1, b"old", 8)]


def test_a_second_section_has_its_own_byte_order_and_interfaces():
    """Two pcapng files one after the other are one capture."""
    data = b"".join(section(order) + interface(order, 101) + enhanced(order, 0, 9, b"x") for order in "<>")
    packets, truncated = read(data)
    assert (len(packets), truncated) == (2, None)
    assert packets[0] == packets[1]
    packets, truncated = read(data + section("<") + enhanced("<", 0, 9, b"x"))
    assert len(packets) == 2
    assert truncated is not None
    assert "never described" in truncated


@pytest.mark.parametrize(
    "whole",
    [
        pcap("<", 0xA1B2C3D4),
        section("<") + interface("<", 1) + b"".join(enhanced("<", 0, n, f) for n, f in enumerate(FRAMES)),
    ],
    ids=["pcap", "pcapng"],
)
def test_a_cut_file_gives_what_was_before_the_cut_and_says_so(whole):
    """Cut at every byte: a prefix of the packets, and `truncated` unless the cut falls between records."""
    packets, _ = read(whole)
    clean = 0
    for cut in range(24 if whole[:1] != b"\x0a" else 28, len(whole)):
        before, truncated = read(whole[:cut])
        assert before == packets[: len(before)]
        clean += truncated is None
    assert clean <= len(packets) + 1


def test_damage_in_the_middle_stops_the_reading_there():
    """A record length that no capture has is named with its place; what came before stands."""
    data = bytearray(pcap("<", 0xA1B2C3D4))
    struct.pack_into("<I", data, 24 + 16 + len(FRAMES[0]) + 8, 1 << 30)
    packets, truncated = read(bytes(data))
    assert len(packets) == 1
    assert truncated == "byte 51: a record of 1073741824 bytes: damaged from here"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\xd4\xc3\xb2", "empty, or too short"),
        (b"\xd4\xc3\xb2\xa1\x02\x00", "cut inside the file header"),
        (gzip.compress(b"x"), "gzip-compressed; decompress it first"),
        (b"snoop\0\0\0", "a snoop capture"),
        (b"GET / HTTP/1.1", "neither pcap nor pcapng"),
    ],
)
def test_what_is_no_capture_is_refused_by_name(data, reason):
    """The reason says what it is where that can be told."""
    with pytest.raises(ParseError, match=reason):
        read(data)


def test_a_stream_that_gives_a_byte_at_a_time_reads_the_same():
    """Pipes return less than asked for."""

    class Drip(io.BytesIO):
        def read(self, _size=-1, /):
            return super().read(1)

    data = (FIXTURES / "lo_v6_nano.pcap").read_bytes()
    assert list(CaptureReader(Drip(data))) == read(data)[0]
    assert len(read(data)[0]) == 17


@given(
    st.binary(max_size=200),
    st.sampled_from([b"", pcap("<", 0xA1B2C3D4)[:24], section("<"), section(">") + interface(">", 1)]),
)
def test_any_bytes_give_packets_or_a_parse_error(data, start):
    """No input makes another exception."""
    try:
        packets, _ = read(start + data)
    except ParseError:
        return
    assert sum(len(packet.data) for packet in packets) <= len(start + data)
