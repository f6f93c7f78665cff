"""The reflector counts each sender's session by itself, and forgets within bounds."""

from agent.stamp import reflector as module
from agent.stamp.packet import Request, ntp_of, pack_request, parse_reply, unix_ns_of
from agent.stamp.reflector import FORGOTTEN_AFTER_NS, Reflector, reply_to

REQUEST = Request(9, ntp_of(5), 0x8501, 3)
ALICE, BOB = ("192.0.2.1", 4000), ("192.0.2.2", 4000)


def test_every_session_counts_from_zero():
    """Address, port and session identifier each make a session of its own."""
    reflector = Reflector()
    other = REQUEST._replace(session=4)
    asked = [
        (ALICE, REQUEST),
        (BOB, REQUEST),
        (ALICE, REQUEST),
        (ALICE, other),
        (("192.0.2.1", 4001), REQUEST),
    ]
    assert [reflector.count(who, what, 0) for who, what in asked] == [0, 0, 1, 0, 0]


def test_lost_requests_leave_no_gap():
    """The count is of what arrived, whatever the sender's numbers are: that is what tells the directions apart."""
    reflector = Reflector()
    numbers = [reflector.count(ALICE, REQUEST._replace(sequence=sequence), 0) for sequence in (0, 5, 6, 50)]
    assert numbers == [0, 1, 2, 3]


def test_silent_session_begins_anew():
    """After the wait time a session's count starts over."""
    reflector = Reflector()
    assert reflector.count(ALICE, REQUEST, 0) == 0
    assert reflector.count(ALICE, REQUEST, FORGOTTEN_AFTER_NS) == 1
    assert reflector.count(ALICE, REQUEST, 2 * FORGOTTEN_AFTER_NS + 1) == 0


def test_number_of_sessions_is_bounded(monkeypatch):
    """A flood of sources takes no more memory than the bound, and an active session survives it."""
    monkeypatch.setattr(module, "MOST_SESSIONS", 10)
    reflector = Reflector()
    for port in range(100):
        assert reflector.count(ALICE, REQUEST, 0) == port
        reflector.count(("198.51.100.1", port), REQUEST, 0)
    assert len(reflector) == 10


def test_reply_says_what_the_sender_needs():
    """T2, T3, the copied request and the TTL it arrived with; T3 is asked for last."""
    data = pack_request(REQUEST, None)
    reply = parse_reply(reply_to(REQUEST, data, 7, 10_000, 61, 0x8502, None, lambda: 11_000), None)
    assert (unix_ns_of(reply.received, ptp=False), unix_ns_of(reply.sent, ptp=False)) == (10_000, 11_000)
    assert (reply.sequence, reply.sender_sequence, reply.sender_timestamp) == (7, 9, REQUEST.timestamp)
    assert (reply.sender_error, reply.error, reply.session, reply.sender_ttl) == (0x8501, 0x8502, 3, 61)
