"""Probes in flight: which answer belongs to which probe, and whether it came in time, late or twice. Pure.

Every packet probe runs by `fly`: its session makes and reads packets, a Book pairs them, a Volley is one burst.
A probe's outcome is decided once: by its first answer, by an error, or at the deadline. What comes after that
is counted on the Trail of its target and handed over with that target's next sample.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from agent.sample import REFUSED_ERRNO, UNREACHABLE_ERRNOS, Burst, Sample, Target
from agent.wire.series import Outcome

if TYPE_CHECKING:
    from agent.net.channel import Channel
    from agent.net.endpoint import Kind
    from agent.net.timestamp import PacketError

LATE_NS = 30_000_000_000
"""An answer this long after the deadline is still counted as late; after it the probe is forgotten."""
LATE_HELP = "Answers up to 30 s after the deadline, already counted as timeout."
DUPLICATE_NS = 900_000_000
"""A second answer is a duplicate this long after the first; TCP sends a SYN-ACK again after 1 s (RFC 6298)."""
CLOCK_STEP_NS = 100_000
"""Readings of wall − monotonic time that differ by more: somebody set the wall clock."""
MOST_REMEMBERED = 50_000


class Unavailable(Exception):  # noqa: N818 - a state of the host, not an error; the outcome has this name
    """This host cannot run this probe; the message says what it lacks."""


@dataclass(frozen=True, slots=True)
class Instant:
    """mono_ns: monotonic time; offset_ns: wall − monotonic time, which changes only when the wall clock is set."""

    mono_ns: int
    offset_ns: int


class Trail(Protocol):
    """What a probe remembers of one target.

    ended: a flight got its outcome; what it returns becomes Sample.result. duplicate and late: what came after.
    """

    def ended(self, flight: "Flight", outcome: Outcome) -> Mapping[str, Any]: ...
    def duplicate(self, flight: "Flight", reply: Any) -> None: ...
    def late(self, flight: "Flight") -> None: ...


class Judgement(NamedTuple):
    """How an answered flight ended: as in Sample."""

    outcome: Outcome
    rtt_ns: int | None = None
    detail: str = ""


class Flight:
    """One probe on its way. tx_ns, rx_ns: kernel stamps; ttl and reply: of the answer; note: the probe's own.

    sent_ns: wall clock just before the system call, against which a stamp is checked, never a substitute for it.
    offset_ns: wall − monotonic time when the answer was read.
    """

    __slots__ = (
        "answered", "book", "ended", "key", "note", "offset_ns", "reply", "rx_ns", "sent_ns", "target", "trail",
        "ttl", "tx_ns", "volley",
    )  # fmt: skip

    def __init__(self, volley: "Volley", target: Target, trail: Trail, note: Any = None) -> None:
        self.volley = volley
        self.target = target
        self.trail = trail
        self.note = note
        self.book: Book
        self.key = 0
        self.sent_ns = 0
        self.tx_ns: int | None = None
        self.rx_ns: int | None = None
        self.ttl: int | None = None
        self.offset_ns = 0
        self.reply: Any = None
        self.answered = False
        self.ended = False

    def untrusted(self) -> str:
        """Why rx_ns − tx_ns is no round-trip time; empty when it is one."""
        if self.tx_ns is None:
            return "the kernel did not stamp the probe as it left"
        if self.rx_ns is None:
            return "the kernel did not stamp the answer"
        if abs(self.offset_ns - self.volley.start.offset_ns) > CLOCK_STEP_NS:
            return "the wall clock was set while the probe was under way"
        if self.rx_ns < self.tx_ns:
            return "the answer's stamp is before the probe's"
        return ""


class Volley:
    """The flights of one burst. open: those without an outcome; on_empty is called when the last one has its own."""

    __slots__ = ("event", "flights", "on_empty", "open", "record", "start")

    def __init__(self, burst: Burst, start: Instant) -> None:
        self.record = burst.record
        self.event = burst.event
        self.start = start
        self.open = 0
        self.flights: list[Flight] = []
        self.on_empty: Callable[[], None] | None = None


class Book:
    """The flights of one socket by key.

    judge(flight, tx_ns, rx_ns) says how one ended whose answer came and whose stamps can be trusted.
    """

    def __init__(self, judge: Callable[[Flight, int, int], Judgement]) -> None:
        self._judge = judge
        self._flights: dict[int, Flight] = {}
        self._answered: deque[tuple[int, list[int]]] = deque()
        self._lost: deque[tuple[int, list[int]]] = deque()

    def __len__(self) -> int:
        return len(self._flights)

    def open(self, key: int, flight: Flight) -> None:
        """Wait for the answer with this key."""
        flight.book, flight.key = self, key
        self._flights[key] = flight
        flight.volley.flights.append(flight)
        flight.volley.open += 1

    def find(self, key: int) -> Flight | None:
        """The flight of this key, also when it has ended but may still get a second or late answer."""
        return self._flights.get(key)

    def waiting(self, matches: Callable[[Flight], bool]) -> list[Flight]:
        """Flights without an answer that match; for what does not name its key. Looks at every flight."""
        return [f for f in self._flights.values() if not f.ended and not f.answered and matches(f)]

    def answer(self, key: int, reply: Any, rx_ns: int | None, ttl: int | None, offset_ns: int) -> None:
        """An answer came; nothing happens where nobody waits for it."""
        flight = self._flights.get(key)
        if flight is None:
            return
        if flight.answered:
            if rx_ns is not None and flight.rx_ns is not None and rx_ns - flight.rx_ns <= DUPLICATE_NS:
                flight.trail.duplicate(flight, reply)
            return
        flight.answered = True
        flight.reply, flight.rx_ns, flight.ttl, flight.offset_ns = reply, rx_ns, ttl, offset_ns
        if flight.ended:
            flight.trail.late(flight)
        elif flight.tx_ns is not None:
            self._decide(flight)

    def stamped(self, flight: Flight) -> None:
        """tx_ns is known now; it may come after the answer."""
        if flight.answered and not flight.ended:
            self._decide(flight)

    def fail(self, flight: Flight, error: "PacketError") -> None:
        """An ICMP error, or the kernel's own, about this flight."""
        if flight.ended or flight.answered:
            return
        if error.code == REFUSED_ERRNO and error.offender == flight.target.address:
            self.end(flight, Outcome.REFUSED, detail=f"{error.reason}, by an ICMP message")
        else:
            self.end(
                flight, Outcome.UNREACHABLE, detail=f"{error.reason}, said {error.offender or 'this host'}"
            )

    def end(self, flight: Flight, outcome: Outcome, rtt_ns: int | None = None, detail: str = "") -> None:
        """Give a flight its outcome."""
        flight.ended = True
        volley = flight.volley
        volley.record(flight.target, Sample(outcome, rtt_ns, detail, flight.trail.ended(flight, outcome)))
        volley.open -= 1
        if not volley.open and volley.on_empty is not None:
            volley.on_empty()

    def _decide(self, flight: Flight) -> None:
        why, tx_ns, rx_ns = flight.untrusted(), flight.tx_ns, flight.rx_ns
        if why or tx_ns is None or rx_ns is None:
            self.end(flight, Outcome.INVALID, detail=why)
            return
        judged = self._judge(flight, tx_ns, rx_ns)
        self.end(flight, judged.outcome, judged.rtt_ns, judged.detail)

    def remember(self, answered: list[int], lost: list[int], mono_ns: int) -> None:
        """Keep ended flights for their duplicates and late answers, as long as is allowed and as many as fit."""
        self._answered.append((mono_ns + DUPLICATE_NS, answered))
        self._lost.append((mono_ns + LATE_NS, lost))
        for line in (self._answered, self._lost):
            while line and (line[0][0] <= mono_ns or len(self._flights) > MOST_REMEMBERED):
                for key in line.popleft()[1]:
                    self._flights.pop(key, None)


