"""STAMP session-sender (RFC 8762): round trip without the reflector's own time, and each direction by itself.

T1 and T4 are our kernel's stamps, T2 and T3 come from the reflector: rtt = (T4 − T1) − (T3 − T2). Loss, reordering
and duplication per direction need a reflector that counts its packets, as this agent's does. One-way delay is given
only while both clocks state how far they can be off, and never when it comes out negative.
"""

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple
from weakref import WeakValueDictionary

import msgspec

from agent.flight import CLOCK_STEP_NS, LATE_HELP, Book, Flight, Judgement, Unavailable, Volley, fly
from agent.kernel.parse_error import ParseError
from agent.net.endpoint import Endpoint, Kind, open_udp
from agent.net.resolve import canonical
from agent.sample import Burst, Measure, Target
from agent.stamp.directions import Directions
from agent.stamp.packet import (
    Reply,
    Request,
    error_bits_of,
    key_of,
    ntp_of,
    pack_request,
    parse_error_estimate,
    parse_reply,
    unix_ns_of,
)
from agent.stamp.variation import Variation
from agent.wire.assignment import Port
from agent.wire.series import Outcome

if TYPE_CHECKING:
    from agent.net.channel import Channel
    from agent.net.network import Network
    from agent.net.timestamp import PacketError

_FASTEST_DRIFT = 1e-3
_MOST_SESSIONS = 0xFFFF

_COUNTERS = {
    "late": LATE_HELP,
    "lost_forward": "Requests that the reflector never counted.",
    "lost_backward": "Replies lost on the way back.",
    "reordered_forward": "Requests that the reflector got after a later one.",
    "reordered_backward": "Replies that came after a later one.",
    "duplicated_forward": "Requests that the reflector got again.",
    "duplicated_backward": "Replies that came again.",
    "reflector_restarts": "Times the reflector began to count anew, as after a NAT's rebinding.",
}
_TIMES = {
    "reflector": "Time that the reflector had the packet, not part of the round trip.",
    "variation_forward": "Delay above the last minute's least, to the peer (RFC 5481 PDV).",
    "variation_backward": "Delay above the last minute's least, from the peer (RFC 5481 PDV).",
    "delay_forward": "One-way delay to the peer, while both clocks are synchronised.",
    "delay_backward": "One-way delay from the peer, while both clocks are synchronised.",
}
_GAUGES = {
    "one_way_error_seconds": "How far one-way delays can be off, by what both clocks state.",
    "ttl": "TTL or hop limit of the reply as it arrived.",
    "ttl_forward": "TTL or hop limit of the request as it reached the peer.",
}
MEASURES = (
    *(Measure(name, "counter", f"lightfloor_udp_{name}_total", text) for name, text in _COUNTERS.items()),
    *(Measure(f"{name}_ns", "time", f"lightfloor_udp_{name}_seconds", text) for name, text in _TIMES.items()),
    *(Measure(name, "gauge", f"lightfloor_udp_{name}", text) for name, text in _GAUGES.items()),
)


