"""IPv4 and IPv6 packets as bytes: checksum, hop count, flow, fragments. Pure.

Layouts: RFC 791 section 3.1 (IPv4), RFC 8200 section 3 (IPv6).
"""

import ipaddress
import struct
import zlib

ICMP, TCP, UDP, ICMP6 = 1, 6, 17, 58

IPV4_HEADER_BYTES = 20
IPV6_HEADER_BYTES = 40
_DONT_FRAGMENT = 0x4000
_MORE_FRAGMENTS = 0x2000
_OFFSET_MASK = 0x1FFF


def checksum(data: bytes) -> int:
    """RFC 1071's Internet checksum.

    The one's complement sum of 16-bit words is the number they spell modulo 65535, which leaves the loop to
    the interpreter's big integers; only 0 and 65535, equal modulo 65535, need telling apart.
    """
    if len(data) % 2:
        data += b"\0"
    number = int.from_bytes(data, "big")
    if number == 0:
        return 0xFFFF
    return 0xFFFF - (number % 0xFFFF or 0xFFFF)


def version(packet: bytes) -> int | None:
    """4 or 6; None for bytes too short to have that version's header, or of no known version."""
    if len(packet) >= IPV4_HEADER_BYTES and packet[0] >> 4 == 4 and packet[0] & 0xF >= 5:
        return 4
    if len(packet) >= IPV6_HEADER_BYTES and packet[0] >> 4 == 6:
        return 6
    return None


def hops_left(packet: bytes) -> int:
    """IPv4's time to live or IPv6's hop limit."""
    return packet[8] if packet[0] >> 4 == 4 else packet[7]


def pass_routers(packet: bytes, count: int) -> bytes:
    """The packet after `count` routers took one hop each, IPv4's checksum updated by RFC 1624's arithmetic."""
    if count == 0:
        return packet
    changed = bytearray(packet)
    if packet[0] >> 4 == 6:
        changed[7] -= count
        return bytes(changed)
    changed[8] -= count
    total = (packet[10] << 8 | packet[11]) + (count << 8)
    total = (total & 0xFFFF) + (total >> 16)
    changed[10] = total >> 8
    changed[11] = total & 0xFF
    return bytes(changed)


def flow_hash(packet: bytes) -> int:
    """What an equal-cost router hashes: protocol, addresses and, for unfragmented TCP and UDP, both ports."""
    if packet[0] >> 4 == 4:
        protocol = packet[9]
        start = (packet[0] & 0xF) * 4
        whole = not (packet[6] << 8 | packet[7]) & (_OFFSET_MASK | _MORE_FRAGMENTS)
        ports = packet[start : start + 4] if whole and protocol in (TCP, UDP) else b""
        return zlib.crc32(packet[12:20] + ports, protocol)
    protocol = packet[6]
    return zlib.crc32(packet[8 : 44 if protocol in (TCP, UDP) else 40], protocol)


def flow_hash_of(
    protocol: int, source: str, destination: str, source_port: int, destination_port: int
) -> int:
    """flow_hash of a TCP or UDP packet with these ends, so that a test can choose its ports."""
    ends = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
    return zlib.crc32(ends + struct.pack("!HH", source_port, destination_port), protocol)


def may_fragment(packet: bytes) -> bool:
    """Only an IPv4 packet without Don't Fragment may be cut by a router."""
    return packet[0] >> 4 == 4 and not (packet[6] << 8) & _DONT_FRAGMENT


def fragment(packet: bytes, mtu_bytes: int) -> list[bytes]:
    """RFC 791's fragmentation of an IPv4 packet, which may itself be a fragment."""
    header_bytes = (packet[0] & 0xF) * 4
    payload = packet[header_bytes:]
    word = packet[6] << 8 | packet[7]
    first_offset, more_after = word & _OFFSET_MASK, word & _MORE_FRAGMENTS
    options = packet[IPV4_HEADER_BYTES:header_bytes]
    copied = _copied_options(options)
    pieces = []
    position = 0
    while position < len(payload):
        kept = options if position == 0 else copied
        room = (mtu_bytes - IPV4_HEADER_BYTES - len(kept)) // 8 * 8
        last = position + room >= len(payload)
        flags = more_after if last else _MORE_FRAGMENTS
        offset = first_offset + position // 8
        pieces.append(_piece(packet, kept, flags | offset, payload[position : position + room]))
        position += room
    return pieces


def _piece(packet: bytes, options: bytes, flags_and_offset: int, payload: bytes) -> bytes:
    header = bytearray(packet[:IPV4_HEADER_BYTES] + options)
    header[0] = 0x40 | len(header) // 4
    struct.pack_into("!H", header, 2, len(header) + len(payload))
    struct.pack_into("!H", header, 6, flags_and_offset)
    struct.pack_into("!H", header, 10, 0)
    struct.pack_into("!H", header, 10, checksum(bytes(header)))
    return bytes(header) + payload


def _copied_options(options: bytes) -> bytes:
    """The options whose copied flag (the type's highest bit) is set, padded to whole words."""
    kept = b""
    at = 0
    while at < len(options) and options[at] != 0:
        if options[at] == 1:
            at += 1
            continue
        length = max(options[at + 1], 2) if at + 1 < len(options) else 1
        if options[at] & 0x80:
            kept += options[at : at + length]
        at += length
    return kept + b"\0" * (-len(kept) % 4)
