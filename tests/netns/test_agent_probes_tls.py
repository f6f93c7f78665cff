"""TLS over an emulated WAN: which part of the handshake the distance makes, and that faults are what they are."""

import asyncio
import contextlib
import ssl

import pytest
import trustme

from agent.net.network import SystemNetwork
from agent.probes import tls
from agent.sample import Burst, Target
from agent.wire.series import Family, Outcome
from lab.world import World

pytestmark = [pytest.mark.netns, pytest.mark.timeout(120)]
PORT, NAME, MS = 443, "node.example", 1_000_000


@pytest.fixture
def world():
    """Two nodes 40 ms apart."""
    with World(["a", "b"]) as made:
        made.both("a", "b", delay_ms=20)
        yield made


def look(
    world,
    *,
    protocol=None,
    key=trustme.KeyType.ECDSA,
    family=Family.IPV4,
    serve=True,
    timeout=5.0,
    after_half_a_second=None,
):
    """One look at a TLS server in b from a."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(NAME, key_type=key).configure_cert(context)
    if protocol is not None:
        context.maximum_version = protocol
    address = world["b"].address if family is Family.IPV4 else world["b"].address6
    samples = []

    async def meet(reader, writer):
        with contextlib.suppress(OSError, ssl.SSLError):
            await reader.read()
        writer.close()

    async def main():
        server = None
        if serve:
            with world["b"].enter():
                server = await asyncio.start_server(meet, address, PORT, ssl=context)
        network = SystemNetwork()
        if after_half_a_second is not None:
            asyncio.get_running_loop().call_later(0.5, after_half_a_second)
        target = Target("b", family, address, PORT, host=NAME)
        with world["a"].enter():
            await tls.run(
                Burst(
                    tls.Options(),
                    timeout,
                    [target],
                    network,
                    lambda _, s: samples.append(s),
                    lambda *_: None,
                    {},
                )
            )
        network.close()
        if server is not None:
            server.close()

    asyncio.run(main())
    (sample,) = samples
    return sample


@pytest.mark.parametrize("family", list(Family))
def test_tls_13_costs_one_round_trip_beside_tcps(world, family):
    """TCP's handshake is one round trip and TLS 1.3's another; each is the world's 40 ms."""
    sample = look(world, family=family)
    assert sample.outcome is Outcome.OK
    assert 40 * MS <= sample.result["tcp_handshake_ns"] < 60 * MS
    assert 40 * MS <= sample.result["tls_handshake_ns"] < 75 * MS
    assert sample.result["protocol"] == "TLSv1.3"


@pytest.mark.parametrize("key", [trustme.KeyType.ECDSA, trustme.KeyType.RSA])
def test_tls_12_costs_two(world, key):
    """An old protocol shows as a second round trip, whatever the key; on a long path the key hardly matters."""
    sample = look(world, protocol=ssl.TLSVersion.TLSv1_2, key=key)
    assert sample.outcome is Outcome.OK
    assert 80 * MS <= sample.result["tls_handshake_ns"] < 125 * MS
    assert sample.result["protocol"] == "TLSv1.2"


def test_a_closed_port_and_a_dead_host_differ(world):
    """A refusal is an answer; silence is a timeout; neither brings a figure of TLS."""
    refused = look(world, serve=False)
    world.path("a", "b", loss=1.0)
    dead = look(world, serve=False, timeout=0.5)
    assert (refused.outcome, dead.outcome) == (Outcome.REFUSED, Outcome.TIMEOUT)
    assert (refused.result, dead.result) == (None, None)


def test_a_lost_syn_is_no_slow_handshake(world):
    """Where the SYN had to be sent again the look is that outcome, and its second is in no time."""
    world.path("a", "b", loss=1.0)
    sample = look(world, after_half_a_second=lambda: world.path("a", "b", delay_ms=20, loss=0.0))
    assert sample.outcome is Outcome.SYN_RETRANSMITTED
    assert sample.rtt_ns is None
