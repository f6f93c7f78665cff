"""One TCP connection in a capture: its two ends, handshake, windows, and how it ended.

What each end sent is tcp_sender's business; here the two are put side by side, packet by packet.
"""

from dataclasses import dataclass, field

from agent.kernel.tcp_options import Options
from agent.kernel.tcp_sender import ACK, FIN, RST, SYN, Segment, Sender, unwrap

COPY_NS = (
    1_000_000  # no stack sends again within a millisecond; a bridge or a second interface passes on sooner
)
MAX_ZERO_WINDOWS = 64  # episodes that are listed per end; all are counted


@dataclass(slots=True)
class ZeroWindow:
    """A time in which one end offered no room to receive. end_ns: None while it lasts."""

    start_ns: int
    end_ns: int | None = None


@dataclass(slots=True)
class End:
    """One end of a connection: what it announced, what it sent, and how it answered.

    window: bytes last offered, None while the scale is unknown (handshake not captured). copies: packets that the
    capture holds twice, as one taken on every interface does; they are counted here and nowhere else.
    """

    address: bytes
    port: int
    sender: Sender = field(default_factory=Sender)
    syn_seq: int | None = None
    mss: int | None = None
    window_scale: int | None = None
    sack_permitted: bool | None = None
    timestamps: bool | None = None
    window: int | None = None
    duplicate_acks: int = 0
    dsacks: int = 0
    zero_windows: list[ZeroWindow] = field(default_factory=list)
    zero_window_count: int = 0
    resets: int = 0
    fin: bool = False
    copies: int = 0
    offered: int = -1  # the window field as it stood in the last segment
    run: int = 0  # duplicate ACKs since the last that acknowledged something
    sacked_to: int = 0
    zero: ZeroWindow | None = None
    last: Segment | None = None
    ids_vary: bool = False

    @property
    def finished(self) -> bool:
        """Whether this end's FIN was acknowledged."""
        return self.fin and self.sender.acked == self.sender.next


@dataclass(slots=True)
class Flow:
    """A connection. ends: first the one that opened it, where initiator_known, else the first one heard."""

    ends: tuple[End, End]
    first_ns: int
    last_ns: int
    initiator_known: bool = False
    syns: list[tuple[int, int | None]] = field(
        default_factory=list
    )  # when, with which timestamp; two suffice
    syn_count: int = 0
    syn_ack_ns: int | None = None
    syn_ack_echo: int | None = None
    syns_before_answer: int = 0
    open_ns: int | None = None
    mptcp: bool = False

    def take(self, number: int, segment: Segment) -> None:
        """Account one segment that ends[number] sent."""
        own, peer = self.ends[number], self.ends[1 - number]
        if segment.ip_id and _is_copy(own, segment):
            own.copies += 1
            return
        own.last = segment
        self.last_ns = max(self.last_ns, segment.time_ns)
        flags = segment.flags
        own.sender.packets += 1
        if flags & SYN:
            self._open(own, segment)
        if flags & RST:
            own.resets += 1
        if flags & ACK:
            if self.open_ns is None and self.syn_ack_ns is not None and number == 0:
                self.open_ns = segment.time_ns
            _acknowledge(own, peer, segment)
        if not flags & RST:
            self._offer(own, peer, segment)
        own.fin = own.fin or bool(flags & FIN)
        own.sender.send(segment, peer.run, peer.sacked_to, peer.window)

    def _open(self, own: End, segment: Segment) -> None:
        options = segment.options
        own.syn_seq = segment.seq
        own.mss, own.window_scale = options.mss, options.window_scale
        own.sack_permitted, own.timestamps = options.sack_permitted, options.stamp is not None
        self.mptcp = self.mptcp or options.mptcp
        if not segment.flags & ACK:
            self.syn_count += 1
            if len(self.syns) < 2:
                self.syns.append((segment.time_ns, options.stamp))
        elif self.syn_ack_ns is None:
            self.syn_ack_ns, self.syn_ack_echo = segment.time_ns, options.echo
            self.syns_before_answer = self.syn_count

    def _offer(self, own: End, peer: End, segment: Segment) -> None:
        """The window this end offers: scaled once both SYNs had the option (RFC 7323 section 2.2), else as it stands."""
        own.offered = segment.window
        if own.syn_seq is not None and peer.syn_seq is not None:
            scaled = own.window_scale if peer.window_scale is not None and not segment.flags & SYN else 0
            own.window = segment.window << (scaled or 0)
        else:
            own.window = None if segment.window else 0
        if segment.window == 0 and own.zero is None and not segment.flags & SYN:
            own.zero = ZeroWindow(segment.time_ns)
            own.zero_window_count += 1
            if len(own.zero_windows) < MAX_ZERO_WINDOWS:
                own.zero_windows.append(own.zero)
        elif segment.window and own.zero is not None:
            own.zero.end_ns = segment.time_ns
            own.zero = None

    def syn_ack_delay_ns(self) -> int | None:
        """First SYN to first SYN-ACK, whichever SYN it answers."""
        return self.syn_ack_ns - self.syns[0][0] if self.syns and self.syn_ack_ns is not None else None

    def handshake_rtt_ns(self) -> int | None:
        """SYN to SYN-ACK where it is known which SYN was answered: only one was sent, or the timestamps tell."""
        delay = self.syn_ack_delay_ns()
        if delay is None or self.syns_before_answer <= 1:
            return delay
        stamps = [stamp for _, stamp in self.syns]
        if self.syn_ack_echo is None or len(set(stamps)) < len(stamps) or self.syn_ack_echo not in stamps:
            return None
        return (
            self.syn_ack_ns - self.syns[stamps.index(self.syn_ack_echo)][0]
            if self.syn_ack_ns is not None
            else None
        )

    def state(self) -> str:
        """How far it came, or how it ended, as far as captured."""
        first, second = self.ends
        if second.resets and self.syns and self.syn_ack_ns is None:
            return "refused"
        if first.resets or second.resets:
            return "reset"
        if first.finished and second.finished:
            return "closed"
        if first.fin or second.fin:
            return "closing"
        if self.syns and self.syn_ack_ns is None:
            return "syn_sent"
        if self.syn_ack_ns is not None and self.open_ns is None:
            return "syn_received"
        return "established"

    def ended_before(self, segment: Segment, number: int) -> bool:
        """Whether this segment opens another connection between the same ports."""
        if not segment.flags & SYN or segment.flags & ACK:
            return False
        return segment.seq != self.ends[number].syn_seq or self.state() in {"closed", "reset", "refused"}


