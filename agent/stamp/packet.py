"""STAMP test packets as bytes (RFC 8762, 4.2 and 4.3; session identifier of RFC 8972, 3). Pure.

Sender's and reflector's packets have the same size, 44 octets, or 112 with authentication, where the last 16 are
HMAC-SHA-256 over the 96 before, cut to 128 bits (RFC 8762, 4.4). A TWAMP-Light sender's packet (RFC 5357,
appendix I) lies the same way; its shortest one that a reflector can answer without sending more is 41 octets.
"""

import hashlib
import hmac
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from agent.kernel.parse_error import ParseError

BASE_BYTES, AUTHENTICATED_BYTES = 44, 112
FEWEST_BYTES = 41  # up to and with the sender's TTL
_SIGNED_BYTES = 96

_SENDER = struct.Struct("!I8sHH28x")
_SENDER_SIGNED = struct.Struct("!I12x8sHH68x")
_REFLECTOR = struct.Struct("!I8sHH8sI8sH2xB3x")
_REFLECTOR_SIGNED = struct.Struct("!I12x8sHH4x8s8xI12x8sH6xB15x")

_NTP_MINUS_UNIX_S = 2_208_988_800  # 1900 to 1970, RFC 5905
_NTP_ERA_S = 1 << 32
_NTP = struct.Struct("!II")
_NS = 1_000_000_000
_SYNCHRONISED, _PTP = 0x8000, 0x4000  # S and Z of the error estimate
_HIGHEST_SCALE = 63
UNKNOWN_ERROR_NS = 16 * _NS
"""The kernel's own figure for a clock that nothing synchronises (NTP_PHASE_LIMIT, include/linux/timex.h)."""


@dataclass(frozen=True, slots=True)
class ErrorEstimate:
    """What a side says of its clock (RFC 4656, 4.1.2). error_ns: its bound; ptp: its stamps are PTP, not NTP."""

    synchronised: bool
    error_ns: int
    ptp: bool = False


class Request(NamedTuple):
    """A sender's packet. timestamp: its 8 octets and error its 2, both to be copied into the answer."""

    sequence: int
    timestamp: bytes
    error: int
    session: int


class Reply(NamedTuple):
    """A reflector's packet. sequence: the reflector's own count; sender_…: copied from the request it answers.

    received, sent: T2 and T3, 8 octets each in the format that `error` names. sender_ttl: as it arrived there.
    """

    sequence: int
    sent: bytes
    error: int
    session: int
    received: bytes
    sender_sequence: int
    sender_timestamp: bytes
    sender_error: int
    sender_ttl: int


def pack_request(request: Request, key: bytes | None) -> bytes:
    """44 octets, or 112 with a key."""
    layout = _SENDER if key is None else _SENDER_SIGNED
    body = layout.pack(*request)
    return body if key is None else body + _signature(key, body)


def parse_request(data: bytes, key: bytes | None) -> Request:
    """A sender's packet. Raises ParseError when it is too short or not signed with the key."""
    if key is None:
        fewest = FEWEST_BYTES
        layout, body = _SENDER, data[:BASE_BYTES].ljust(BASE_BYTES, b"\0")
    else:
        fewest = AUTHENTICATED_BYTES
        layout, body = _SENDER_SIGNED, data[:_SIGNED_BYTES]
    _check("STAMP request", data, fewest, key)
    return Request._make(layout.unpack(body))


def pack_reply(reply: Reply, key: bytes | None, request: bytes) -> bytes:
    """The reflector's packet, exactly as long as the request; what follows the base packet is copied (RFC 8972, 4)."""
    layout = _REFLECTOR if key is None else _REFLECTOR_SIGNED
    body = layout.pack(*reply)
    if key is not None:
        body += _signature(key, body)
    return body[: len(request)] + request[len(body) :]


