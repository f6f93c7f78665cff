"""A channel pairs stamps by number, also after a send that failed; nothing left over gets to the wrong packet."""

import errno
import struct
import time

import pytest

from agent.flight import Book, Flight, Instant, Volley
from agent.net.channel import Channel
from agent.net.endpoint import Endpoint
from agent.net.timestamp import MSG_ERRQUEUE, SO_TIMESTAMPING
from agent.sample import Burst
from agent.wire.series import Family

ADDRESS = ("192.0.2.9", 10981)


class FakeSocket:
    """Queues that the test fills; sends fail with the errors in `failures`, one each."""

    def __init__(self):
        self.reports, self.failures, self.sent, self.switched_on = [], [], 0, 0

    def fileno(self):
        return 7

    def setsockopt(self, _level, option, _value):
        self.switched_on += option == SO_TIMESTAMPING

    def sendto(self, _packet, _address):
        if self.failures:
            raise OSError(self.failures.pop(0), "told")
        self.sent += 1

    def recvmsg(self, _size, _control, flags=0):
        if flags == MSG_ERRQUEUE and self.reports:
            return b"", self.reports.pop(0), 0, ADDRESS
        raise BlockingIOError

    def stamp(self, number, stamp_ns):
        seconds, nanoseconds = divmod(stamp_ns, 10**9)
        stamp = struct.pack("=qq32x", seconds, nanoseconds)
        self.reports.append([(1, 37, stamp), (0, 11, struct.pack("=IBBBBII16x", 42, 4, 0, 0, 0, 0, number))])


class FakePoller:
    def register(self, *_):
        pass


class Deaf:
    """A session that expects nothing."""

    def __init__(self):
        self.book = Book(lambda *_: pytest.fail("nothing was answered"))


@pytest.fixture
def sock():
    return FakeSocket()


@pytest.fixture
def channel(sock):
    return Channel(FakePoller(), Endpoint(sock, Family.IPV4), Deaf())


def send(channel):
    volley = Volley(Burst(None, 1.0, [], None, lambda *_: None, lambda *_: None), Instant(0, 0))
    flight = Flight(volley, None, None)
    channel.send(b"packet", ADDRESS, flight)
    return flight


def test_stamps_go_to_the_packets_whose_number_they_bear(channel, sock):
    """Whatever order the kernel reports them in."""
    flights = [send(channel) for _ in range(3)]
    now = time.time_ns()
    for number in (2, 0, 1):
        sock.stamp(number, now + number)
    channel.read_reports()
    assert [flight.tx_ns for flight in flights] == [now, now + 1, now + 2]


def test_stamp_from_before_its_packet_was_sent_is_a_leftover(channel, sock):
    """It belongs to a packet of an earlier count; the packet's own stamp still finds it."""
    flight = send(channel)
    sock.stamp(0, flight.sent_ns - 1)
    channel.read_reports()
    assert flight.tx_ns is None
    sock.stamp(0, flight.sent_ns + 5)
    channel.read_reports()
    assert flight.tx_ns == flight.sent_ns + 5


@pytest.mark.parametrize("failures", [[errno.ECONNREFUSED], [errno.ENOBUFS, errno.ENOBUFS]])
def test_after_a_failed_send_the_count_begins_anew(channel, sock, failures):
    """Whether it used up a number is unknown, so the kernel is told to count from 0 again, once more if it fails again."""
    send(channel)
    sock.failures = list(failures)
    if len(failures) > 1:
        with pytest.raises(OSError, match="told"):
            send(channel)
    else:
        send(channel)
    before = sock.switched_on
    assert before > 0
    numbered = send(channel)
    expected = 1 if len(failures) == 1 else 0
    sock.stamp(expected, numbered.sent_ns + 1)
    channel.read_reports()
    assert numbered.tx_ns == numbered.sent_ns + 1


def test_packets_that_never_get_a_stamp_are_given_up(channel):
    """Memory is bounded where a queue drops every packet before the driver."""
    for _ in range(10_000):
        send(channel)
    assert len(channel._unstamped) < 5_000
