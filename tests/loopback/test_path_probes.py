"""Path MTU, NAT and route on the loopback, on both event loops: sockets with error queues must not go deaf."""

import asyncio
import socket

import pytest

from agent.net.network import SystemNetwork
from agent.net.reflect import StampReflector
from agent.probes import mtu, nat, trace
from agent.sample import Burst, Target
from agent.stamp.mapping import Question, pack_question
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
async def test_the_loopback_has_no_nat(family):
    """The agent's responder sees the sockets' own addresses; nothing waits for idle times."""
    reflector = StampReflector(ADDRESSES[family], 0, 50, None, lambda _: True)
    try:
        sample = await once(nat, nat.Options(port=reflector.port), family)
        assert (sample.outcome, sample.result["nat"]) == (Outcome.OK, False)
        assert sample.result["observed_address"] == sample.result["local_address"]
        assert reflector.packets["reflected"] == nat.COPIES * len(nat.Options().idle_seconds)
    finally:
        reflector.close()


async def test_a_stranger_is_not_told_its_address():
    """Who is no peer gets nothing, and a closed port is refused."""
    reflector = StampReflector("127.0.0.1", 0, 50, None, lambda _: False)
    options = nat.Options(port=reflector.port)
    try:
        stranger = await once(nat, options, Family.IPV4)
    finally:
        reflector.close()
    closed = await once(nat, options, Family.IPV4)
    assert (stranger.outcome, closed.outcome) == (Outcome.TIMEOUT, Outcome.REFUSED)


async def test_an_answer_waits_for_its_delay_and_a_stopped_agent_gives_up_what_waits():
    """Nothing is answered twice; a stop is told, so that nobody takes it for a mapping that was forgotten."""
    reflector = StampReflector("127.0.0.1", 0, 50, None, lambda _: True)
    network = SystemNetwork()
    sockets = [network.mapping("127.0.0.1", reflector.port, Family.IPV4) for _ in range(2)]
    try:
        short, long = (
            asyncio.create_task(s.ask(delay, 5.0)) for s, delay in zip(sockets, (1, 60), strict=True)
        )
        held = await short
        assert (held.delay_seconds, held.seen) == (1, sockets[0].local)
        assert not long.done()
        reflector.close()
        assert (await long).delay_seconds == 0
    finally:
        for sock in sockets:
            sock.close()
        network.close()


async def test_too_many_waiting_are_answered_at_once():
    """Above the bound of a source an answer says that it was not held back."""
    reflector = StampReflector("127.0.0.1", 0, 50, None, lambda _: True)
    network = SystemNetwork()
    sockets = [network.mapping("127.0.0.1", reflector.port, Family.IPV4) for _ in range(65)]
    asked = [asyncio.create_task(sock.ask(60, 5.0)) for sock in sockets]
    try:
        done, waiting = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result().delay_seconds for task in done] == [0]
        assert len(waiting) == 64
    finally:
        reflector.close()
        await asyncio.gather(*asked)
        for sock in sockets:
            sock.close()
        network.close()


async def test_questions_beyond_the_rate_of_a_source_are_dropped():
    """A peer that goes wild costs no more than its share."""
    reflector = StampReflector("127.0.0.1", 0, 50, None, lambda _: True)
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wild:
        wild.connect(("127.0.0.1", reflector.port))
        try:
            while not reflector.packets["limited"] and sent < 20_000:
                for _ in range(50):
                    wild.send(pack_question(Question(sent, 0)))
                    sent += 1
                await asyncio.sleep(0)
            assert 0 < reflector.packets["limited"] < reflector.packets["reflected"] < sent
        finally:
            reflector.close()


@pytest.mark.parametrize("family", list(Family))
async def test_the_loopback_is_one_hop(family):
    """The target's own port unreachable, three times."""
    sample = await once(trace, trace.Options(), family)
    (hop,) = sample.result["hops"]
    assert (sample.outcome, hop["addresses"]) == (Outcome.OK, [ADDRESSES[family]])
    assert (hop["sent"], hop["received"]) == (3, 3)
    assert hop["rtt_seconds"]["min"] is not None
