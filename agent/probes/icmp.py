"""ICMP echo round trip, stamped by the kernel as request and reply leave and arrive: for targets without an agent.

Needs net.ipv4.ping_group_range to include a group of ours, or CAP_NET_RAW. Pairing is by a number in the data,
as sequence numbers have 16 bits and come back.
"""

import random
import struct
from typing import TYPE_CHECKING, Any

import msgspec

from agent.flight import LATE_HELP, Book, Flight, Judgement, Volley, fly
from agent.kernel.parse_error import ParseError
from agent.net.endpoint import Endpoint, Kind, open_icmp
from agent.sample import Burst, Measure, Target
from agent.wire.series import Family, Outcome

if TYPE_CHECKING:
    from agent.net.channel import Channel
    from agent.net.timestamp import PacketError

_ECHO = {Family.IPV4: (8, 0), Family.IPV6: (128, 129)}  # request, reply: RFC 792, RFC 4443
_HEADER = struct.Struct("!BBHHHQ")
_PADDING = bytes(range(0x10, 0x10 + 48))  # with the number 56 bytes of data, as ping(8) sends

MEASURES = (
    Measure("duplicates", "counter", "lightfloor_icmp_duplicates_total", "Second answers to one probe."),
    Measure("late", "counter", "lightfloor_icmp_late_total", LATE_HELP),
    Measure("ttl", "gauge", "lightfloor_icmp_ttl", "TTL or hop limit of the reply as it arrived."),
)


class Options(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """This probe has no options."""


class Trail:
    """What came after its probes had ended, of one target."""

    def __init__(self) -> None:
        self._duplicates = 0
        self._late = 0

    def ended(self, flight: Flight, _outcome: Outcome) -> dict[str, Any]:
        """The measures of this sample."""
        result = {"duplicates": self._duplicates, "late": self._late, "ttl": flight.ttl}
        self._duplicates = self._late = 0
        return result

    def duplicate(self, _flight: Flight, _reply: Any) -> None:
        """A second reply."""
        self._duplicates += 1

    def late(self, _flight: Flight) -> None:
        """A reply after the deadline."""
        self._late += 1


class IcmpSession:
    """Makes echo requests and reads their replies on one socket."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.book = Book(_judge)
        self._request, self._reply = _ECHO[endpoint.family]
        self._raw = endpoint.identifier is not None
        self._has_ip_header = self._raw and endpoint.family is Family.IPV4
        self._identifier = endpoint.identifier or 0
        self._number = random.getrandbits(63)  # so that a reply to somebody else is no reply to us

    def launch(self, channel: "Channel", target: Target, volley: Volley, burst: Burst) -> None:
        """Send one echo request. Raises OSError."""
        trail = burst.memory.get(target)
        if trail is None:
            trail = burst.memory[target] = Trail()
        self._number += 1
        flight = Flight(volley, target, trail)
        channel.send(self._packet(self._number), (target.address, 0), flight)
        self.book.open(self._number, flight)

    def received(
        self, data: bytes, _address: tuple[Any, ...], rx_ns: int | None, ttl: int | None, offset_ns: int
    ) -> None:
        """A message for our identifier."""
        try:
            kind, number = parse_echo(data, has_ip_header=self._has_ip_header)
        except ParseError:
            return
        if kind == self._reply:
            self.book.answer(number, None, rx_ns, ttl, offset_ns)

    def failed(self, quoted: bytes, _address: tuple[Any, ...], error: "PacketError") -> None:
        """An ICMP error. It quotes our request, though perhaps only as far as the sequence number (RFC 792)."""
        flight = None
        if len(quoted) >= _HEADER.size:
            flight = self.book.find(int(_HEADER.unpack_from(quoted)[5]))
        elif len(quoted) >= 8:
            sequence = int.from_bytes(quoted[6:8], "big")
            flight = next(iter(self.book.waiting(lambda f: f.key & 0xFFFF == sequence)), None)
        if flight is not None:
            self.book.fail(flight, error)

    def _packet(self, number: int) -> bytes:
        """The kernel sets identifier and checksum, but not on a raw IPv4 socket."""
        sequence = number & 0xFFFF
        checksum = 0
        if self._has_ip_header:
            whole = _HEADER.pack(self._request, 0, 0, self._identifier, sequence, number) + _PADDING
            total = sum(struct.unpack(f"!{len(whole) // 2}H", whole))
            total = (total & 0xFFFF) + (total >> 16)
            checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
        return _HEADER.pack(self._request, 0, checksum, self._identifier, sequence, number) + _PADDING


def parse_echo(data: bytes, *, has_ip_header: bool) -> tuple[int, int]:
    """(type, the number in the data) of an ICMP or ICMPv6 echo message. Raises ParseError."""
    try:
        at = (data[0] & 0xF) * 4 if has_ip_header else 0
        kind, _code, _checksum, _identifier, _sequence, number = _HEADER.unpack_from(data, at)
    except (IndexError, struct.error):
        raise ParseError("ICMP echo", f"byte {len(data)}", "ends before our number", data.hex()) from None
    return kind, number


def _judge(_flight: Flight, tx_ns: int, rx_ns: int) -> Judgement:
    return Judgement(Outcome.OK, rx_ns - tx_ns)


ICMP_KIND = Kind("icmp", open_icmp, IcmpSession)


async def run(burst: Burst) -> None:
    """One echo request to each target, all at once."""
    await fly(burst, ICMP_KIND)