def _is_copy(own: End, segment: Segment) -> bool:
    """The same packet captured again. A retransmission has an IPv4 identification of its own, where a host varies it."""
    last = own.last
    if last is None:
        return False
    if segment.ip_id != last.ip_id:
        own.ids_vary = own.ids_vary or bool(last.ip_id)  # 0 is what many put into a SYN-ACK
        return False
    alike = segment.seq == last.seq and segment.ack == last.ack and segment.payload == last.payload
    soon = segment.time_ns - last.time_ns <= COPY_NS
    return alike and soon and segment.flags == last.flags and (own.ids_vary or bool(segment.flags & SYN))


def _acknowledge(own: End, peer: End, segment: Segment) -> None:
    """own acknowledges, or fails to acknowledge, what peer sent; duplicates as RFC 5681 section 2 defines them."""
    sender = peer.sender
    old = sender.acknowledge(segment)
    acked = sender.acked or 0
    duplicate_only = bool(segment.options.sack) and _read_sack(own, peer, segment.options, acked)
    if not old:
        own.run = 0
        return
    bare = not segment.payload and not segment.flags & (SYN | FIN | RST)
    waiting = sender.next is not None and sender.next > acked
    if bare and waiting and not duplicate_only and (segment.window == own.offered or segment.options.sack):
        own.run += 1
        own.duplicate_acks += 1


def _read_sack(own: End, peer: End, options: Options, acked: int) -> bool:
    """Take the SACK blocks; True where they only report a duplicate (RFC 2883 section 4: the first block does)."""
    near = peer.sender.next or 0
    blocks = [(unwrap(left, near), unwrap(right, near)) for left, right in options.sack]
    left, right = blocks[0]
    duplicate = right <= acked or (len(blocks) > 1 and blocks[1][0] <= left and right <= blocks[1][1])
    if duplicate:
        own.dsacks += 1
        peer.sender.received_twice(left, right)
    own.sacked_to = max((block[1] for block in blocks[duplicate:]), default=0)
    return duplicate and len(blocks) == 1
