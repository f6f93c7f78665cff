"""One direction of a TCP connection, as a capture shows it: what was sent, sent again, acknowledged, refused.

Fed with the segments of one sender (`send`) and the acknowledgements of its peer (`acknowledge`). Sequence numbers
are unwrapped to plain integers that never wrap. Only what is still unacknowledged is kept, and that is bounded.
What cannot be told from the packets is left uncounted rather than guessed; each rule is stated at its counter.
"""

from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from agent.kernel.tcp_options import NO_OPTIONS, Options

FIN, SYN, RST, ACK = 1, 2, 4, 16

DUPLICATE_ACKS = 3  # RFC 5681 section 3.2
MIN_RTO_NS = 190_000_000  # Linux' TCP_RTO_MIN of 200 ms, less a jiffy at HZ=100
MIN_REORDERING_NS = (
    3_000_000  # a hole filled within this, or a round trip, was reordering and no retransmission
)
MAX_OUTSTANDING = 2048  # segments remembered per direction
MAX_SERIES = 32  # timeout series, and gaps in each, that are listed; all are counted
_SCAN = 64  # of anything searched or kept one by one: holes, suspects, segments that nobody acknowledges


class Segment(NamedTuple):
    """One TCP segment. payload: bytes, by the IP header (the capture may hold fewer)."""

    time_ns: int
    seq: int
    ack: int
    flags: int
    window: int
    payload: int
    ip_id: int | None
    options: Options = NO_OPTIONS


def unwrap(number: int, near: int) -> int:
    """The 32-bit sequence number as the plain integer closest to near (RFC 9293 section 3.4)."""
    distance = (number - near) & 0xFFFFFFFF
    return near + (distance if distance < 1 << 31 else distance - (1 << 32))


@dataclass(slots=True)
class RtoSeries:
    """One segment that the retransmission timer sent again and again. gaps_ns: before each retransmission."""

    start_ns: int
    payload: int
    gaps_ns: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Outstanding:
    end: int
    first_ns: int
    last_ns: int
    again_stamp: int | None = None  # of the first retransmission
    transmissions: int = 1
    series: RtoSeries | None = None


