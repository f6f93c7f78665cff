from agent.kernel.tcp_options import Options
from agent.kernel.tcp_sender import ACK, FIN, MAX_OUTSTANDING, SYN, Segment, Sender, unwrap

MS = 1_000_000
WRAP = 1 << 32


class Conversation:
    """A sender and its peer's answers, in milliseconds and relative sequence numbers."""

    def __init__(self, base=1000):
        self.sender = Sender()
        self.base = base
        self.duplicates = 0
        self.sacked_to = 0

    def sends(self, at_ms, start, *, size=1000, flags=ACK, stamp=None, window=None):
        options = Options(stamp=stamp)
        segment = Segment(int(at_ms * MS), (self.base + start) % WRAP, 0, flags, 0, size, None, options)
        self.sender.send(segment, self.duplicates, self.sacked_to, window)

    def acknowledges(self, at_ms, ack, echo=None):
        segment = Segment(int(at_ms * MS), 0, (self.base + ack) % WRAP, ACK, 100, 0, None, Options(echo=echo))
        return self.sender.acknowledge(segment)


def test_sequence_numbers_never_wrap():
    """Numbers on both sides of 2^32 stay in order, from either side."""
    assert unwrap(5, WRAP - 5) == WRAP + 5
    assert unwrap(WRAP - 5, WRAP + 5) == WRAP - 5
    talk = Conversation(base=WRAP - 1500)
    for number in range(4):
        talk.sends(number, number * 1000)
    talk.acknowledges(10, 4000)
    talk.sends(11, 4000)
    assert (talk.sender.segments, talk.sender.retransmitted_segments, talk.sender.unseen_bytes) == (5, 0, 0)


def test_rtt_comes_only_from_segments_sent_once():
    """Karn's rule: the acknowledgement of a segment that was sent twice gives no sample."""
    talk = Conversation()
    talk.sends(0, 0)
    talk.acknowledges(20, 1000)
    talk.sends(30, 1000)
    talk.sends(250, 1000)
    talk.acknowledges(260, 2000)
    sender = talk.sender
    assert (sender.rtt_samples, sender.rtt_min_ns, sender.rtt_max_ns) == (1, 20 * MS, 20 * MS)


def test_a_timer_that_backs_off_is_one_series():
    """The same segment at 0.2, 0.6 and 1.4 s is three timeouts in one series with its gaps."""
    talk = Conversation()
    for at in (0, 200, 600, 1400):
        talk.sends(at, 0)
    assert talk.sender.retransmits == {"syn": 0, "fast": 0, "timeout": 3, "other": 0}
    (series,) = talk.sender.rto_series
    assert series.gaps_ns == [200 * MS, 400 * MS, 800 * MS]


def test_what_follows_a_timeout_is_no_timeout():
    """Segments that an acknowledgement lets out again were not sent by the timer."""
    talk = Conversation()
    for number in range(3):
        talk.sends(0, number * 1000)
    talk.acknowledges(0.1, 0)
    talk.sends(210, 0)
    talk.acknowledges(211, 1000)
    talk.sends(211.1, 1000)
    assert talk.sender.retransmits == {"syn": 0, "fast": 0, "timeout": 1, "other": 1}


def test_a_long_path_does_not_make_timeouts():
    """A retransmission one round trip of 300 ms later is within the timer."""
    talk = Conversation()
    talk.sends(0, 0)
    talk.acknowledges(300, 1000)
    talk.sends(300, 1000)
    talk.sends(650, 1000)
    assert talk.sender.retransmits["timeout"] == 0


def test_three_duplicate_acks_make_a_fast_retransmission():
    """At the hole with three duplicates, and at later holes below SACKed data."""
    talk = Conversation()
    for number in range(6):
        talk.sends(0, number * 1000)
    talk.acknowledges(10, 1000)
    talk.duplicates, talk.sacked_to = 3, talk.base + 6000
    talk.sends(11, 1000)
    talk.sends(11.1, 3000)
    assert talk.sender.retransmits == {"syn": 0, "fast": 2, "timeout": 0, "other": 0}


def test_a_fast_retransmission_that_is_lost_too_ends_in_a_timeout():
    """The second time the duplicates are old news and the timer sends."""
    talk = Conversation()
    for number in range(4):
        talk.sends(0, number * 1000)
    talk.acknowledges(10, 0)
    talk.duplicates = 3
    talk.sends(11, 0)
    talk.sends(300, 0)
    assert talk.sender.retransmits == {"syn": 0, "fast": 1, "timeout": 1, "other": 0}


