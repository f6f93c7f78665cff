"""The STAMP sender: four stamps make the round trip, each direction's figures, or none where they cannot be known."""

import errno
import struct

import pytest

from agent.net.timestamp import PacketError
from agent.probes.udp import UDP_KIND, Options
from agent.stamp.packet import (
    ErrorEstimate,
    Reply,
    error_bits_of,
    key_of,
    ntp_of,
    pack_error,
    pack_reply,
    parse_request,
)
from agent.wire.series import Family, Outcome
from scripted_packets import PEER, T0, ScriptedNetwork, one_burst, one_sample, target

KEY_TEXT = "ab" * 32
MS = 1_000_000


class Peer:
    """A reflector at the end of a scripted path: 4 ms there, 6 ms back, 2 ms in its hands, its clock 1 s ahead."""

    def __init__(self, key=None, *, error=error_bits_of(None), clock_ns=1000 * MS, ssid=True) -> None:  # noqa: B008
        self.key, self.error, self.clock_ns, self.ssid = key, error, clock_ns, ssid
        self.number = 0
        self.lose = ""
        self.extra_ns = 0
        self.copies = 1
        self.answered = 0

    def __call__(self, channel) -> None:
        for index in range(self.answered, len(channel.sent)):
            sent_ns = T0 + index * 100 * MS
            channel.stamp(index, sent_ns)
            if self.lose != "forward":
                replies = [self.reply(channel.sent[index][0], sent_ns) for _ in range(self.copies)]
                for reply in replies if self.lose != "backward" else ():
                    channel.receive(reply, sent_ns + 12 * MS + self.extra_ns, address=channel.sent[index][1])
        self.answered = len(channel.sent)

    def reply(self, packet, sent_ns) -> bytes:
        request = parse_request(packet, self.key)
        received_ns = sent_ns + 4 * MS + self.extra_ns + self.clock_ns
        number, self.number = self.number, self.number + 1
        reply = Reply(
            number,
            ntp_of(received_ns + 2 * MS),
            self.error,
            request.session if self.ssid else 0,
            ntp_of(received_ns),
            request.sequence,
            request.timestamp,
            request.error,
            59,
        )
        return pack_reply(reply, self.key, packet)


async def test_round_trip_leaves_the_reflectors_time_out():
    """12 ms between our stamps, 2 of them at the reflector: the round trip is 10 ms, the 2 ms are told apart."""
    sample = await one_sample(UDP_KIND, ScriptedNetwork(UDP_KIND), Options(), Peer())
    assert (sample.outcome, sample.rtt_ns, sample.result["reflector_ns"]) == (Outcome.OK, 10 * MS, 2 * MS)
    assert (sample.result["ttl"], sample.result["ttl_forward"]) == (60, 59)


async def test_reflector_without_session_identifiers_is_understood():
    """RFC 8762 alone has zeros there."""
    sample = await one_sample(UDP_KIND, ScriptedNetwork(UDP_KIND), Options(), Peer(ssid=False))
    assert sample.outcome is Outcome.OK


