import contextlib
import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.kernel import inet_diag
from agent.kernel.parse_error import ParseError
from agent.kernel.ss import iter_ss
from agent.kernel.tcp_info import OFFSETS
from agent.socket_census import DumpRefusedError, SocketCensus
from agent.socket_groups import SocketGroup

PEER = SocketGroup("peer", ("10.0.0.1",))
DONE = struct.pack("=IHHIIi", 20, inet_diag.NLMSG_DONE, 2, 1, 0, 0)
LONG = ("busy_us", "rwnd_limited_us", "sndbuf_limited_us", "bytes_sent", "bytes_retrans", "delivery_rate")


def sock(
    cookie,
    remote=(10, 0, 0, 1),
    congestion=b"cubic\0",
    port=443,
    flags=2,
    length=280,
    *,
    shutdown_last=False,
    **fields,
):
    """One message as Linux 6.18 sends it."""
    data = bytearray(length)
    for name, value in {"snd_cwnd": 10, "rtt_us": 1000, "snd_ssthresh": 2**31 - 1, **fields}.items():
        struct.pack_into("=Q" if name in LONG else "=I", data, OFFSETS[name], value)
    attributes = [(inet_diag.INFO, bytes(data)), (inet_diag.CONG, congestion)]
    attributes.insert(2 if shutdown_last else 0, (inet_diag.SHUTDOWN, b"\0"))
    body = b"".join(
        struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
        for kind, value in attributes
    )
    fixed = struct.pack("=4B2s2s16s16sIQ5I", 2, 1, 0, 0, b"\x9c\x40", port.to_bytes(2, "big"), bytes(16),
                        bytes(remote) + bytes(12), 0, cookie, *[0] * 5)  # fmt: skip
    return struct.pack("=IHHII", 88 + len(body), 20, flags, 1, 0) + fixed + body


def read(census, *messages):
    census.feed(b"".join(messages) + DONE)
    return [reading for reading in census.settle() if reading is not None][-1]


def peer(census, *messages):
    return read(census, *messages).groups["peer"]


def test_the_first_reading_tells_of_the_moment_but_of_no_traffic():
    """Windows and times are known at once; what was sent before anyone looked is not what was sent now."""
    found = peer(
        SocketCensus([PEER]), sock(1, bytes_sent=10**9, rtt_us=20_000, min_rtt_us=15_000, delivery_rate=1000)
    )
    assert found.connections == 1
    assert found.rtt_seconds.p50 == 0.02
    assert found.min_rtt_seconds.maximum == 0.015
    assert found.cwnd_segments.p99 == 10
    assert found.delivery_rate_bits_per_second.minimum == 8000
    assert found.congestion == {"cubic": 1}
    assert found.traffic is found.opened is found.closed is None


def test_the_ratio_is_of_bytes_since_the_reading_before():
    """Two sockets that go on and one that began: what each added counts once."""
    census = SocketCensus([PEER])
    peer(census, sock(1, bytes_sent=5_000_000, bytes_retrans=5_000_000), sock(2, bytes_sent=7))
    found = peer(census, sock(1, bytes_sent=6_000_000, bytes_retrans=5_010_000), sock(2, bytes_sent=7),
                 sock(3, bytes_sent=1_000_000, bytes_retrans=30_000))  # fmt: skip
    assert (found.traffic.sent, found.traffic.retransmitted) == (2_000_000, 40_000)
    assert found.traffic.retransmit_ratio() == 0.02
    assert (found.opened, found.closed) == (1, 0)


def test_a_closed_socket_is_counted_and_forgotten():
    """Its traffic up to the reading before stays counted, its end is seen, and its cookie is new when it returns."""
    census = SocketCensus([PEER])
    peer(census, sock(1, bytes_sent=100), sock(2))
    found = peer(census, sock(2))
    assert (found.closed, found.connections, found.traffic.sent) == (1, 1, 0)
    peer(census, sock(2))
    assert peer(census, sock(1, bytes_sent=150), sock(2)).traffic.sent == 150


def test_a_socket_that_a_dump_missed_has_not_sent_all_its_bytes_now():
    """Back after one reading without it, only what it added since is counted, and it was not opened."""
    census = SocketCensus([PEER])
    peer(census, sock(1, bytes_sent=10**9), sock(2))
    peer(census, sock(2))
    found = peer(census, sock(1, bytes_sent=10**9 + 7), sock(2))
    assert (found.traffic.sent, found.opened) == (7, 0)