class Session(Protocol):
    """One probe's side of one socket: makes its packets, reads what comes. book pairs them."""

    book: Book

    def launch(self, channel: "Channel", target: Target, volley: Volley, burst: Burst) -> None: ...
    def received(
        self, data: bytes, address: tuple[Any, ...], rx_ns: int | None, ttl: int | None, offset_ns: int
    ) -> None: ...
    def failed(self, quoted: bytes, address: tuple[Any, ...], error: "PacketError") -> None: ...


async def fly(burst: Burst, kind: "Kind") -> None:
    """Send one probe to each target of a burst and give each its one outcome, at the latest at the deadline."""
    network = burst.network
    volley = Volley(burst, network.instant())
    for target in burst.targets:
        try:
            channel = network.channel(kind, target.family)
            channel.session.launch(channel, target, volley, burst)
        except Unavailable as lack:
            burst.record(target, Sample(Outcome.UNAVAILABLE, detail=str(lack)))
        except OSError as error:
            burst.record(target, unsent(error))
    try:
        await network.wait(volley, burst.timeout_seconds)
    except BaseException:
        for flight in volley.flights:
            flight.ended = True
        raise
    finally:
        close(volley, network.instant().mono_ns, burst.timeout_seconds)


def unsent(error: OSError) -> Sample:
    """The outcome of a probe that this host could not send."""
    outcome = Outcome.UNREACHABLE if error.errno in UNREACHABLE_ERRNOS else Outcome.FAILED
    return Sample(outcome, detail=error.strerror or str(error))


def close(volley: Volley, mono_ns: int, timeout_seconds: float) -> None:
    """The deadline: what has no outcome yet gets one, and every flight is kept for what may still come."""
    ended: dict[Book, tuple[list[int], list[int]]] = {}
    for flight in volley.flights:
        if not flight.ended and flight.answered:
            flight.book.end(flight, Outcome.INVALID, detail=flight.untrusted())
        elif not flight.ended:
            flight.book.end(flight, Outcome.TIMEOUT, detail=f"no answer within {timeout_seconds:g} s")
        if flight.book.find(flight.key) is flight:
            ended.setdefault(flight.book, ([], []))[not flight.answered].append(flight.key)
    for book, (answered, lost) in ended.items():
        book.remember(answered, lost, mono_ns)
