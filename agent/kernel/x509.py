"""What a certificate says, read from its DER bytes (RFC 5280; X.690). Pure. It checks no signature.

A library for this costs ten megabytes of memory; the few fields needed here have fixed places.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address

from agent.kernel.parse_error import ParseError

_SOURCE = "certificate"
_INTEGER, _BIT_STRING, _OCTET_STRING, _OID, _BMP_STRING = 0x02, 0x03, 0x04, 0x06, 0x1E
_UTC_TIME, _GENERALIZED_TIME, _SEQUENCE, _SET = 0x17, 0x18, 0x30, 0x31
_VERSION, _EXTENSIONS = 0xA0, 0xA3
_DNS_NAME, _IP_ADDRESS = 0x82, 0x87  # of GeneralName, RFC 5280, 4.2.1.6
_MOST_CHILDREN = 10_000

_SUBJECT_ALTERNATIVE_NAME = "2.5.29.17"
_ATTRIBUTES = {"2.5.4.3": "CN", "2.5.4.6": "C", "2.5.4.10": "O", "2.5.4.11": "OU"}
_RSA, _EC = {"1.2.840.113549.1.1.1": "RSA", "1.2.840.113549.1.1.10": "RSA-PSS"}, "1.2.840.10045.2.1"
_CURVE_BITS = {"1.2.840.10045.3.1.7": 256, "1.3.132.0.34": 384, "1.3.132.0.35": 521, "1.3.132.0.10": 256}
_EDWARDS = {"1.3.101.112": ("Ed25519", 256), "1.3.101.113": ("Ed448", 456)}


@dataclass(frozen=True, slots=True)
class Certificate:
    """key_type: RSA, ECDSA, Ed25519 …, or the algorithm's OID; key_bits: None where the curve is not known here.

    not_before_s, not_after_s: seconds since the epoch. issuer: its names as `CN=…, O=…`.
    """

    issuer: str
    not_before_s: int
    not_after_s: int
    key_type: str
    key_bits: int | None
    dns_names: tuple[str, ...]
    addresses: tuple[str, ...]

    def names(self, host: str) -> bool:
        """Whether it is for this host (RFC 9525, 6.3): by subject alternative name, `*` for one whole first label."""
        try:
            return str(ip_address(host)) in self.addresses
        except ValueError:
            pass
        wanted = host.rstrip(".").lower()
        rest = wanted.partition(".")[2]
        return any(
            name == wanted or (rest != "" and name == f"*.{rest}")
            for name in (name.rstrip(".").lower() for name in self.dns_names)
        )


@dataclass(frozen=True, slots=True)
class _Element:
    """One DER value: its tag, and where in data its content is."""

    data: bytes
    tag: int
    start: int
    end: int

    @property
    def content(self) -> bytes:
        return self.data[self.start : self.end]

    def children(self) -> list["_Element"]:
        return list(_elements(self.data, self.start, self.end))

    def expect(self, *tags: int) -> "_Element":
        if self.tag not in tags:
            raise _error(
                self.start, f"tag {self.tag:#x} where {' or '.join(f'{t:#x}' for t in tags)} belongs"
            )
        return self


def parse_certificate(der: bytes) -> Certificate:
    """One X.509 certificate. Raises ParseError."""
    outer = next(_elements(der, 0, len(der)), None)
    if outer is None:
        raise _error(0, "empty")
    body = _child(outer.expect(_SEQUENCE), 0).expect(_SEQUENCE)
    fields = body.children()
    if fields and fields[0].tag == _VERSION:
        del fields[0]
    if len(fields) < 6:
        raise _error(body.end, f"{len(fields)} fields where at least 6 belong")
    _serial, _signature, issuer, validity, _subject, key = fields[:6]
    key_type, key_bits = _key(key.expect(_SEQUENCE))
    dns_names, addresses = _alternative_names(fields[6:])
    return Certificate(
        issuer=_name(issuer.expect(_SEQUENCE)),
        not_before_s=_time(_child(validity.expect(_SEQUENCE), 0)),
        not_after_s=_time(_child(validity, 1)),
        key_type=key_type,
        key_bits=key_bits,
        dns_names=dns_names,
        addresses=addresses,
    )


def _elements(data: bytes, at: int, end: int) -> Iterator[_Element]:
    """The values in data[at:end], one after the other. Definite lengths only, as DER has it (X.690, 10.1)."""
    for _ in range(_MOST_CHILDREN):
        if at >= end:
            return
        if at + 2 > end:
            raise _error(at, "ends inside a value")
        tag, length, start = data[at], data[at + 1], at + 2
        if length & 0x80:
            octets = length & 0x7F
            if not 1 <= octets <= 4 or start + octets > end:
                raise _error(at, f"length of {octets} octets")
            length = int.from_bytes(data[start : start + octets], "big")
            start += octets
        if start + length > end:
            raise _error(at, f"{length} bytes where {end - start} are left")
        yield _Element(data, tag, start, start + length)
        at = start + length
    raise _error(at, f"more than {_MOST_CHILDREN} values")


def _child(element: _Element, index: int) -> _Element:
    children = element.children()
    if index >= len(children):
        raise _error(element.start, f"value {index} of {len(children)} is missing")
    return children[index]


def _oid(element: _Element) -> str:
    """Dotted (X.690, 8.19)."""
    arcs, value = [], 0
    for octet in element.expect(_OID).content:
        value = value << 7 | octet & 0x7F
        if value >> 64:
            raise _error(element.start, "an object identifier's arc above 2**64")
        if not octet & 0x80:
            arcs.append(value)
            value = 0
    if not arcs:
        raise _error(element.start, "an empty object identifier")
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


def _name(element: _Element) -> str:
    """The known attributes of a Name, as RFC 4514 writes them."""
    parts = []
    for relative in element.children():
        for attribute in relative.expect(_SET).children():
            short = _ATTRIBUTES.get(_oid(_child(attribute.expect(_SEQUENCE), 0)))
            if short is not None:
                value = _child(attribute, 1)
                encoding = "utf-16-be" if value.tag == _BMP_STRING else "utf-8"
                parts.append(f"{short}={value.content.decode(encoding, 'replace')}")
    return ", ".join(parts)


def _time(element: _Element) -> int:
    """UTCTime (years 1950 to 2049) or GeneralizedTime, both in UTC (RFC 5280, 4.1.2.5)."""
    text = element.expect(_UTC_TIME, _GENERALIZED_TIME).content.decode("ascii", "replace")
    if element.tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    digits = text[:-1]
    if not (text.endswith("Z") and len(digits) == 14 and digits.isascii() and digits.isdecimal()):
        raise _error(element.start, f"time {text!r}")
    numbers = [int(digits[:4]), *(int(digits[at : at + 2]) for at in range(4, 14, 2))]
    try:
        year, month, day, hour, minute, second = numbers
        return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp())
    except (ValueError, OverflowError):
        raise _error(element.start, f"time {text!r}") from None


def _key(element: _Element) -> tuple[str, int | None]:
    algorithm = _child(element, 0).expect(_SEQUENCE)
    oid = _oid(_child(algorithm, 0))
    if oid in _EDWARDS:
        return _EDWARDS[oid]
    if oid == _EC:
        parameters = algorithm.children()[1:]
        named = bool(parameters) and parameters[0].tag == _OID
        return "ECDSA", _CURVE_BITS.get(_oid(parameters[0])) if named else None
    if oid not in _RSA:
        return oid, None
    bits = _child(element, 1).expect(_BIT_STRING)
    key = next(_elements(bits.data, bits.start + 1, bits.end), None)
    if key is None:
        raise _error(bits.start, "an empty RSA key")
    modulus = _child(key.expect(_SEQUENCE), 0).expect(_INTEGER)
    return _RSA[oid], int.from_bytes(modulus.content, "big").bit_length()


def _alternative_names(fields: list[_Element]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names: list[str] = []
    addresses: list[str] = []
    for extension in _extensions(fields):
        if _oid(_child(extension.expect(_SEQUENCE), 0)) != _SUBJECT_ALTERNATIVE_NAME:
            continue
        value = extension.children()[-1].expect(_OCTET_STRING)
        for general in _child(value, 0).expect(_SEQUENCE).children():
            if general.tag == _DNS_NAME:
                names.append(general.content.decode("ascii", "replace"))
            elif general.tag == _IP_ADDRESS and len(general.content) in (4, 16):
                addresses.append(str(ip_address(general.content)))
    return tuple(names), tuple(addresses)


def _extensions(fields: list[_Element]) -> list[_Element]:
    holder = next((field for field in fields if field.tag == _EXTENSIONS), None)
    return [] if holder is None else _child(holder, 0).expect(_SEQUENCE).children()


def _error(at: int, reason: str) -> ParseError:
    return ParseError(_SOURCE, f"byte {at}", reason)