async def test_ptp_stamps_of_the_reflector_are_understood():
    """Its Z flag says how to read T2 and T3; the round trip is the same."""

    class PtpPeer(Peer):
        def reply(self, packet, sent_ns):
            reply = bytearray(super().reply(packet, sent_ns))
            struct.pack_into("!II", reply, 16, T0 // 10**9, 4 * MS)
            struct.pack_into("!II", reply, 4, T0 // 10**9, 6 * MS)
            return bytes(reply)

    network = ScriptedNetwork(UDP_KIND)
    network.own_clock_error_ns = 1000
    peer = PtpPeer(error=pack_error(ErrorEstimate(synchronised=True, error_ns=1000, ptp=True)))
    sample = await one_sample(UDP_KIND, network, Options(), peer)
    assert sample.rtt_ns == 10 * MS
    assert "delay_forward_ns" not in sample.result, "its epoch may be TAI or UTC"


async def test_one_way_delay_needs_both_clocks_word():
    """Given only when both are synchronised, with the sum of what both can be off."""
    stated = error_bits_of(3 * MS)
    for ours, theirs, known in (
        (2 * MS, stated, True),
        (None, stated, False),
        (2 * MS, error_bits_of(None), False),
    ):
        network = ScriptedNetwork(UDP_KIND)
        network.own_clock_error_ns = ours
        result = (await one_sample(UDP_KIND, network, Options(), Peer(error=theirs, clock_ns=0))).result
        assert ("delay_forward_ns" in result) is known
    network = ScriptedNetwork(UDP_KIND)
    network.own_clock_error_ns = 2 * MS
    result = (await one_sample(UDP_KIND, network, Options(), Peer(error=stated, clock_ns=0))).result
    assert (result["delay_forward_ns"], result["delay_backward_ns"]) == (4 * MS, 6 * MS)
    assert result["one_way_error_seconds"] == pytest.approx(0.005, rel=0.01)


@pytest.mark.parametrize("clock_ns", [-5 * MS, 7 * MS])
async def test_negative_one_way_delay_is_withheld(clock_ns):
    """Clocks that say they agree but make one direction negative: neither direction is shown."""
    network = ScriptedNetwork(UDP_KIND)
    network.own_clock_error_ns = 1
    result = (
        await one_sample(UDP_KIND, network, Options(), Peer(error=error_bits_of(1), clock_ns=clock_ns))
    ).result
    assert "delay_forward_ns" not in result
    assert "delay_backward_ns" not in result


async def test_variation_of_each_direction_needs_no_clock():
    """3 ms more on the way there shows forward, not backward, with clocks a second apart."""
    network, peer = ScriptedNetwork(UDP_KIND), Peer()
    await one_sample(UDP_KIND, network, Options(), peer)
    peer.extra_ns = 3 * MS
    result = (await one_sample(UDP_KIND, network, Options(), peer)).result
    assert (result["variation_forward_ns"], result["variation_backward_ns"]) == (3 * MS, 0)


@pytest.mark.parametrize(("whose", "step_ns"), [("ours", 2 * MS), ("theirs", 50 * MS)])
async def test_clock_step_makes_no_variation(whose, step_ns):
    """A clock set between two probes is no delay. Ours is seen directly, theirs when no path could explain it."""
    network, peer = ScriptedNetwork(UDP_KIND), Peer()
    await one_sample(UDP_KIND, network, Options(), peer)
    peer.clock_ns += step_ns
    if whose == "ours":
        network.offset_ns -= step_ns

        def script(channel):
            channel.receive, whole = (
                (lambda *a, **k: whole(*a, **k, offset_ns=network.offset_ns)),
                channel.receive,
            )
            peer(channel)

        sample = await one_sample(UDP_KIND, network, Options(), script)
    else:
        sample = await one_sample(UDP_KIND, network, Options(), peer)
    assert sample.outcome is Outcome.OK
    assert (sample.result["variation_forward_ns"], sample.result["variation_backward_ns"]) == (0, 0)


async def test_losses_are_attributed_with_the_next_reply():
    """One lost each way, then an answer: it carries both counts."""
    network, peer = ScriptedNetwork(UDP_KIND), Peer()
    await one_sample(UDP_KIND, network, Options(), peer)
    for peer.lose in ("forward", "backward"):
        assert (await one_sample(UDP_KIND, network, Options(), peer)).outcome is Outcome.TIMEOUT
    peer.lose = ""
    result = (await one_sample(UDP_KIND, network, Options(), peer)).result
    assert (result["lost_forward"], result["lost_backward"]) == (1, 1)


async def test_stateless_reflector_tells_no_directions():
    """Where the operator says that it copies our numbers, the counts are absent, not 0."""
    result = (await one_sample(UDP_KIND, ScriptedNetwork(UDP_KIND), Options(stateless=True), Peer())).result
    assert "lost_forward" not in result


async def test_doubled_packets_are_counted():
    """Two reflections of one request: a duplicate of the way there."""
    network, peer = ScriptedNetwork(UDP_KIND), Peer()
    peer.copies = 2
    await one_sample(UDP_KIND, network, Options(), peer)
    result = (await one_sample(UDP_KIND, network, Options(), peer)).result
    assert result["duplicated_forward"] == 1


async def test_reflector_that_contradicts_itself_is_invalid():
    """Sent before received, or longer there than the whole trip took: no time is made of it."""

    class Muddled(Peer):
        held_ns = 0

        def reply(self, packet, sent_ns):
            reply = bytearray(super().reply(packet, sent_ns))
            reply[4:12] = ntp_of(sent_ns + 4 * MS + self.clock_ns + self.held_ns)
            return bytes(reply)

    for Muddled.held_ns in (-1, 13 * MS):
        sample = await one_sample(UDP_KIND, ScriptedNetwork(UDP_KIND), Options(), Muddled())
        assert (sample.outcome, sample.rtt_ns) == (Outcome.INVALID, None)


async def test_reply_that_did_not_see_the_request_is_ignored():
    """Who guesses port and sequence number but not the request's timestamp answers nothing."""

    class Blind(Peer):
        def reply(self, packet, sent_ns):
            reply = bytearray(super().reply(packet, sent_ns))
            reply[28] ^= 1
            return bytes(reply)

    assert (
        await one_sample(UDP_KIND, ScriptedNetwork(UDP_KIND), Options(), Blind())
    ).outcome is Outcome.TIMEOUT


async def test_authenticated_mode_takes_signed_replies_only():
    """With a key packets have 112 octets, and a reply signed with another key is none."""
    network = ScriptedNetwork(UDP_KIND)
    network.secrets["/key"] = KEY_TEXT
    sample = await one_sample(UDP_KIND, network, Options(key_file="/key"), Peer(key_of(KEY_TEXT)))
    assert sample.outcome is Outcome.OK
    assert len(network.channels[Family.IPV4].sent[0][0]) == 112

    def forge(channel):
        packet, _, _ = channel.sent[-1]
        channel.stamp()
        channel.receive(
            pack_reply(Reply(1, b"\0" * 8, 0, 0, b"\0" * 8, 1, b"\0" * 8, 0, 0), bytes(32), packet), T0
        )

    assert (await one_sample(UDP_KIND, network, Options(key_file="/key"), forge)).outcome is Outcome.TIMEOUT


async def test_missing_key_is_unavailable():
    """A key file that holds no key: the probe says what it lacks, and sends nothing unsigned."""
    network = ScriptedNetwork(UDP_KIND)
    network.secrets["/key"] = "short"
    sample = await one_sample(UDP_KIND, network, Options(key_file="/key"))
    assert sample.outcome is Outcome.UNAVAILABLE
    assert "/key" in sample.detail
    assert not network.channels[Family.IPV4].sent


@pytest.mark.parametrize("quoted_bytes", [0, 44])
async def test_closed_port_is_refused(quoted_bytes):
    """Port unreachable from the peer itself, however much of our packet it quotes."""
    error = PacketError(errno.ECONNREFUSED, 3, 3, 0, PEER[Family.IPV4])

    def script(channel):
        packet, address, _ = channel.sent[-1]
        channel.session.failed(packet[:quoted_bytes], address, error)

    assert (
        await one_sample(UDP_KIND, ScriptedNetwork(UDP_KIND), Options(), script)
    ).outcome is Outcome.REFUSED


async def test_every_target_has_a_session_of_its_own():
    """Two peers at once: each its numbers from 0 and its own identifier."""
    network = ScriptedNetwork(UDP_KIND)
    for _ in range(2):
        await one_burst(UDP_KIND, network, Options(), target(name="fra"), target(Family.IPV6, name="nyc"))
    for family in Family:
        requests = [parse_request(packet, None) for packet, _, _ in network.channels[family].sent]
        assert [request.sequence for request in requests] == [0, 1]
        assert len({request.session for request in requests}) == 1
        assert requests[0].session != 0
