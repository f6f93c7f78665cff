"""SYNs are byte for byte scapy's; answers are paired by port and sequence number and judged once."""

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.flight import CLOCK_STEP_NS, LATE_NS, Unavailable
from agent.kernel.parse_error import ParseError
from agent.net.timestamp import PacketError
from agent.probes.syn import MOST_LEGS, SYN_KIND, Options, Trail, parse_answer
from agent.wire.series import Family, Outcome
from scripted_packets import PEER, PORTS, SOURCE, T0, ScriptedNetwork, one_burst, one_sample, target

FLAGS = {"SA": 0x12, "RA": 0x14, "A": 0x10}
ONCE = Options(legs=0)


def answer_to(syn, flags="SA", ack=None):
    """The peer's segment for a SYN, with an IPv4 header as a raw socket shows it."""
    source_port, port, sequence = struct.unpack_from("!HHI", syn)
    acknowledged = (sequence + 1) % 2**32 if ack is None else ack
    segment = struct.pack("!HHIIBBHHH", port, source_port, 7, acknowledged, 5 << 4, FLAGS[flags], 0, 0, 0)
    return bytes([0x45]) + bytes(19) + segment


def answered(flags="SA", rtt_ns=15_000_000, **arrival):
    """A script: every packet is stamped at T0 and answered."""

    def script(channel):
        for index, (packet, _, flight) in enumerate(channel.sent):
            if flight.tx_ns is None:
                channel.stamp(index)
                channel.receive(answer_to(packet, flags), T0 + rtt_ns, **arrival)

    return script


async def test_syn_ack_gives_the_time_between_the_stamps():
    """An open port: ok with rx − tx to the nanosecond."""
    sample = await one_sample(SYN_KIND, ScriptedNetwork(SYN_KIND), ONCE, answered())
    assert (sample.outcome, sample.rtt_ns) == (Outcome.OK, 15_000_000)


async def test_closed_port_is_refused_with_its_time():
    """A RST is an answer: refused, with the round trip, or ok where the operator wants that."""
    network = ScriptedNetwork(SYN_KIND)
    sample = await one_sample(SYN_KIND, network, ONCE, answered("RA"))
    assert (sample.outcome, sample.rtt_ns) == (Outcome.REFUSED, 15_000_000)
    lenient = Options(legs=0, refused_is_answer=True)
    assert (await one_sample(SYN_KIND, network, lenient, answered("RA"))).outcome is Outcome.OK


async def test_silent_port_is_a_timeout():
    """No answer: timeout, without a time."""
    sample = await one_sample(SYN_KIND, ScriptedNetwork(SYN_KIND), ONCE)
    assert (sample.outcome, sample.rtt_ns) == (Outcome.TIMEOUT, None)


async def test_bare_ack_of_a_peer_that_remembers_the_port_is_an_answer():
    """A challenge ACK has a number of its own; it answers the one SYN that waits on that port."""

    def script(channel):
        channel.stamp()
        syn = channel.sent[-1][0]
        channel.receive(answer_to(syn, "A", ack=12345), T0 + 9_000, address=(PEER[Family.IPV4], 0))

    sample = await one_sample(SYN_KIND, ScriptedNetwork(SYN_KIND), ONCE, script)
    assert (sample.outcome, sample.rtt_ns) == (Outcome.OK, 9_000)


async def test_answer_to_another_sequence_number_is_nobodys():
    """The port alone does not pair: it comes back."""

    def script(channel):
        channel.stamp()
        channel.receive(answer_to(channel.sent[-1][0], ack=99), T0 + 1)

    assert (await one_sample(SYN_KIND, ScriptedNetwork(SYN_KIND), ONCE, script)).outcome is Outcome.TIMEOUT


async def test_without_a_tx_stamp_there_is_no_time():
    """Answered, but the kernel never said when the SYN left: invalid, not a guess."""
    sample = await one_sample(
        SYN_KIND,
        ScriptedNetwork(SYN_KIND),
        ONCE,
        lambda channel: channel.receive(answer_to(channel.sent[-1][0]), T0 + 5),
    )
    assert (sample.outcome, sample.rtt_ns) == (Outcome.INVALID, None)
    assert "did not stamp the probe" in sample.detail


