"""One probe socket at work: sends packets, pairs each with its TX stamp, and hands what comes to its session.

The error queue is always read before the data, so that a probe's TX stamp is known when its answer is read.
A stamp is paired by the kernel's packet number, never by its place in the queue.
"""

import select
import time

from agent.flight import Flight, Instant, Session
from agent.kernel.parse_error import ParseError
from agent.net import timestamp
from agent.net.endpoint import Endpoint
from agent.net.poller import READ, Poller

_DATA_BYTES = 2048
_READ_STAMPS_EVERY = 64
"""Stamps wait in the receive buffer, which a burst of sends could fill."""
_PACKETS_PER_TURN = 4096
_MOST_UNSTAMPED = 4096
"""Packets dropped before the driver never get a stamp; the oldest are given up."""
_READINGS, _NARROW_NS = 5, 5_000


def read_instant() -> Instant:
    """Both clocks: the narrowest of a few readings, as the process may lose the CPU between two calls."""
    best: tuple[int, Instant] | None = None
    for _ in range(_READINGS):
        before = time.monotonic_ns()
        wall = time.time_ns()
        after = time.monotonic_ns()
        if best is None or after - before < best[0]:
            best = (after - before, Instant(after, wall - (before + after) // 2))
        if best[0] < _NARROW_NS:
            break
    assert best is not None  # noqa: S101 - the loop ran
    return best[1]


class Channel:
    """Belongs to the poller's loop."""

    def __init__(self, poller: Poller, endpoint: Endpoint, session: Session) -> None:
        self.endpoint = endpoint
        self.session = session
        self._poller = poller
        self._sock = endpoint.sock
        self._unstamped: dict[int, Flight] = {}
        self._next = 0
        self._unread = 0
        poller.register(self._sock.fileno(), READ, self._ready)

    def close(self) -> None:
        """Close the socket."""
        self._poller.unregister(self._sock.fileno())
        self.endpoint.close()

    def now_ns(self) -> int:
        """The wall clock, for stamps that go into a packet."""
        return time.time_ns()

    def send(self, packet: bytes, address: tuple[str, int], flight: Flight) -> None:
        """Send a flight's packet. Raises OSError when this packet was not sent."""
        if self._unread >= _READ_STAMPS_EVERY:
            self.read_reports()
        flight.sent_ns = time.time_ns()
        try:
            self._sock.sendto(packet, address)
        except OSError:
            self._send_again(packet, address)
        self._unstamped[self._next] = flight
        self._next = (self._next + 1) & 0xFFFFFFFF
        self._unread += 1

    def read_reports(self) -> None:
        """Empty the error queue: TX stamps to their flights, errors to the session."""
        self._unread = 0
        receive = self._sock.recvmsg
        while True:
            try:
                data, control, _flags, address = receive(
                    _DATA_BYTES, timestamp.CONTROL_BYTES, timestamp.MSG_ERRQUEUE
                )
            except BlockingIOError:
                break
            try:
                report = timestamp.parse_report(control)
            except ParseError:
                continue
            if type(report) is tuple:
                self._stamp(*report)
            elif isinstance(report, timestamp.PacketError):
                self.session.failed(data, address, report)
        while len(self._unstamped) > _MOST_UNSTAMPED:
            del self._unstamped[next(iter(self._unstamped))]

    def _stamp(self, number: int, stamp_ns: int) -> None:
        """A stamp from before its flight was sent is a leftover of the count before the last switch_on."""
        flight = self._unstamped.get(number)
        if flight is None or stamp_ns < flight.sent_ns:
            return
        del self._unstamped[number]
        flight.tx_ns = stamp_ns
        if flight.answered:
            self.session.book.stamped(flight)

    def _send_again(self, packet: bytes, address: tuple[str, int]) -> None:
        """An error may be about an earlier packet (sk_err): reading the reports clears it, so try once more.

        The failed send may have used up a number. What has no stamp by now stays without one.
        """
        self.read_reports()
        timestamp.switch_on(self._sock)
        self._unstamped.clear()
        self._next = 0
        try:
            self._sock.sendto(packet, address)
        except OSError:
            timestamp.switch_on(self._sock)
            raise

    def _ready(self, events: int) -> None:
        if events & select.EPOLLERR:
            self.read_reports()
        if events & select.EPOLLIN:
            self._read_data()

    def _read_data(self) -> None:
        receive, received = self._sock.recvmsg, self.session.received
        offset_ns = read_instant().offset_ns
        for _ in range(_PACKETS_PER_TURN):
            try:
                data, control, _flags, address = receive(_DATA_BYTES, timestamp.CONTROL_BYTES)
            except BlockingIOError:
                return
            except OSError:  # what an earlier packet met; its report is read with the next event
                continue
            try:
                rx_ns, ttl = timestamp.parse_arrival(control)
            except ParseError:
                rx_ns = ttl = None
            received(data, address, rx_ns, ttl, offset_ns)