def test_spurious_is_what_the_packets_prove():
    """Already acknowledged; reported twice by DSACK; or answered with an older timestamp: each counts once."""
    acknowledged = Conversation()
    acknowledged.sends(0, 0)
    acknowledged.acknowledges(10, 1000)
    acknowledged.sends(250, 0)
    assert acknowledged.sender.spurious == 1
    acknowledged.sender.received_twice(acknowledged.base, acknowledged.base + 1000)
    assert acknowledged.sender.spurious == 1

    reported = Conversation()
    reported.sends(0, 0)
    reported.sends(250, 0)
    reported.acknowledges(251, 1000)
    assert reported.sender.spurious == 0
    reported.sender.received_twice(reported.base, reported.base + 1000)
    reported.sender.received_twice(reported.base, reported.base + 1000)
    assert reported.sender.spurious == 1

    for echo, needless in ((100, 1), (350, 0), (None, 0)):
        echoed = Conversation()
        echoed.sends(0, 0, stamp=100)
        echoed.sends(250, 0, stamp=350)
        echoed.acknowledges(251, 1000, echo=echo)
        assert echoed.sender.spurious == needless


def test_a_hole_filled_at_once_was_reordering():
    """The missing segment a millisecond later was out of order; 300 ms later it was sent again."""
    for delay, out_of_order, retransmitted in ((1, 1, 0), (300, 0, 1)):
        talk = Conversation()
        talk.sends(0, 0)
        talk.sends(1, 2000)
        talk.sends(1 + delay, 1000)
        assert (talk.sender.out_of_order, talk.sender.retransmitted_segments) == (out_of_order, retransmitted)


def test_a_retransmission_cut_differently_is_found():
    """The tail of a large segment sent again spoils that segment's RTT sample."""
    talk = Conversation()
    talk.sends(0, 0, size=9000)
    talk.sends(250, 8000, size=1000)
    talk.acknowledges(260, 9000)
    assert (talk.sender.retransmitted_bytes, talk.sender.rtt_samples) == (1000, 0)


def test_acknowledged_bytes_that_nobody_saw_are_counted():
    """The capture dropped a segment: known from the acknowledgement."""
    talk = Conversation()
    talk.sends(0, 0)
    talk.acknowledges(1, 1000)
    talk.acknowledges(2, 3500)
    talk.sends(3, 3500)
    assert (talk.sender.unseen_bytes, talk.sender.retransmitted_segments) == (2500, 0)


def test_keepalives_and_window_probes_are_no_retransmissions():
    """One byte back with all acknowledged is a keep-alive; into a closed window it is a probe; unacknowledged, it is data."""
    talk = Conversation()
    talk.sends(0, 0, size=1)
    talk.sends(250, 0, size=1)
    talk.acknowledges(260, 1)
    talk.sends(75_000, 0, size=0)
    talk.sends(150_000, 0, size=1)
    talk.sends(200_000, 1, size=1, window=0)
    talk.sends(200_500, 0, size=0, window=0)
    sender = talk.sender
    assert (sender.keepalives, sender.window_probes, sender.retransmitted_segments) == (2, 2, 1)


def test_a_full_window_is_seen_when_new_data_reach_its_edge():
    """Only the segment that fills what the peer offered counts."""
    talk = Conversation()
    talk.acknowledges(0, 0)
    for number in range(3):
        talk.sends(1, number * 1000, window=3000)
    assert talk.sender.window_full == 1


def test_syn_and_fin_take_sequence_numbers():
    """A SYN sent again is of its own kind; the FIN is acknowledged beyond the data."""
    talk = Conversation()
    talk.sends(0, 0, size=0, flags=SYN)
    talk.sends(1000, 0, size=0, flags=SYN)
    talk.acknowledges(1001, 1)
    talk.sends(1002, 1, size=10, flags=ACK | FIN)
    talk.acknowledges(1003, 12)
    sender = talk.sender
    assert sender.retransmits["syn"] == 1
    assert (sender.acked, sender.next, sender.unseen_bytes) == (sender.next, 1012, 0)


def test_what_is_remembered_is_bounded_and_the_rest_is_counted():
    """Neither a window without end nor a one-way capture grows without end."""
    talk = Conversation()
    talk.acknowledges(0, 0)
    one_way = Conversation()
    for number in range(MAX_OUTSTANDING + 10):
        talk.sends(1, number * 1000)
        one_way.sends(1, number * 1000)
    assert talk.sender.untracked_segments == 10
    assert one_way.sender.untracked_segments > MAX_OUTSTANDING - 100
    one_way.sends(300, (MAX_OUTSTANDING + 9) * 1000)
    assert one_way.sender.retransmits["timeout"] == 1