def parse_reply(data: bytes, key: bytes | None) -> Reply:
    """A reflector's packet. Raises ParseError when it is too short or not signed with the key."""
    if key is None:
        fewest = FEWEST_BYTES
        layout, body = _REFLECTOR, data[:BASE_BYTES].ljust(BASE_BYTES, b"\0")
    else:
        fewest = AUTHENTICATED_BYTES
        layout, body = _REFLECTOR_SIGNED, data[:_SIGNED_BYTES]
    _check("STAMP reply", data, fewest, key)
    return Reply._make(layout.unpack(body))


def ntp_of(unix_ns: int) -> bytes:
    """A time as NTP's 64 bits (RFC 5905, 6), rounded to the nearest."""
    seconds, nanoseconds = divmod(unix_ns, _NS)
    fraction = ((nanoseconds << 32) + _NS // 2) // _NS
    return _NTP.pack((seconds + _NTP_MINUS_UNIX_S) % _NTP_ERA_S, fraction)


def unix_ns_of(timestamp: bytes, *, ptp: bool) -> int:
    """Nanoseconds of an NTP or truncated PTP timestamp (RFC 8186, 2), within 1 ns.

    NTP: since 1970, from 1968 to 2104. PTP: since that clock's own epoch, so only differences mean anything.
    """
    seconds, fraction = _NTP.unpack(timestamp)
    if ptp:
        return int(seconds * _NS + fraction)
    era = 0 if seconds >> 31 else _NTP_ERA_S
    return int((seconds + era - _NTP_MINUS_UNIX_S) * _NS + ((fraction * _NS + (1 << 31)) >> 32))


def pack_error(estimate: ErrorEstimate) -> int:
    """16 bits: S, Z, scale, multiplier; the error is multiplier × 2**(scale − 32) s, rounded up."""
    units = max(1, -(-(estimate.error_ns << 32) // _NS))
    scale = max(0, units.bit_length() - 8)
    multiplier = -(-units >> scale)
    if multiplier > 0xFF:
        scale, multiplier = scale + 1, -(-multiplier >> 1)
    if scale > _HIGHEST_SCALE:
        scale, multiplier = _HIGHEST_SCALE, 0xFF
    flags = (_SYNCHRONISED if estimate.synchronised else 0) | (_PTP if estimate.ptp else 0)
    return flags | scale << 8 | multiplier


@lru_cache(maxsize=64)
def error_bits_of(clock_error_ns: int | None) -> int:
    """What a clock states that can be off by so much, None while nothing synchronises it."""
    if clock_error_ns is None:
        return pack_error(ErrorEstimate(synchronised=False, error_ns=UNKNOWN_ERROR_NS))
    return pack_error(ErrorEstimate(synchronised=True, error_ns=clock_error_ns))


@lru_cache(maxsize=1024)
def parse_error_estimate(bits: int) -> ErrorEstimate:
    """The clock's own statement. A multiplier of 0 is invalid (RFC 4656, 4.1.2) and counts as not synchronised."""
    multiplier, scale = bits & 0xFF, bits >> 8 & 0x3F
    return ErrorEstimate(
        synchronised=bool(bits & _SYNCHRONISED and multiplier),
        error_ns=-(-(multiplier * _NS << scale) >> 32),
        ptp=bool(bits & _PTP),
    )


def key_of(text: str) -> bytes:
    """The key in a key file. Raises ParseError unless it is hexadecimal, of at least 16 octets."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        raise ParseError("STAMP key", "file", "hexadecimal digits were expected") from None
    if len(key) < 16:
        raise ParseError("STAMP key", "file", f"{len(key)} octets; at least 16 were expected")
    return key


def _signature(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, body, hashlib.sha256)[:16]


def _check(what: str, data: bytes, fewest: int, key: bytes | None) -> None:
    if len(data) < fewest:
        raise ParseError(what, f"byte {len(data)}", f"ends there; it has at least {fewest} octets")
    if key is not None:
        signature = data[_SIGNED_BYTES:AUTHENTICATED_BYTES]
        if not hmac.compare_digest(signature, _signature(key, data[:_SIGNED_BYTES])):
            raise ParseError(what, f"byte {_SIGNED_BYTES}", "the HMAC does not fit the key")