def test_a_socket_that_a_dump_gives_twice_counts_once():
    """The second sight adds neither a connection nor traffic."""
    census = SocketCensus([PEER])
    peer(census, sock(1, bytes_sent=100))
    found = peer(census, sock(1, bytes_sent=150), sock(2), sock(1, bytes_sent=160))
    assert (found.connections, found.traffic.sent, found.opened) == (2, 50, 1)


def test_too_little_traffic_gives_no_ratio():
    """Below a million bytes the ratio is noise, and no traffic is no ratio either."""
    census = SocketCensus([PEER])
    peer(census, sock(1))
    assert peer(census, sock(1, bytes_sent=999_999, bytes_retrans=500_000)).traffic.retransmit_ratio() is None
    assert peer(census, sock(1, bytes_sent=999_999, bytes_retrans=500_000)).traffic.retransmit_ratio() is None


def test_what_held_the_senders_back_is_a_share_of_their_busy_time():
    """Receive-window and send-buffer waits over the busy time of the interval, all sockets together."""
    census = SocketCensus([PEER])
    peer(census, sock(1, busy_us=10**6), sock(2))
    traffic = peer(
        census,
        sock(1, busy_us=3 * 10**6, rwnd_limited_us=10**6),
        sock(2, busy_us=2 * 10**6, sndbuf_limited_us=10**6),
    ).traffic
    assert (traffic.busy_seconds, traffic.rwnd_limited_ratio(), traffic.sndbuf_limited_ratio()) == (
        4,
        0.25,
        0.25,
    )
    assert (
        peer(census, sock(1, busy_us=3 * 10**6, rwnd_limited_us=10**6)).traffic.rwnd_limited_ratio() is None
    )


def test_figures_not_yet_measured_are_left_out():
    """A fresh socket has no RTT, minimum, rate or ssthresh; it must not pull their quantiles to 0 or to infinity."""
    found = peer(
        SocketCensus([PEER]),
        sock(1, rtt_us=0, min_rtt_us=0xFFFFFFFF),
        sock(2, snd_ssthresh=20, min_rtt_us=900),
    )
    assert found.connections == 2
    assert found.rtt_seconds.minimum == 0.001
    assert found.min_rtt_seconds.maximum == 0.0009
    assert found.delivery_rate_bits_per_second is None
    assert (found.ssthresh_unset, found.ssthresh_segments.maximum) == (1, 20)


def test_groups_share_sockets_by_address_and_port():
    """A socket belongs to every group that its remote address and one of its ports fit."""
    census = SocketCensus([PEER, SocketGroup("ten", ("10.0.0.0/8",)), SocketGroup("web", ports=(443,)),
                           SocketGroup("peer web", ("10.0.0.1",), (443,))])  # fmt: skip
    found = read(
        census, sock(1), sock(2, port=22), sock(3, remote=(10, 9, 9, 9)), sock(4, remote=(192, 0, 2, 1))
    ).groups
    assert {name: group.connections for name, group in found.items()} == {
        "peer": 2,
        "ten": 3,
        "web": 3,
        "peer web": 1,
    }


def test_algorithms_of_mixed_layout_are_counted():
    """Messages of different length and order in one read are all read, whatever their sequence."""
    names = [b"cubic\0", b"bbr\0", b"cubic\0", b"cubic\0", b"dctcp-reno\0", b"bbr\0"]
    found = peer(
        SocketCensus([PEER]),
        *(sock(i, congestion=name, length=280 - 8 * (i % 2)) for i, name in enumerate(names)),
    )
    assert found.congestion == {"cubic": 3, "bbr": 2, "dctcp-reno": 1}


def test_messages_of_one_length_but_another_order_are_told_apart():
    """In one read, an attribute in another place does not shift the figures."""
    found = peer(SocketCensus([PEER]), sock(1), sock(2, shutdown_last=True, snd_cwnd=77), sock(3))
    assert found.connections == 3
    assert (found.cwnd_segments.minimum, found.cwnd_segments.maximum) == (10, 77)
    assert found.congestion == {"cubic": 3}


def test_a_cut_is_visible_and_spoils_no_difference():
    """Beyond the maximum nothing is read, the reading says so, and old sockets seen next are not taken for new."""
    census = SocketCensus([PEER], maximum=2)
    cut = read(census, sock(1), sock(2), sock(3, bytes_sent=10**9))
    assert (cut.cut, cut.sockets) == (True, 2)
    found = peer(census, sock(2, bytes_sent=5), sock(3, bytes_sent=10**9))
    assert found.traffic.sent == 5
    assert found.opened is found.closed is None
    assert not read(census, sock(2), sock(3)).cut


