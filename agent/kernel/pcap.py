"""Packets out of a capture file: pcap and pcapng, read as a stream.

Memory is one read-ahead buffer and the interfaces of the current section, whatever the file's size. A file that
ends or breaks in mid-record gives the packets before that place, and `truncated` says where and why.
Formats: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng; magic numbers as in libpcap's sf-pcap.c.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct, unpack_from
from typing import BinaryIO, NamedTuple

from agent.kernel.parse_error import ParseError

SOURCE = "pcap"
NS = 1_000_000_000

_READ_AHEAD = 1 << 18
_MAX_RECORD = 1 << 24
"""Longest record or block believed: libpcap's own limit for a pcapng block; larger means damage."""

_PCAP_MAGIC = {  # first four bytes, read in the file's byte order: (ns per unit of the fraction, record header's bytes)
    0xA1B2C3D4: (1000, 16),
    0xA1B23C4D: (1, 16),
    0xA1B2CD34: (1000, 24),  # Kuznetzov's patch to libpcap 0.4: interface, protocol and packet type follow
}
_SECTION = 0x0A0D0D0A
_BYTE_ORDER = 0x1A2B3C4D
_INTERFACE, _PACKET, _SIMPLE_PACKET, _ENHANCED_PACKET = 1, 2, 3, 6
_IF_TSRESOL, _IF_TSOFFSET = 9, 14
_FOREIGN = {
    b"\x1f\x8b": "gzip-compressed; decompress it first",
    b"\x28\xb5\x2f\xfd": "zstd-compressed; decompress it first",
    b"snoop\0": "a snoop capture; convert it to pcap first (editcap -F pcap)",
}


class Packet(NamedTuple):
    """time_ns: since 1970 by the capturing host, None where the record has none (pcapng's simple packets).

    link_type: LINKTYPE_ number. data: as captured, perhaps cut by the snap length; wire_length: bytes on the link.
    """

    time_ns: int | None
    link_type: int
    data: bytes
    wire_length: int


@dataclass(frozen=True, slots=True)
class _Interface:
    link_type: int
    snap_length: int
    units_per_second: int
    offset_ns: int


class CaptureReader:
    """Iterating reads the stream once. Raises ParseError when it is no capture at all; see `truncated` afterwards."""

    def __init__(self, stream: BinaryIO) -> None:
        self.truncated: str | None = None
        self._stream = stream
        self._buffer = b""
        self._at = 0
        self._passed = 0  # bytes of the stream before the buffer

    def __iter__(self) -> Iterator[Packet]:
        if not self._have(4):
            raise ParseError(SOURCE, "byte 0", "empty, or too short to be a capture", self._buffer.hex())
        for order in "<>":
            (magic,) = unpack_from(order + "I", self._buffer)
            if magic in _PCAP_MAGIC:
                return self._pcap(order, *_PCAP_MAGIC[magic])
        if magic == _SECTION:
            return self._pcapng()
        foreign = [what for start, what in _FOREIGN.items() if self._buffer.startswith(start)]
        raise ParseError(
            SOURCE, "byte 0", foreign[0] if foreign else "neither pcap nor pcapng", self._buffer[:8].hex()
        )

    def _have(self, size: int) -> bool:
        """Whether size bytes stand at _at, after reading on where needed."""
        while len(self._buffer) - self._at < size:
            more = self._stream.read(max(_READ_AHEAD, size))
            if not more:
                return False
            self._passed += self._at
            self._buffer, self._at = self._buffer[self._at :] + more, 0
        return True

    def _stop(self, reason: str) -> None:
        self.truncated = f"byte {self._passed + self._at}: {reason}"

    def _pcap(self, order: str, ns_per_unit: int, header: int) -> Iterator[Packet]:
        if not self._have(24):
            raise ParseError(SOURCE, "byte 0", "cut inside the file header")
        link_type = (
            unpack_from(order + "I", self._buffer, 20)[0] & 0xFFFF
        )  # the bits above hold the FCS length
        self._at = 24
        unpack = Struct(order + "IIII").unpack_from
        while self._have(header):
            seconds, fraction, captured, wire_length = unpack(self._buffer, self._at)
            if captured > _MAX_RECORD:
                return self._stop(f"a record of {captured} bytes: damaged from here")
            if not self._have(header + captured):
                return self._stop(f"cut inside a packet of {captured} bytes")
            start = self._at + header
            self._at = start + captured
            time_ns = seconds * NS + fraction * ns_per_unit
            yield Packet(time_ns, link_type, self._buffer[start : self._at], wire_length)
        if self._at < len(self._buffer):
            self._stop("cut inside a record's header")
        return None

    def _pcapng(self) -> Iterator[Packet]:
        order = "<"
        interfaces: list[_Interface] = []
        while self._have(12):
            (kind,) = unpack_from(order + "I", self._buffer, self._at)
            if kind == _SECTION:
                order = "<" if self._buffer[self._at + 8] == _BYTE_ORDER & 0xFF else ">"
                if unpack_from(order + "I", self._buffer, self._at + 8)[0] != _BYTE_ORDER:
                    return self._stop("a section without its byte-order mark")
                interfaces = []
            (length,) = unpack_from(order + "I", self._buffer, self._at + 4)
            if length < 12 or length % 4 or length > _MAX_RECORD:
                return self._stop(f"a block of {length} bytes: damaged from here")
            if not self._have(length):
                return self._stop(f"cut inside a block of {length} bytes")
            block = self._buffer[self._at + 8 : self._at + length - 4]
            try:
                packet = _packet(kind, order, block, interfaces)
                if kind == _INTERFACE:
                    interfaces.append(_interface(order, block))
            except (IndexError, ValueError) as error:
                return self._stop(str(error))
            self._at += length
            if packet is not None:
                yield packet
        if self._at < len(self._buffer):
            self._stop("cut inside a block's header")
        return None


