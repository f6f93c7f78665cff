"""Path MTU and route on the loopback, on both event loops: sockets with error queues must not go deaf."""

import pytest

from agent.net.network import SystemNetwork
from agent.net.reflect import StampReflector
from agent.probes import mtu, trace
from agent.sample import Burst, Target
from agent.wire.series import Family, Outcome

ADDRESSES = {Family.IPV4: "127.0.0.1", Family.IPV6: "::1"}


async def once(probe, options, family, port=0):
    samples, network = [], SystemNetwork()
    target = Target("here", family, ADDRESSES[family], port)
    try:
        await probe.run(
            Burst(
                options,
                1.0,
                [target],
                network,
                lambda _target, sample: samples.append(sample),
                lambda *_: None,
            )
        )
    finally:
        network.close()
    (sample,) = samples
    return sample


@pytest.mark.parametrize("family", list(Family))
async def test_the_loopback_carries_what_its_interface_does(family):
    """The agent's responder answers the largest packet, in the first round."""
    reflector = StampReflector(ADDRESSES[family], 0, 50, None, lambda _: True)
    try:
        found = (await once(mtu, mtu.Options(port=reflector.port, method="udp"), family)).result
    finally:
        reflector.close()
    assert found["path_mtu_bytes"] == found["interface_mtu_bytes"]
    assert (found["rounds"], found["black_hole"], found["method"]) == (1, False, "udp")


async def test_a_stranger_gets_no_answer():
    """Who is no peer is not told what the path carries."""
    reflector = StampReflector("127.0.0.1", 0, 50, None, lambda _: False)
    try:
        sample = await once(mtu, mtu.Options(port=reflector.port, method="udp"), Family.IPV4)
    finally:
        reflector.close()
    assert sample.outcome is Outcome.TIMEOUT


@pytest.mark.parametrize("family", list(Family))
async def test_the_loopback_is_one_hop(family):
    """The target's own port unreachable, three times."""
    sample = await once(trace, trace.Options(), family)
    (hop,) = sample.result["hops"]
    assert (sample.outcome, hop["addresses"]) == (Outcome.OK, [ADDRESSES[family]])
    assert (hop["sent"], hop["received"]) == (3, 3)
    assert hop["rtt_seconds"]["min"] is not None
