"""SYN to SYN-ACK (or RST) round trip of raw packets, stamped by the kernel as they leave and arrive.

Half of the probes come from a port used once in a while, half from a few fixed ports in turn (legs): routers
choose among equal-cost ways by ports, so one bad way shows as loss on one leg. The kernel resets each half-open
connection by itself. Where that RST was lost the peer still remembers the port's previous SYN and answers the
next one with a bare ACK (RFC 9293, 3.10.7.4), which is as good an answer.
"""

import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from agent.flight import LATE_HELP, Book, Flight, Judgement, Volley, fly
from agent.kernel.parse_error import ParseError
from agent.net.endpoint import Endpoint, Kind, open_tcp
from agent.probes.legs import Legs
from agent.sample import Burst, Measure, Target
from agent.wire.assignment import Port
from agent.wire.series import ANSWERED, LOST, Family, Outcome

if TYPE_CHECKING:
    from agent.net.channel import Channel
    from agent.net.timestamp import PacketError

SYN, RST, ACK = 0x02, 0x04, 0x10
MOST_LEGS = 8
_HEADER = struct.Struct("!HHIIHHHHI")  # RFC 9293, 3.1, with one option
_OFFSET_AND_SYN = 6 << 12 | SYN
_WINDOW = 64240
_MSS_1460 = 0x020405B4
_ANSWER = struct.Struct("!HH4xIxB")
_QUOTED = struct.Struct("!HHI")
_TCP = 6
_SAYS_OF_PATH = ANSWERED | LOST

MEASURES = (
    Measure("duplicates", "counter", "lightfloor_syn_duplicates_total", "Second answers to one probe."),
    Measure("late", "counter", "lightfloor_syn_late_total", LATE_HELP),
    Measure(
        "lossy_legs",
        "gauge",
        "lightfloor_syn_lossy_legs",
        "Fixed source ports that lose more than chance explains.",
    ),
    Measure(
        "worst_leg_loss_ratio",
        "gauge",
        "lightfloor_syn_worst_leg_loss_ratio",
        "Loss ratio of the fixed source port that loses most.",
    ),
)


