"""A TCP connection of a capture, as it is reported: seconds, bytes, names."""

from dataclasses import dataclass
from ipaddress import ip_address

from agent.kernel.pcap import NS
from agent.kernel.tcp_flow import End, Flow, ZeroWindow
from agent.kernel.tcp_sender import RtoSeries


@dataclass(frozen=True, slots=True)
class RtoSeriesSummary:
    """One segment sent again by the retransmission timer. gaps_seconds: before each retransmission."""

    start_seconds: float
    payload_bytes: int
    gaps_seconds: list[float]


@dataclass(frozen=True, slots=True)
class ZeroWindowSummary:
    """A time in which this end offered no room. Not over when the capture ended: end_seconds None, and
    duration_seconds is up to the connection's last packet, so it lasted at least that long.
    """

    start_seconds: float
    end_seconds: float | None
    duration_seconds: float


@dataclass(frozen=True, slots=True)
class EndSummary:
    """One end: what it announced in its SYN (None: not captured, or not announced), sent, and answered.

    rtt_*_seconds: from a segment of this end to its acknowledgement, Karn's rule applied, None without a sample.
    retransmit_ratio: retransmitted over all segments with payload, SYN or FIN. Kinds, spurious, out_of_order and
    unseen_bytes: see Sender. window_full: None where the window's scale is unknown.
    """

    address: str
    port: int
    packets: int
    segments: int
    payload_bytes: int
    mss_bytes: int | None
    window_scale: int | None
    sack_permitted: bool | None
    timestamps: bool | None
    retransmitted_segments: int
    retransmitted_bytes: int
    retransmit_ratio: float | None
    retransmits: dict[str, int]
    spurious_retransmits: int
    out_of_order: int
    unseen_bytes: int
    duplicate_acks: int
    dsacks: int
    keepalives: int
    window_probes: int
    window_full: int | None
    zero_window_count: int
    zero_windows: list[ZeroWindowSummary]
    rto_series: list[RtoSeriesSummary]
    resets: int
    fin: bool
    rtt_samples: int
    rtt_min_seconds: float | None
    rtt_mean_seconds: float | None
    rtt_max_seconds: float | None
    capture_copies: int
    untracked_segments: int


@dataclass(frozen=True, slots=True)
class FlowSummary:
    """One connection. start_seconds: since the capture's first packet.

    initiator is the end that sent the SYN; without a SYN in the capture (initiator_known false) the first one heard.
    handshake_rtt_seconds: SYN to SYN-ACK where it is certain which SYN was answered; syn_ack_delay_seconds: from
    the first SYN in any case. late_syn_ack: it came only after the SYN was sent again.
    """

    initiator: EndSummary
    responder: EndSummary
    initiator_known: bool
    state: str
    start_seconds: float
    duration_seconds: float
    handshake_rtt_seconds: float | None
    syn_ack_delay_seconds: float | None
    syn_ack_to_ack_seconds: float | None
    late_syn_ack: bool | None
    syn_retransmissions: int
    mptcp: bool


def summarize(flow: Flow, origin_ns: int) -> FlowSummary:
    """The connection's figures, with times counted from origin_ns."""
    first, second = (_end(end, flow, origin_ns) for end in flow.ends)
    opened = flow.open_ns is not None and flow.syn_ack_ns is not None
    return FlowSummary(
        initiator=first,
        responder=second,
        initiator_known=flow.initiator_known,
        state=flow.state(),
        start_seconds=(flow.first_ns - origin_ns) / NS,
        duration_seconds=(flow.last_ns - flow.first_ns) / NS,
        handshake_rtt_seconds=_seconds(flow.handshake_rtt_ns()),
        syn_ack_delay_seconds=_seconds(flow.syn_ack_delay_ns()),
        syn_ack_to_ack_seconds=(flow.open_ns - flow.syn_ack_ns) / NS if opened else None,  # type: ignore[operator]
        late_syn_ack=flow.syns_before_answer > 1 if flow.syns and flow.syn_ack_ns is not None else None,
        syn_retransmissions=max(flow.syn_count - 1, 0),
        mptcp=flow.mptcp,
    )


def _seconds(value_ns: int | None) -> float | None:
    return None if value_ns is None else value_ns / NS


def _end(end: End, flow: Flow, origin_ns: int) -> EndSummary:
    sender = end.sender
    scales_known = all(each.syn_seq is not None for each in flow.ends)
    return EndSummary(
        address=str(ip_address(end.address)),
        port=end.port,
        packets=sender.packets,
        segments=sender.segments,
        payload_bytes=sender.payload_bytes,
        mss_bytes=end.mss,
        window_scale=end.window_scale,
        sack_permitted=end.sack_permitted,
        timestamps=end.timestamps,
        retransmitted_segments=sender.retransmitted_segments,
        retransmitted_bytes=sender.retransmitted_bytes,
        retransmit_ratio=sender.retransmitted_segments / sender.segments if sender.segments else None,
        retransmits=dict(sender.retransmits),
        spurious_retransmits=sender.spurious,
        out_of_order=sender.out_of_order,
        unseen_bytes=sender.unseen_bytes,
        duplicate_acks=end.duplicate_acks,
        dsacks=end.dsacks,
        keepalives=sender.keepalives,
        window_probes=sender.window_probes,
        window_full=sender.window_full if scales_known else None,
        zero_window_count=end.zero_window_count,
        zero_windows=[_zero_window(zero, flow.last_ns, origin_ns) for zero in end.zero_windows],
        rto_series=[_rto_series(series, origin_ns) for series in sender.rto_series],
        resets=end.resets,
        fin=end.fin,
        rtt_samples=sender.rtt_samples,
        rtt_min_seconds=_seconds(sender.rtt_min_ns),
        rtt_mean_seconds=sender.rtt_sum_ns / sender.rtt_samples / NS if sender.rtt_samples else None,
        rtt_max_seconds=_seconds(sender.rtt_max_ns),
        capture_copies=end.copies,
        untracked_segments=sender.untracked_segments,
    )


def _zero_window(zero: ZeroWindow, last_ns: int, origin_ns: int) -> ZeroWindowSummary:
    until = last_ns if zero.end_ns is None else zero.end_ns
    end_seconds = None if zero.end_ns is None else (zero.end_ns - origin_ns) / NS
    return ZeroWindowSummary((zero.start_ns - origin_ns) / NS, end_seconds, (until - zero.start_ns) / NS)


def _rto_series(series: RtoSeries, origin_ns: int) -> RtoSeriesSummary:
    gaps = [gap / NS for gap in series.gaps_ns]
    return RtoSeriesSummary((series.start_ns - origin_ns) / NS, series.payload, gaps)