async def test_tx_stamp_may_come_after_the_answer():
    """The order in which the kernel hands things over does not matter."""

    def script(channel):
        channel.receive(answer_to(channel.sent[-1][0]), T0 + 5)
        channel.stamp()

    assert (await one_sample(SYN_KIND, ScriptedNetwork(SYN_KIND), ONCE, script)).rtt_ns == 5


@pytest.mark.parametrize(
    ("offset_ns", "outcome"),
    [
        (CLOCK_STEP_NS + 1, Outcome.INVALID),
        (-CLOCK_STEP_NS - 1, Outcome.INVALID),
        (CLOCK_STEP_NS, Outcome.OK),
    ],
)
async def test_wall_clock_set_under_way_spoils_the_sample(offset_ns, outcome):
    """The stamps are of the wall clock: a step between them is noticed against the monotonic clock."""
    sample = await one_sample(SYN_KIND, ScriptedNetwork(SYN_KIND), ONCE, answered(offset_ns=offset_ns))
    assert sample.outcome is outcome


async def test_answer_stamped_before_the_probe_is_invalid():
    """A negative round trip is never shown."""
    sample = await one_sample(SYN_KIND, ScriptedNetwork(SYN_KIND), ONCE, answered(rtt_ns=-1))
    assert sample.outcome is Outcome.INVALID


async def test_second_syn_ack_is_counted_once_and_only_soon():
    """A copy within 0.9 s is a duplicate; later it is the peer's own retransmission."""

    def script(channel):
        if len(channel.sent) == 1:
            channel.stamp()
            for after_ns in (5, 9, 900_000_006):
                channel.receive(answer_to(channel.sent[-1][0]), T0 + after_ns)

    network = ScriptedNetwork(SYN_KIND)
    assert (await one_sample(SYN_KIND, network, ONCE, script)).result["duplicates"] == 0
    assert (await one_sample(SYN_KIND, network, ONCE)).result["duplicates"] == 1
    assert (await one_sample(SYN_KIND, network, ONCE)).result["duplicates"] == 0


async def test_late_answer_is_counted_with_the_next_sample():
    """After the deadline the outcome stays timeout; the answer shows as late, once."""
    network = ScriptedNetwork(SYN_KIND)
    assert (await one_sample(SYN_KIND, network, ONCE)).outcome is Outcome.TIMEOUT
    channel = network.channels[Family.IPV4]
    channel.stamp(0)
    channel.receive(answer_to(channel.sent[0][0]), T0 + 3 * 10**9)
    sample = await one_sample(SYN_KIND, network, ONCE)
    assert (sample.outcome, sample.result["late"]) == (Outcome.TIMEOUT, 1)


async def test_after_half_a_minute_a_probe_is_forgotten():
    """An answer later than that counts as nothing, and memory does not grow."""
    network = ScriptedNetwork(SYN_KIND)
    await one_sample(SYN_KIND, network, ONCE)
    network.mono_ns = LATE_NS + 1
    await one_sample(SYN_KIND, network, ONCE)
    channel = network.channels[Family.IPV4]
    channel.receive(answer_to(channel.sent[0][0]), T0)
    assert (await one_sample(SYN_KIND, network, ONCE)).result["late"] == 0
    assert len(channel.session.book) == 2


@pytest.mark.parametrize(
    ("offender", "outcome"), [(PEER[Family.IPV4], Outcome.REFUSED), ("10.0.0.1", Outcome.UNREACHABLE)]
)
async def test_icmp_refusal_of_the_target_and_of_a_router_differ(offender, outcome):
    """Port unreachable from the target itself is its answer; from a router it is the path's."""
    error = PacketError(errno.ECONNREFUSED, 3, 3, 0, offender)
    sample = await one_sample(
        SYN_KIND,
        ScriptedNetwork(SYN_KIND),
        ONCE,
        lambda channel: channel.session.failed(channel.sent[-1][0][:8], (PEER[Family.IPV4], 0), error),
    )
    assert sample.outcome is outcome