class Options(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What can be set for this probe."""

    port: Annotated[Port | None, msgspec.Meta(description="port of the reflector instead of the peer's")] = (
        None
    )
    key_file: Annotated[
        str | None, msgspec.Meta(description="file with the hexadecimal key of authenticated mode")
    ] = None
    stateless: Annotated[
        bool, msgspec.Meta(description="the reflector copies our sequence numbers: no loss per direction")
    ] = False


class _Times(NamedTuple):
    """The four stamps in ns: t1 and t4 of our clock, t2 and t3 of the reflector's, and what follows of them."""

    t1: int
    t2: int
    t3: int
    t4: int
    reflector_ns: int
    rtt_ns: int

    @property
    def offset_ns(self) -> float:
        """The reflector's clock minus ours, were both directions alike (RFC 5905, 8); off by at most rtt / 2."""
        return (self.t2 - self.t1 + self.t3 - self.t4) / 2


@dataclass(slots=True)
class _Note:
    """sequence, timestamp: of the request. clock_error_ns: our own at that time, None when not synchronised."""

    sequence: int
    timestamp: bytes
    clock_error_ns: int | None
    times: _Times | None = None


class SenderSession:
    """One STAMP session: what is remembered of one target."""

    def __init__(
        self, identifier: int, address: tuple[str, int], key: bytes | None, *, stateless: bool
    ) -> None:
        self.identifier = identifier
        self.address = address
        self.key = key
        self.next_sequence = 0
        self._directions = None if stateless else Directions()
        self._forward, self._backward = Variation(), Variation()
        self._before: _Times | None = None
        self._our_offset_ns = 0
        self._late = 0

    def launched(self) -> int:
        """The next probe's sequence number."""
        sequence = self.next_sequence
        self.next_sequence = (sequence + 1) & 0xFFFFFFFF
        if self._directions is not None:
            self._directions.sent(sequence)
        return sequence

    def ended(self, flight: Flight, outcome: Outcome) -> dict[str, Any]:
        """The measures of this sample."""
        result: dict[str, Any] = {"late": self._late}
        self._late = 0
        reply: Reply | None = flight.reply
        if outcome is Outcome.OK and reply is not None and flight.note.times is not None:
            result |= self._measure(flight, reply, flight.note.times)
        if self._directions is not None:
            if reply is not None:
                self._directions.replied(flight.note.sequence, reply.sequence)
            self._directions.ended(flight.note.sequence, answered=reply is not None)
            result |= self._directions.take()
        return result

    def duplicate(self, flight: Flight, reply: Reply) -> None:
        """A second reply."""
        if self._directions is not None:
            self._directions.repeated(flight.note.sequence, reply.sequence)

    def late(self, flight: Flight) -> None:
        """A reply after the deadline."""
        self._late += 1
        if self._directions is not None:
            self._directions.late(flight.note.sequence, flight.reply.sequence)

    def _measure(self, flight: Flight, reply: Reply, times: _Times) -> dict[str, Any]:
        self._mind_clock_steps(times, flight.volley.start.offset_ns)
        forward_ns, backward_ns = times.t2 - times.t1, times.t4 - times.t3
        result = {
            "reflector_ns": times.reflector_ns,
            "variation_forward_ns": self._forward.add(times.t1, forward_ns),
            "variation_backward_ns": self._backward.add(times.t1, backward_ns),
            "ttl": flight.ttl,
            "ttl_forward": reply.sender_ttl,
        }
        theirs, ours = parse_error_estimate(reply.error), flight.note.clock_error_ns
        known = ours is not None and theirs.synchronised and not theirs.ptp  # PTP's epoch may be TAI or UTC
        if known and forward_ns >= 0 and backward_ns >= 0:
            result["delay_forward_ns"], result["delay_backward_ns"] = forward_ns, backward_ns
            result["one_way_error_seconds"] = (ours + theirs.error_ns) / 1e9
        return result

    def _mind_clock_steps(self, times: _Times, our_offset_ns: int) -> None:
        """Forget delays from before a clock was set: ours is seen directly, theirs where no path could explain it."""
        before, self._before = self._before, times
        stepped = abs(our_offset_ns - self._our_offset_ns) > CLOCK_STEP_NS
        self._our_offset_ns = our_offset_ns
        if before is not None and not stepped:
            drift_ns = _FASTEST_DRIFT * abs(times.t1 - before.t1)
            stepped = abs(times.offset_ns - before.offset_ns) > (times.rtt_ns + before.rtt_ns) / 2 + drift_ns
        if stepped:
            self._forward.forget()
            self._backward.forget()


class UdpSession:
    """Makes requests and reads replies of all sessions on one socket."""

    def __init__(self, _endpoint: Endpoint) -> None:
        self.book = Book(_judge)
        self._identifier = random.randrange(_MOST_SESSIONS)  # noqa: S311 - only keeps runs apart
        self._by_identifier: WeakValueDictionary[int, SenderSession] = WeakValueDictionary()
        self._by_address: WeakValueDictionary[tuple[str, int], SenderSession] = WeakValueDictionary()

    def launch(self, channel: "Channel", target: Target, volley: Volley, burst: Burst) -> None:
        """Send one request. Raises OSError, and Unavailable without its key."""
        options: Options = burst.options
        address = (target.address, options.port or target.port)
        session = burst.memory.get(target)
        if session is None:
            session = burst.memory[target] = self._begin(address, options, burst.network)
        clock_error_ns = burst.network.clock_error_ns()
        sequence = session.next_sequence
        timestamp = ntp_of(channel.now_ns())
        packet = pack_request(
            Request(sequence, timestamp, error_bits_of(clock_error_ns), session.identifier), session.key
        )
        flight = Flight(volley, target, session, _Note(sequence, timestamp, clock_error_ns))
        channel.send(packet, address, flight)
        session.launched()
        self.book.open(session.identifier << 32 | sequence, flight)

    def received(
        self, data: bytes, address: tuple[Any, ...], rx_ns: int | None, ttl: int | None, offset_ns: int
    ) -> None:
        """A packet from somewhere."""
        session = self._session_of(data, address[:2])
        if session is None:
            return
        try:
            reply = parse_reply(data, session.key)
        except ParseError:
            return
        # A reflector that knows no session identifiers sends 0 (RFC 8972, 3).
        flight = self.book.find((reply.session or session.identifier) << 32 | reply.sender_sequence)
        if flight is None or flight.note.timestamp != reply.sender_timestamp:
            return
        self.book.answer(flight.key, reply, rx_ns, ttl, offset_ns)

    def failed(self, quoted: bytes, address: tuple[Any, ...], error: "PacketError") -> None:
        """An ICMP error about a packet to this address; it may quote nothing of our data."""
        session = self._session_of(quoted, address[:2])
        if session is None:
            return
        sequence = int.from_bytes(quoted[:4], "big") if len(quoted) >= 4 else session.next_sequence - 1
        flight = self.book.find(session.identifier << 32 | sequence)
        if flight is not None:
            self.book.fail(flight, error)

    def _session_of(self, data: bytes, address: tuple[str, int]) -> SenderSession | None:
        """By the identifier, which two peers at one address need; by the address where the reflector sends none."""
        identifier = int.from_bytes(data[14:16], "big") or int.from_bytes(data[26:28], "big")
        session = self._by_identifier.get(identifier)
        if session is None or session.address != address:
            session = self._by_address.get(address)
        return session

    def _begin(self, address: tuple[str, int], options: Options, network: "Network") -> SenderSession:
        key = None
        if options.key_file is not None:
            try:
                key = key_of(network.read_secret(options.key_file))
            except (OSError, ValueError) as error:
                raise Unavailable(f"{options.key_file}: {error}") from error
        self._identifier = self._identifier % _MOST_SESSIONS + 1  # 1 … 65535: 0 stands for none
        heard_as = (canonical(address[0]), address[1])
        session = SenderSession(self._identifier, heard_as, key, stateless=options.stateless)
        self._by_identifier[session.identifier] = self._by_address[heard_as] = session
        return session


def _judge(flight: Flight, tx_ns: int, rx_ns: int) -> Judgement:
    reply: Reply = flight.reply
    ptp = parse_error_estimate(reply.error).ptp
    received_ns, sent_ns = unix_ns_of(reply.received, ptp=ptp), unix_ns_of(reply.sent, ptp=ptp)
    reflector_ns = sent_ns - received_ns
    rtt_ns = rx_ns - tx_ns - reflector_ns
    if reflector_ns < 0:
        return Judgement(Outcome.INVALID, detail="the reflector says that it sent before it received")
    if rtt_ns < 0:
        return Judgement(Outcome.INVALID, detail="the reflector says that it took longer than the round trip")
    flight.note.times = _Times(tx_ns, received_ns, sent_ns, rx_ns, reflector_ns, rtt_ns)
    return Judgement(Outcome.OK, rtt_ns)


UDP_KIND = Kind("udp", open_udp, UdpSession)


async def run(burst: Burst) -> None:
    """One request to each target, all at once."""
    await fly(burst, UDP_KIND)