@dataclass(slots=True)
class Sender:
    """Counters of what one end sent. segments counts those with payload, SYN or FIN; retransmitted_* are among them.

    retransmits: by kind. syn; fast: three duplicate ACKs or SACKed data above it; timeout: without those, and the
    least RTO or more after its last transmission and the last progress; other: neither, as tail-loss probes and what
    is sent again after a timeout.
    spurious: of these, shown to be needless: already acknowledged, or by DSACK (RFC 2883) or Eifel (RFC 3522).
    out_of_order: filled a hole within a round trip. unseen_bytes: acknowledged by the peer, but not captured.
    """

    packets: int = 0
    segments: int = 0
    payload_bytes: int = 0
    retransmitted_segments: int = 0
    retransmitted_bytes: int = 0
    retransmits: dict[str, int] = field(
        default_factory=lambda: {"syn": 0, "fast": 0, "timeout": 0, "other": 0}
    )
    spurious: int = 0
    out_of_order: int = 0
    unseen_bytes: int = 0
    keepalives: int = 0
    window_probes: int = 0
    window_full: int = 0
    untracked_segments: int = 0
    rto_series: list[RtoSeries] = field(default_factory=list)
    rtt_samples: int = 0
    rtt_min_ns: int | None = None
    rtt_max_ns: int | None = None
    rtt_sum_ns: int = 0
    next: int | None = None  # after the highest byte sent
    acked: int | None = None  # by the peer, cumulatively
    _advanced_ns: int | None = None  # when acked last moved
    _outstanding: dict[int, _Outstanding] = field(default_factory=dict)
    _holes: list[tuple[int, int, int]] = field(default_factory=list)  # start, end, when it was seen
    _suspects: dict[int, int] = field(
        default_factory=dict
    )  # retransmissions not yet known to be needless: start → end

    def send(self, segment: Segment, duplicate_acks: int, sacked_to: int, peer_window: int | None) -> None:
        """Take one segment of this sender.

        duplicate_acks, sacked_to: the peer's latest run of duplicate ACKs and the end of its highest SACK block;
        peer_window: what it last offered, scaled, None if unknown.
        """
        flags = segment.flags
        length = segment.payload + (1 if flags & SYN else 0) + (1 if flags & FIN else 0)
        if self.next is None:
            self.next = segment.seq
        start = unwrap(segment.seq, self.next)
        if (segment.payload <= 1 and self._probes(start, segment, peer_window)) or not length:
            return
        end = start + length
        self.segments += 1
        self.payload_bytes += segment.payload
        if start < self.next:
            self._sent_before(start, end, segment, duplicate_acks, sacked_to)
            self.next = max(self.next, end)
            return
        if start > self.next:
            self._holes = [*self._holes[1 - _SCAN :], (self.next, start, segment.time_ns)]
        self.next = end
        self._remember(start, end, segment)
        if peer_window and segment.payload and self.acked is not None and end >= self.acked + peer_window:
            self.window_full += 1

    def _probes(self, start: int, segment: Segment, peer_window: int | None) -> bool:
        """Keep-alives (RFC 9293 section 3.8.4) repeat an acknowledged byte; window probes (3.8.6.1) test a closed one."""
        if segment.payload > 1 or segment.flags & (SYN | FIN | RST) or self.next is None or start > self.next:
            return False
        if peer_window == 0 and (segment.payload or start < self.next):
            self.window_probes += 1
            return True
        if start == self.next - 1 and self.acked is not None and self.acked >= self.next:
            self.keepalives += 1
            return True
        return False

    def _sent_before(
        self, start: int, end: int, segment: Segment, duplicate_acks: int, sacked_to: int
    ) -> None:
        hole = self._fill(start, end)
        patience = max(self.rtt_min_ns or 0, MIN_REORDERING_NS)
        if hole is not None and segment.time_ns - hole <= patience and duplicate_acks < DUPLICATE_ACKS:
            self.out_of_order += 1
            self._remember(start, end, segment)
            return
        self.retransmitted_segments += 1
        self.retransmitted_bytes += segment.payload
        fast = (duplicate_acks >= DUPLICATE_ACKS and start == self.acked) or (
            duplicate_acks > 0 and sacked_to > end
        )
        record = self._find(start)
        self.retransmits[self._kind(record, hole, segment, fast)] += 1
        if self.acked is not None and end <= self.acked:
            self.spurious += 1
            return
        if len(self._suspects) >= _SCAN:
            self._suspects.pop(next(iter(self._suspects)))
        self._suspects[start] = end
        if record is None:
            record = self._remember(start, end, segment)
        if record is not None:
            record.transmissions += 1
            record.last_ns = segment.time_ns
            record.end = max(record.end, end)
            record.again_stamp = segment.options.stamp if record.again_stamp is None else record.again_stamp

    def _fill(self, start: int, end: int) -> int | None:
        """When the hole that this segment fills was first seen; the hole shrinks to what is still missing."""
        hole = next((hole for hole in self._holes if hole[0] <= start < hole[1]), None)
        if hole is None:
            return None
        self._holes.remove(hole)
        self._holes += [
            rest for rest in ((hole[0], start, hole[2]), (end, hole[1], hole[2])) if rest[0] < rest[1]
        ]
        return hole[2]

    def _kind(self, record: _Outstanding | None, hole_ns: int | None, segment: Segment, fast: bool) -> str:
        if segment.flags & SYN:
            return "syn"
        since = hole_ns if record is None else record.last_ns
        if since is not None and self._advanced_ns is not None:
            since = max(since, self._advanced_ns)  # which restarts the timer: RFC 6298 section 5.3
        late = since is not None and segment.time_ns - since >= MIN_RTO_NS + (self.rtt_min_ns or 0)
        again = record is not None and record.transmissions > 1
        if fast and not (late and again):
            return "fast"
        if not late:
            return "other"
        if record is not None:
            self._list_timeout(record, segment)
        return "timeout"

    def _list_timeout(self, record: _Outstanding, segment: Segment) -> None:
        if record.series is None and len(self.rto_series) < MAX_SERIES:
            record.series = RtoSeries(record.last_ns, segment.payload)
            self.rto_series.append(record.series)
        if record.series is not None and len(record.series.gaps_ns) < MAX_SERIES:
            record.series.gaps_ns.append(segment.time_ns - record.last_ns)

    def _find(self, start: int) -> _Outstanding | None:
        record = self._outstanding.get(start)
        if record is None:
            first = islice(self._outstanding.items(), _SCAN)
            record = next((found for begin, found in first if begin <= start < found.end), None)
        return record

    def _remember(self, start: int, end: int, segment: Segment) -> _Outstanding | None:
        if len(self._outstanding) >= (MAX_OUTSTANDING if self.acked is not None else _SCAN):
            self.untracked_segments += 1
            if self.acked is not None:
                return None
            del self._outstanding[next(iter(self._outstanding))]  # nobody acknowledges in a one-way capture
        now = segment.time_ns
        record = self._outstanding[start] = _Outstanding(end, now, now)
        return record

    def acknowledge(self, segment: Segment) -> bool:
        """Take the acknowledgement in a segment of the peer; True where it acknowledges nothing new."""
        if self.next is None:
            self.next = self.acked = segment.ack
            return False
        ack = unwrap(segment.ack, self.next)
        if self.acked is not None and ack <= self.acked:
            return ack == self.acked
        if ack > self.next:
            self.unseen_bytes += ack - self.next if self.acked is not None else 0
            self.next = ack
        self.acked = ack
        self._advanced_ns = segment.time_ns
        self._release(ack, segment)
        return False

    def _release(self, ack: int, segment: Segment) -> None:
        """Forget what is acknowledged. RTT from the newest of it, and only if sent once (Karn; RFC 6298 section 3)."""
        gone = []
        for start, record in self._outstanding.items():
            if record.end > ack:
                break
            gone.append(start)
        if not gone:
            return
        records = [self._outstanding.pop(start) for start in gone]
        if all(record.transmissions == 1 for record in records):
            self._sample(segment.time_ns - records[-1].first_ns)
        else:
            self._eifel(gone[0], records[0], segment.options.echo)
        if self._holes:
            self._holes = [hole for hole in self._holes if hole[1] > ack]

    def _sample(self, rtt_ns: int) -> None:
        self.rtt_samples += 1
        self.rtt_sum_ns += rtt_ns
        if self.rtt_min_ns is None or rtt_ns < self.rtt_min_ns:
            self.rtt_min_ns = rtt_ns
        if self.rtt_max_ns is None or rtt_ns > self.rtt_max_ns:
            self.rtt_max_ns = rtt_ns

    def _eifel(self, start: int, record: _Outstanding, echo: int | None) -> None:
        """RFC 3522: an acknowledgement that echoes an older stamp than the retransmission's answers the original."""
        if echo is None or record.again_stamp is None:
            return
        if (
            0 < (record.again_stamp - echo) & 0xFFFFFFFF < 1 << 31
            and self._suspects.pop(start, None) is not None
        ):
            self.spurious += 1

    def received_twice(self, left: int, right: int) -> None:
        """The peer reports by DSACK that it got these bytes more than once (RFC 2883): what was resent was needless."""
        for start in [start for start, end in self._suspects.items() if start < right and left < end]:
            del self._suspects[start]
            self.spurious += 1