async def test_legs_take_turns_with_ports_used_once():
    """Every other SYN comes from one of the fixed ports, each in turn; the others from ever new ones."""
    network = ScriptedNetwork(SYN_KIND)
    for _ in range(16):
        await one_sample(SYN_KIND, network, Options(legs=4), answered())
    ports = [struct.unpack_from("!H", packet)[0] for packet, _, _ in network.channels[Family.IPV4].sent]
    fixed = [port for port in ports if port in PORTS[:MOST_LEGS]]
    assert sorted(set(fixed)) == sorted(fixed)[::2] == list(PORTS[:4])
    assert len(set(ports) - set(fixed)) == 8


async def test_dead_leg_is_reported_as_evidence():
    """When one fixed port loses everything, an event names it and a gauge counts it."""

    def script(channel):
        packet, _, _ = channel.sent[-1]
        if struct.unpack_from("!H", packet)[0] != PORTS[2]:
            channel.stamp()
            channel.receive(answer_to(packet), T0 + 5)

    network = ScriptedNetwork(SYN_KIND)
    for _ in range(48):
        sample = await one_sample(SYN_KIND, network, Options(legs=4), script)
    assert sample.result["lossy_legs"] == 1
    of, name, detail = network.events[0]
    assert (of, name) == (target(), "leg_loss")
    assert [leg["source_port"] for leg in detail["legs"]] == [PORTS[2]]
    assert detail["legs"][0]["lost"] == detail["legs"][0]["sent"]


async def test_leg_with_a_probe_in_flight_is_not_used_again():
    """Two SYNs of one 4-tuple would be one to the peer: overlapping bursts never share a fixed port."""
    trail = Trail(PEER[Family.IPV4])
    legs = [trail.next_leg(2) for _ in range(12)]
    assert sorted(leg for leg in legs if leg is not None) == [0, 1]


async def test_missing_privilege_is_unavailable_for_every_target():
    """Without CAP_NET_RAW every probe says so; none counts as loss."""
    network = ScriptedNetwork(SYN_KIND)
    network.lacks = Unavailable("a raw socket needs CAP_NET_RAW")
    samples = await one_burst(SYN_KIND, network, ONCE, target(), target(Family.IPV6))
    assert {(sample.outcome, sample.detail) for sample in samples.values()} == {
        (Outcome.UNAVAILABLE, "a raw socket needs CAP_NET_RAW")
    }


async def test_send_error_is_an_outcome():
    """No route is unreachable; a full buffer is this host's failure."""
    network = ScriptedNetwork(SYN_KIND)
    for code, outcome in ((errno.ENETUNREACH, Outcome.UNREACHABLE), (errno.ENOBUFS, Outcome.FAILED)):
        network.channels[Family.IPV4].send_error = OSError(code, "told")
        assert (await one_sample(SYN_KIND, network, ONCE)).outcome is outcome


@pytest.mark.parametrize("family", list(Family))
async def test_packet_equals_scapys(family):
    """The SYN, checksum included, is byte for byte what scapy crafts; IPv6 leaves the checksum to the kernel."""
    from scapy.layers.inet import IP, TCP
    from scapy.layers.inet6 import IPv6

    network = ScriptedNetwork(SYN_KIND)
    for _ in range(20):
        await one_sample(SYN_KIND, network, ONCE, of=target(family))
    layer = IP if family is Family.IPV4 else IPv6
    for packet, _, _ in network.channels[family].sent:
        source_port, port, sequence = struct.unpack_from("!HHI", packet)
        syn = TCP(
            sport=source_port, dport=port, seq=sequence, flags="S", window=64240, options=[("MSS", 1460)]
        )
        if family is Family.IPV6:
            syn.chksum = 0
        assert bytes(layer(src=SOURCE[family], dst=PEER[family]) / syn)[-24:] == packet


@given(data=st.binary(max_size=80), has_ip_header=st.booleans())
def test_any_bytes_give_a_segment_or_a_parse_error(data, has_ip_header):
    """Whatever a raw socket receives, the parser returns or refuses."""
    try:
        assert len(parse_answer(data, has_ip_header=has_ip_header)) == 4
    except ParseError as error:
        assert error.source == "TCP segment"  # noqa: PT017 - a value is as good