class Options(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What can be set for this probe."""

    port: Annotated[Port | None, msgspec.Meta(description="port to probe instead of the peer's")] = None
    legs: Annotated[
        int, msgspec.Meta(ge=0, le=MOST_LEGS, description="fixed source ports that take turns, 0 for none")
    ] = 4
    refused_is_answer: Annotated[
        bool, msgspec.Meta(description="count a refused connection as an answer")
    ] = False


class Trail:
    """What is remembered of one target: its legs, its packets' fixed part, and what came after its probes ended."""

    def __init__(self, address: str) -> None:
        self.legs = Legs()
        self._turn = 0
        self._busy: set[int] = set()
        self._destination = ip_address(address.partition("%")[0]).packed
        self._source = ""
        self._sum = 0
        self._duplicates = 0
        self._late = 0

    def next_leg(self, count: int) -> int | None:
        """The leg of the next probe, None for a port used once: every other time, and while the leg has one in flight."""
        self._turn += 1
        if not count or self._turn % 2:
            return None
        leg = self._turn // 2 % count
        if leg in self._busy:
            return None
        self._busy.add(leg)
        return leg

    def checksum(self, source: str, source_port: int, port: int, sequence: int) -> int:
        """The TCP checksum (RFC 9293, 3.1): all but ports and sequence number is added up once for each source."""
        if source != self._source:
            self._source = source
            pseudo_header = ip_address(source).packed + self._destination
            fixed = _HEADER.pack(0, 0, 0, 0, _OFFSET_AND_SYN, _WINDOW, 0, 0, _MSS_1460)
            self._sum = _sum16(pseudo_header) + _TCP + _HEADER.size + _sum16(fixed)
        total = self._sum + source_port + port + (sequence >> 16) + (sequence & 0xFFFF)
        total = (total & 0xFFFF) + (total >> 16)
        return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF

    def ended(self, flight: Flight, outcome: Outcome) -> dict[str, Any]:
        """The measures of this sample; a leg that turned lossy or recovered is kept as evidence."""
        self._busy.discard(flight.note.leg)
        if outcome in _SAYS_OF_PATH and self.legs.add(flight.note.leg, lost=outcome in LOST):
            flight.volley.event(flight.target, "leg_loss", {"legs": self._lossy_legs(flight.note.ports)})
        result = {
            "duplicates": self._duplicates,
            "late": self._late,
            "lossy_legs": len(self.legs.lossy),
            "worst_leg_loss_ratio": self.legs.worst_loss_ratio,
        }
        self._duplicates = self._late = 0
        return result

    def duplicate(self, _flight: Flight, _reply: Any) -> None:
        """A second answer."""
        self._duplicates += 1

    def late(self, _flight: Flight) -> None:
        """An answer after the deadline."""
        self._late += 1

    def _lossy_legs(self, ports: Sequence[int]) -> list[dict[str, int]]:
        legs = []
        for leg in sorted(self.legs.lossy):
            lost, sent = self.legs.loss_of(leg)
            legs.append({"source_port": ports[leg], "lost": lost, "sent": sent})
        return legs


@dataclass(frozen=True, slots=True)
class _Note:
    """leg: None for a port used once; ports: the legs' ports; source_port, port: of this probe."""

    leg: int | None
    ports: Sequence[int]
    source_port: int
    port: int
    refused_is_answer: bool


class SynSession:
    """Makes SYNs and reads their answers on one raw socket."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.book = Book(_judge)
        self._leg_ports, self._once_ports = endpoint.ports[:MOST_LEGS], endpoint.ports[MOST_LEGS:]
        self._has_ip_header = endpoint.family is Family.IPV4
        self._turn = random.randrange(len(self._once_ports))  # noqa: S311 - only spreads ports after a restart

    def launch(self, channel: "Channel", target: Target, volley: Volley, burst: Burst) -> None:
        """Send one SYN. Raises OSError."""
        options: Options = burst.options
        trail = burst.memory.get(target)
        if trail is None:
            trail = burst.memory[target] = Trail(target.address)
        leg = trail.next_leg(options.legs)
        if leg is None:
            self._turn = (self._turn + 1) % len(self._once_ports)
            source_port = self._once_ports[self._turn]
        else:
            source_port = self._leg_ports[leg]
        port = options.port or target.port
        sequence = random.getrandbits(32)
        checksum = 0  # of IPv6 the kernel computes it
        if self._has_ip_header:
            source = burst.network.source_address(target.address, target.family)
            checksum = trail.checksum(source, source_port, port, sequence)
        packet = _HEADER.pack(
            source_port, port, sequence, 0, _OFFSET_AND_SYN, _WINDOW, checksum, 0, _MSS_1460
        )
        note = _Note(leg, self._leg_ports, source_port, port, options.refused_is_answer)
        flight = Flight(volley, target, trail, note)
        channel.send(packet, (target.address, 0), flight)
        self.book.open(source_port << 32 | sequence, flight)

    def received(
        self, data: bytes, address: tuple[Any, ...], rx_ns: int | None, ttl: int | None, offset_ns: int
    ) -> None:
        """A packet for one of our ports."""
        try:
            port, source_port, acknowledged, flags = parse_answer(data, has_ip_header=self._has_ip_header)
        except ParseError:
            return
        if flags & (SYN | ACK) == SYN | ACK or flags & (RST | ACK) == RST | ACK:
            key = source_port << 32 | (acknowledged - 1) & 0xFFFFFFFF
        elif flags & (SYN | RST | ACK) == ACK:
            only = self.book.waiting(
                lambda f: (
                    f.note.source_port == source_port
                    and f.note.port == port
                    and f.target.address == address[0]
                )
            )
            if len(only) != 1:
                return
            key = only[0].key
        else:
            return
        self.book.answer(key, flags, rx_ns, ttl, offset_ns)

    def failed(self, quoted: bytes, _address: tuple[Any, ...], error: "PacketError") -> None:
        """An ICMP error; it quotes at least the first 8 bytes of our SYN (RFC 792)."""
        if len(quoted) >= _QUOTED.size:
            source_port, _port, sequence = _QUOTED.unpack_from(quoted)
            flight = self.book.find(source_port << 32 | sequence)
            if flight is not None:
                self.book.fail(flight, error)


def parse_answer(data: bytes, *, has_ip_header: bool) -> tuple[int, int, int, int]:
    """(source port, destination port, acknowledgment number, flags) of a TCP segment. Raises ParseError."""
    try:
        at = (data[0] & 0xF) * 4 if has_ip_header else 0
        source_port, destination_port, acknowledged, flags = _ANSWER.unpack_from(data, at)
    except (IndexError, struct.error):
        raise ParseError("TCP segment", f"byte {len(data)}", "ends within the header", data.hex()) from None
    return source_port, destination_port, acknowledged, flags


def _judge(flight: Flight, tx_ns: int, rx_ns: int) -> Judgement:
    if not flight.reply & RST:
        return Judgement(Outcome.OK, rx_ns - tx_ns)
    outcome = Outcome.OK if flight.note.refused_is_answer else Outcome.REFUSED
    return Judgement(outcome, rx_ns - tx_ns, "connection refused")


def _sum16(data: bytes) -> int:
    return sum(struct.unpack(f"!{len(data) // 2}H", data))


SYN_KIND = Kind("syn", open_tcp, SynSession)


async def run(burst: Burst) -> None:
    """One SYN to each target, all at once."""
    await fly(burst, SYN_KIND)