def test_a_lost_part_is_visible():
    """ENOBUFS, or the kernel's own mark that its tables changed, make the reading interrupted."""
    census = SocketCensus([PEER])
    census.lost()
    assert read(census).interrupted
    assert read(census, sock(1, flags=2 | inet_diag.NLM_F_DUMP_INTR)).interrupted
    assert not read(census, sock(1)).interrupted


def test_an_old_kernel_counts_segments():
    """Linux 4.4 (144 bytes of tcp_info) gives a ratio of segments and no times."""
    census = SocketCensus([PEER])
    peer(census, sock(1, length=144, segs_out=10))
    traffic = peer(census, sock(1, length=144, segs_out=2010, total_retrans=20)).traffic
    assert (traffic.unit, traffic.retransmit_ratio()) == ("segments", 0.01)
    assert traffic.busy_seconds is traffic.rwnd_limited_ratio() is None


def test_a_reused_cookie_is_a_new_socket():
    """Totals that fell are another socket's: all of them were sent since."""
    census = SocketCensus([PEER])
    peer(census, sock(1, bytes_sent=10**9, busy_us=9))
    found = peer(census, sock(1, bytes_sent=50, busy_us=10)).traffic
    assert (found.sent, found.busy_seconds) == (50, 10e-6)


def test_a_refused_dump_gives_its_errno():
    """A kernel without inet_diag answers with ENOENT."""
    with pytest.raises(DumpRefusedError) as caught:
        SocketCensus([PEER]).feed(
            struct.pack("=IHHIIi", 36, inet_diag.NLMSG_ERROR, 0, 1, 0, -errno.ENOENT) + bytes(16)
        )
    assert caught.value.errno == errno.ENOENT


LISTING = """ESTAB 0 0 10.0.0.2:40000 10.0.0.1:443 ino:1 sk:a <->
\t cubic rto:204 rtt:20/1 cwnd:10 bytes_sent:{sent} bytes_retrans:{retrans} busy:4000ms rwnd_limited:1000ms(25.0%) minrtt:15
ESTAB 0 0 [::ffff:10.0.0.2]:40000 [::ffff:10.0.0.1]:443 ino:1 sk:b <->
\t bbr rto:204 rtt:20/1 cwnd:10 ssthresh:7
TIME-WAIT 0 0 10.0.0.2:40001 10.0.0.1:443 ino:0 sk:c
"""


def listed(census, text):
    for socket in iter_ss(text.encode()):
        census.take(socket, "bytes")
    return [reading for reading in census.settle() if reading is not None][-1]


def test_a_listing_gives_what_a_dump_gives():
    """The text of `ss -tine` makes the same groups, quantiles and ratio."""
    census = SocketCensus([PEER])
    listed(census, LISTING.format(sent=1000, retrans=0))
    reading = listed(census, LISTING.format(sent=2_001_000, retrans=100_000))
    found = reading.groups["peer"]
    assert (reading.source, reading.sockets, found.connections) == ("ss", 3, 2)
    assert found.traffic.retransmit_ratio() == 0.05
    assert (found.rtt_seconds.p50, found.min_rtt_seconds.maximum) == (0.02, 0.015)
    assert (found.ssthresh_unset, found.congestion) == (1, {"cubic": 1, "bbr": 1})


WHOLE = sock(1) + sock(2, congestion=b"bbr\0") + DONE


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 8), st.binary(max_size=8))
def test_a_damaged_dump_is_counted_or_refused(start, length, replacement):
    """No damage raises anything but ParseError or the kernel's own refusal, and none hangs."""
    census = SocketCensus([PEER, SocketGroup("all")])
    with contextlib.suppress(ParseError, DumpRefusedError):
        census.feed(WHOLE[:start] + replacement + WHOLE[start + length :])
    assert [reading for reading in census.settle() if reading is not None][-1].sockets <= 3


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 9), st.integers(0, 1000)), unique_by=lambda t: t[0]),
        min_size=2,
        max_size=5,
    )
)
def test_traffic_is_the_sum_of_what_each_socket_added(readings):
    """For any comings and goings: a socket of the last two readings adds its difference, a new one all it has."""
    census, before, missed = SocketCensus([PEER]), None, {}
    for reading in readings:
        now = dict(reading)
        found = peer(census, *(sock(cookie, bytes_sent=sent) for cookie, sent in now.items()))
        if before is not None:
            known = missed | before
            added = sum(
                sent - known.get(cookie, 0) if sent >= known.get(cookie, 0) else sent
                for cookie, sent in now.items()
            )
            assert found.traffic is None or found.traffic.sent == added
            assert (found.opened, found.closed) == (len(now.keys() - known), len(before.keys() - now))
            missed = {cookie: sent for cookie, sent in before.items() if cookie not in now}
        before = now
