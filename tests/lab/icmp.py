"""What a router says about a packet: ICMP (RFC 792, RFC 1812 section 4.3) and ICMPv6 (RFC 4443). Pure."""

import struct

from lab.packet import ICMP, ICMP6, IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, UDP, checksum

INITIAL_TTL = 255
_QUOTE_LIMIT_BYTES = {4: 576, 6: 1280}  # the whole error message: RFC 1812 4.3.2.3, RFC 4443 2.4 (c)
_ERROR_TYPES = frozenset({3, 4, 5, 11, 12})  # ICMP; in ICMPv6 every type below 128 is an error
_INTERNETWORK_CONTROL = 0xC0  # RFC 1812 4.3.2.5


def may_answer(packet: bytes) -> bool:
    """False where RFC 1122 3.2.2 and RFC 4443 2.4 (e) forbid an error: about errors, later fragments, groups."""
    if packet[0] >> 4 == 4:
        start = (packet[0] & 0xF) * 4
        about_error = packet[9] == ICMP and packet[start : start + 1] and packet[start] in _ERROR_TYPES
        later_fragment = (packet[6] << 8 | packet[7]) & 0x1FFF
        return not (about_error or later_fragment or is_group(packet[16:20]))
    about_error = packet[6] == ICMP6 and packet[40:41] and packet[40] < 128
    return not (about_error or is_group(packet[24:40]))


def is_group(address: bytes) -> bool:
    """Multicast, or IPv4's limited broadcast."""
    return address[0] >= 0xE0 if len(address) == 4 else address[0] == 0xFF


def time_exceeded(router: bytes, packet: bytes, ttl: int) -> bytes:
    """Type 11 code 0, or ICMPv6 type 3 code 0, from `router` to the packet's source."""
    return _error(router, packet, ttl, (11, 0) if len(router) == 4 else (3, 0), 0)


def too_big(router: bytes, packet: bytes, ttl: int, mtu_bytes: int) -> bytes:
    """Fragmentation needed with RFC 1191's next-hop MTU, or ICMPv6 packet too big."""
    return _error(router, packet, ttl, (3, 4) if len(router) == 4 else (2, 0), mtu_bytes)


def no_route(router: bytes, packet: bytes, ttl: int) -> bytes:
    """Network unreachable, or ICMPv6 no route to destination."""
    return _error(router, packet, ttl, (3, 0) if len(router) == 4 else (1, 0), 0)


def host_unreachable(router: bytes, packet: bytes, ttl: int) -> bytes:
    """Host unreachable, or ICMPv6 address unreachable."""
    return _error(router, packet, ttl, (3, 1) if len(router) == 4 else (1, 3), 0)


def router_reply(router: bytes, packet: bytes, ttl: int) -> bytes | None:
    """What a router answers to a packet for itself: an echo reply, port unreachable to UDP, else nothing."""
    if len(router) == 4:
        start, protocol, echo, reply = (packet[0] & 0xF) * 4, packet[9], 8, 0
    else:
        start, protocol, echo, reply = IPV6_HEADER_BYTES, packet[6], 128, 129
    if protocol == UDP:
        return _error(router, packet, ttl, (3, 3) if len(router) == 4 else (1, 4), 0)
    if protocol not in (ICMP, ICMP6) or len(packet) < start + 8 or packet[start] != echo:
        return None
    return _message(router, _source(packet), ttl, bytes((reply, 0)), packet[start + 4 :])


def _source(packet: bytes) -> bytes:
    return packet[12:16] if packet[0] >> 4 == 4 else packet[8:24]


def _error(router: bytes, packet: bytes, ttl: int, kind: tuple[int, int], value: int) -> bytes:
    """An error whose second word carries `value`: the MTU is its lower half in ICMP, all of it in ICMPv6."""
    headers = (IPV4_HEADER_BYTES if len(router) == 4 else IPV6_HEADER_BYTES) + 8
    quote = packet[: _QUOTE_LIMIT_BYTES[packet[0] >> 4] - headers]
    return _message(router, _source(packet), ttl, bytes(kind), struct.pack("!I", value) + quote)


def _message(source: bytes, destination: bytes, ttl: int, kind: bytes, rest: bytes) -> bytes:
    length = 4 + len(rest)
    if len(source) == 4:
        body = kind + struct.pack("!H", checksum(kind + b"\0\0" + rest)) + rest
        head = struct.pack("!BBHIBBH", 0x45, _INTERNETWORK_CONTROL, 20 + length, 0, ttl, ICMP, 0)
        total = checksum(head + source + destination)
        return head[:10] + struct.pack("!H", total) + source + destination + body
    pseudo = source + destination + struct.pack("!II", length, ICMP6)
    body = kind + struct.pack("!H", checksum(pseudo + kind + b"\0\0" + rest)) + rest
    return struct.pack("!IHBB", 0x6 << 28, length, ICMP6, ttl) + source + destination + body
