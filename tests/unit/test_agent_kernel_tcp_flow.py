import pytest

from agent.kernel.tcp_flow import End, Flow
from agent.kernel.tcp_options import Options
from agent.kernel.tcp_sender import ACK, FIN, RST, SYN, Segment

MS = 1_000_000
A, B = 0, 1


def flow():
    return Flow((End(b"\x0a\0\0\1", 40000), End(b"\x0a\0\0\2", 443)), 0, 0, initiator_known=True)


def segment(at_ms, seq, ack=0, flags=ACK, *, window=100, size=0, ip_id=None, **options):
    return Segment(int(at_ms * MS), seq, ack, flags, window, size, ip_id, Options(**options))


def opened(scale_a=2, scale_b=3):
    it = flow()
    it.take(A, segment(0, 100, flags=SYN, window=65535, mss=1460, window_scale=scale_a, sack_permitted=True))
    it.take(B, segment(30, 500, 101, SYN | ACK, window=5000, mss=1400, window_scale=scale_b))
    it.take(A, segment(31, 101, 501))
    return it


def test_a_handshake_gives_its_times_and_what_each_end_announced():
    """SYN to SYN-ACK, and MSS, scale and SACK of either end."""
    it = opened()
    first, second = it.ends
    assert (it.handshake_rtt_ns(), it.syn_ack_delay_ns(), it.state()) == (30 * MS, 30 * MS, "established")
    assert (first.mss, first.window_scale, first.sack_permitted) == (1460, 2, True)
    assert (second.mss, second.window_scale, second.sack_permitted) == (1400, 3, False)


@pytest.mark.parametrize(("scale_a", "scale_b", "expected"), [(2, 3, 400), (0, 3, 100), (2, None, 100)])
def test_windows_are_scaled_only_when_both_ends_offer_it(scale_a, scale_b, expected):
    """RFC 7323 section 2.2; the window in a SYN is never scaled."""
    it = opened(scale_a, scale_b)
    assert (it.ends[A].window, it.ends[B].window) == (expected, 5000)


def test_a_late_syn_ack_has_an_rtt_only_where_a_timestamp_tells_which_syn_it_answers():
    """After a second SYN the answer may be to either; an echoed timestamp decides, else it is unknown."""
    for echo, expected in ((7, 1500 * MS), (1007, 500 * MS), (None, None), (3, None)):
        it = flow()
        it.take(A, segment(0, 100, flags=SYN, stamp=7))
        it.take(A, segment(1000, 100, flags=SYN, stamp=1007))
        it.take(B, segment(1500, 500, 101, SYN | ACK, stamp=1, echo=echo))
        assert (it.syn_ack_delay_ns(), it.handshake_rtt_ns(), it.syn_count) == (1500 * MS, expected, 2)


def test_the_state_says_how_it_ended():
    """Refused, never answered, reset, half-open, closing and closed are told apart."""
    refused = flow()
    refused.take(A, segment(0, 100, flags=SYN))
    assert refused.state() == "syn_sent"
    refused.take(B, segment(1, 0, 101, RST | ACK, window=0))
    assert (refused.state(), refused.ends[B].zero_window_count) == ("refused", 0)
    half = flow()
    half.take(A, segment(0, 100, flags=SYN))
    half.take(B, segment(1, 500, 101, SYN | ACK))
    assert half.state() == "syn_received"
    it = opened()
    it.take(A, segment(40, 101, 501, FIN | ACK))
    assert it.state() == "closing"
    it.take(B, segment(41, 501, 102, FIN | ACK))
    it.take(A, segment(42, 102, 502))
    assert it.state() == "closed"
    it.take(B, segment(43, 502, 0, RST))
    assert it.state() == "reset"


def test_a_zero_window_is_an_episode_with_its_end():
    """Closed at 50 ms, still closed at 60, open at 75; one still closed at the end has no end."""
    it = opened()
    for at, window in ((50, 0), (60, 0), (75, 10), (90, 0)):
        it.take(B, segment(at, 501, 101, window=window))
    assert it.ends[B].zero_window_count == 2
    first, second = it.ends[B].zero_windows
    assert (first.start_ns, first.end_ns) == (50 * MS, 75 * MS)
    assert (second.start_ns, second.end_ns) == (90 * MS, None)


def test_duplicate_acks_follow_rfc_5681():
    """Same acknowledgement, no data, same window (or SACK), something outstanding: else it is none."""
    it = opened()
    for number in range(4):
        it.take(A, segment(40, 101 + number * 1000, 501, size=1000))
    it.take(B, segment(50, 501, 1101))
    it.take(B, segment(51, 501, 1101))
    it.take(B, segment(52, 501, 1101, window=90))  # a window update
    it.take(B, segment(53, 501, 1101, window=80, sack=((2101, 3101),)))
    it.take(B, segment(54, 501, 1101, window=80, size=5))  # carries data
    assert (it.ends[B].duplicate_acks, it.ends[B].run) == (2, 2)
    it.take(B, segment(55, 506, 4101, window=80))
    it.take(B, segment(56, 506, 4101, window=80))  # nothing outstanding
    assert (it.ends[B].duplicate_acks, it.ends[B].run) == (2, 0)


def test_a_dsack_is_no_duplicate_ack_and_proves_a_needless_retransmission():
    """RFC 2883: the first block below the acknowledgement, or inside the second block."""
    it = opened()
    for at in (40, 300):
        it.take(A, segment(at, 101, 501, size=1000))
    it.take(B, segment(310, 501, 1101))
    it.take(A, segment(311, 1101, 501, size=1000))
    it.take(B, segment(312, 501, 1101, sack=((101, 1101),)))
    assert (it.ends[B].dsacks, it.ends[B].duplicate_acks, it.ends[A].sender.spurious) == (1, 0, 1)
    it.take(B, segment(313, 501, 1101, sack=((1601, 1701), (1501, 1801))))
    assert (it.ends[B].dsacks, it.ends[B].sacked_to) == (2, 1801)


def test_the_same_packet_from_two_interfaces_counts_once():
    """Same IPv4 identification within a millisecond is a copy; a host that does not vary it proves nothing."""
    it = opened()
    it.take(A, segment(40, 101, 501, size=10, ip_id=5))
    it.take(A, segment(41, 111, 501, size=10, ip_id=6))
    it.take(A, segment(41.01, 111, 501, size=10, ip_id=6))
    it.take(A, segment(300, 111, 501, size=10, ip_id=6))
    assert (it.ends[A].copies, it.ends[A].sender.retransmitted_segments) == (1, 1)
    constant = opened()
    constant.take(A, segment(40, 101, 501, size=10, ip_id=1))
    constant.take(A, segment(40.01, 101, 501, size=10, ip_id=1))
    assert (constant.ends[A].copies, constant.ends[A].sender.retransmitted_segments) == (0, 1)


def test_a_new_syn_after_the_end_is_another_connection():
    """The same ports again: after an end, or with another initial number; a SYN sent again is not."""
    it = opened()
    assert not it.ended_before(segment(50, 100, flags=SYN), A)
    assert it.ended_before(segment(50, 9000, flags=SYN), A)
    it.take(B, segment(43, 501, 0, RST))
    assert it.ended_before(segment(50, 100, flags=SYN), A)