def _interface(order: str, block: bytes) -> _Interface:
    """An Interface Description Block (section 4.2), with its time resolution (10^-6 s unless said) and offset."""
    if len(block) < 8:
        raise ValueError("an interface description without its fields")
    link_type, _, snap_length = unpack_from(order + "HHI", block)
    units, offset, at = 1_000_000, 0, 8
    while at + 4 <= len(block):
        code, size = unpack_from(order + "HH", block, at)
        if code == 0 or at + 4 + size > len(block):
            break
        if code == _IF_TSRESOL and size == 1:
            exponent = block[at + 4]
            units = 1 << (exponent & 0x7F) if exponent & 0x80 else 10**exponent
        elif code == _IF_TSOFFSET and size == 8:
            (offset,) = unpack_from(order + "q", block, at + 4)
        at += 4 + (size + 3 & ~3)
    return _Interface(link_type, snap_length, units, offset * NS)


def _packet(kind: int, order: str, block: bytes, interfaces: list[_Interface]) -> Packet | None:
    """The packet of an Enhanced (4.3), Simple (4.4) or obsolete Packet Block; None for any other block."""
    if kind == _SIMPLE_PACKET:
        if len(block) < 4 or not interfaces:
            raise ValueError("a simple packet without its length or an interface")
        (wire_length,) = unpack_from(order + "I", block)
        snap = interfaces[0].snap_length or wire_length
        return Packet(None, interfaces[0].link_type, block[4 : 4 + min(wire_length, snap)], wire_length)
    if kind not in {_ENHANCED_PACKET, _PACKET}:
        return None
    if len(block) < 20:
        raise ValueError("a packet block without its fields")
    number, high, low, captured, wire_length = unpack_from(order + "IIIII", block)
    if kind == _PACKET:
        (number,) = unpack_from(order + "H", block)
    if number >= len(interfaces):
        raise ValueError(f"a packet of interface {number}, which was never described")
    if captured > len(block) - 20:
        raise ValueError(f"a packet of {captured} bytes in a block of {len(block)}")
    interface = interfaces[number]
    time_ns = ((high << 32 | low) * NS) // interface.units_per_second + interface.offset_ns
    return Packet(time_ns, interface.link_type, block[20 : 20 + captured], wire_length)
