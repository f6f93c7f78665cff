"""Echo requests are what scapy makes; replies are paired by the number in the data, whatever the sequence wraps to."""

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.kernel.parse_error import ParseError
from agent.net.timestamp import PacketError
from agent.probes.icmp import ICMP_KIND, Options, parse_echo
from agent.wire.series import Family, Outcome
from scripted_packets import PEER, T0, ScriptedNetwork, one_sample, target


def reply_to(request, kind=0):
    """The same message with the reply's type; the kernel has checked the checksum."""
    return bytes([kind]) + request[1:]


def answered(channel):
    packet, _, flight = channel.sent[-1]
    if flight.tx_ns is None:
        channel.stamp()
        channel.receive(reply_to(packet), T0 + 7_000, ttl=53)


async def test_reply_gives_time_and_ttl():
    """An echo reply: ok, the time between the stamps, and the TTL it arrived with."""
    sample = await one_sample(ICMP_KIND, ScriptedNetwork(ICMP_KIND), Options(), answered)
    assert (sample.outcome, sample.rtt_ns, sample.result["ttl"]) == (Outcome.OK, 7_000, 53)


async def test_our_own_request_coming_back_is_no_reply():
    """On a raw socket of this host a ping to itself shows the request too."""

    def script(channel):
        channel.stamp()
        channel.receive(channel.sent[-1][0], T0 + 1)

    assert (
        await one_sample(ICMP_KIND, ScriptedNetwork(ICMP_KIND), Options(), script)
    ).outcome is Outcome.TIMEOUT


async def test_silence_is_a_timeout_without_a_ttl():
    """No reply has no TTL: None, not the last one."""
    network = ScriptedNetwork(ICMP_KIND)
    await one_sample(ICMP_KIND, network, Options(), answered)
    sample = await one_sample(ICMP_KIND, network, Options(), lambda _: None)
    assert (sample.outcome, sample.result["ttl"]) == (Outcome.TIMEOUT, None)


@pytest.mark.parametrize("quoted_bytes", [8, 64])
async def test_unreachable_host_is_told_apart_from_silence(quoted_bytes):
    """An ICMP error that quotes our request, wholly or as little as it may, ends that probe as unreachable."""
    error = PacketError(errno.EHOSTUNREACH, 3, 1, 0, "10.0.0.1")
    sample = await one_sample(
        ICMP_KIND,
        ScriptedNetwork(ICMP_KIND),
        Options(),
        lambda channel: channel.session.failed(
            channel.sent[-1][0][:quoted_bytes], (PEER[Family.IPV4], 0), error
        ),
    )
    assert sample.outcome is Outcome.UNREACHABLE
    assert sample.detail.endswith("said 10.0.0.1")


@pytest.mark.parametrize("family", list(Family))
async def test_raw_request_equals_scapys(family):
    """Where no datagram socket may be had, identifier and IPv4 checksum are ours, byte for byte as scapy's."""
    from scapy.layers.inet import ICMP
    from scapy.layers.inet6 import ICMPv6EchoRequest

    network = ScriptedNetwork(ICMP_KIND, identifier=4711)
    await one_sample(ICMP_KIND, network, Options(), of=target(family))
    packet = network.channels[family].sent[0][0]
    sequence, data = struct.unpack_from("!6xH", packet)[0], packet[8:]
    if family is Family.IPV4:
        assert bytes(ICMP(id=4711, seq=sequence) / data) == packet
    else:
        assert bytes(ICMPv6EchoRequest(id=4711, seq=sequence, data=data, cksum=0)) == packet


@given(data=st.binary(max_size=100), has_ip_header=st.booleans())
def test_any_bytes_give_an_echo_or_a_parse_error(data, has_ip_header):
    """Whatever an ICMP socket receives, the parser returns or refuses."""
    try:
        assert len(parse_echo(data, has_ip_header=has_ip_header)) == 2
    except ParseError as error:
        assert error.source == "ICMP echo"  # noqa: PT017 - a value is as good
