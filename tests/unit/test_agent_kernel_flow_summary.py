from agent.kernel.flow_summary import summarize
from agent.kernel.tcp_flow import End, Flow
from agent.kernel.tcp_sender import ACK, SYN, Segment

SECOND = 10**9
ORIGIN = 1_700_000_000 * SECOND


def at(seconds, seq, ack=0, *, flags=ACK, window=100, size=0):
    return Segment(ORIGIN + round(seconds * SECOND), seq, ack, flags, window, size, None)


def test_times_are_seconds_since_the_capture_began():
    """A flow from 1 to 4.5 s: its episodes, series and round trips on the same scale."""
    flow = Flow((End(b"\x0a\0\0\1", 1), End(bytes(15) + b"\1", 2)), ORIGIN + SECOND, ORIGIN + SECOND)
    for number, segment in (
        (0, at(1, 100, flags=SYN)),
        (1, at(1.25, 500, 101, flags=SYN | ACK)),
        (0, at(1.5, 101, 501, size=10)),
        (0, at(2.5, 101, 501, size=10)),
        (1, at(3, 501, 111, window=0)),
        (1, at(3.5, 501, 111)),
        (1, at(4, 501, 111, window=0)),
        (0, at(4.5, 111, 501)),
    ):
        flow.take(number, segment)
    summary = summarize(flow, ORIGIN)
    first, second = summary.initiator, summary.responder
    assert (summary.start_seconds, summary.duration_seconds, summary.handshake_rtt_seconds) == (
        1.0,
        3.5,
        0.25,
    )
    assert (first.address, second.address) == ("10.0.0.1", "::1")
    assert (first.rtt_samples, first.rtt_min_seconds, first.retransmit_ratio) == (1, 0.25, 1 / 3)
    assert [(s.start_seconds, s.payload_bytes, s.gaps_seconds) for s in first.rto_series] == [
        (1.5, 10, [1.0])
    ]
    assert [(z.start_seconds, z.end_seconds, z.duration_seconds) for z in second.zero_windows] == [
        (3, 3.5, 0.5),
        (4, None, 0.5),
    ]


def test_what_was_not_captured_is_none():
    """Without a handshake: no MSS, no scale, no full windows, no ratio of nothing."""
    flow = Flow((End(b"\x0a\0\0\1", 1), End(b"\x0a\0\0\2", 2)), ORIGIN, ORIGIN)
    flow.take(0, at(0, 1, 1))
    summary = summarize(flow, ORIGIN)
    end = summary.initiator
    assert (end.mss_bytes, end.window_scale, end.window_full, end.retransmit_ratio, end.rtt_mean_seconds) == (
        None,
    ) * 5
    assert (summary.initiator_known, summary.late_syn_ack, summary.handshake_rtt_seconds) == (
        False,
        None,
        None,
    )
