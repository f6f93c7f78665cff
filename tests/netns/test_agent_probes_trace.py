"""Routes across the lab's WAN: hops, alternatives, silence, refusals, changes."""

import pytest
import uvloop

from agent.net.network import SystemNetwork
from agent.probes import trace
from agent.sample import Burst, Target
from agent.wire.series import Family, Outcome
from lab.path import Hop
from lab.world import World

pytestmark = pytest.mark.netns

METHODS = pytest.mark.parametrize("method", ["udp", "tcp"])
FAMILIES = pytest.mark.parametrize("family", list(Family))


def router(number, *more, **options):
    return Hop(addresses=(f"198.19.{number}.1", f"2001:2:0:ff{number:02x}::1", *more), **options)


HOPS = (router(1), router(2), router(3), router(4))


@pytest.fixture(scope="module")
def world():
    with World(["fra", "nyc"]) as made:
        made["nyc"].sysctl(
            "net.ipv4.icmp_ratelimit", 0
        )  # else it answers six closed ports, then one a second
        made["nyc"].sysctl("net.ipv6.icmp.ratelimit", 0)
        yield made


@pytest.fixture(autouse=True)
def usual_path(world):
    world.both("fra", "nyc", delay_ms=10, loss=0.0, state="up", hops=HOPS)


class Traces:
    """Traces of one target, one after the other, with the probe's memory between them."""

    def __init__(self, network, node, family=Family.IPV4, **options) -> None:
        address = node.address if family is Family.IPV4 else node.address6
        self.target = Target("nyc", family, address, 443)
        self.events, self.samples = [], []
        self.burst = Burst(
            trace.Options(**options), 0.4, [self.target], network,
            lambda _target, sample: self.samples.append(sample),
            lambda _target, kind, detail: self.events.append((kind, detail)), {},
        )  # fmt: skip

    async def trace(self):
        await trace.run(self.burst)
        return self.samples[-1]


def in_fra(world, work):
    async def main():
        network = SystemNetwork()
        try:
            return await work(network)
        finally:
            network.close()

    with world["fra"].enter():
        return uvloop.run(main())


def once(world, family=Family.IPV4, **options):
    async def work(network):
        return await Traces(network, world["nyc"], family, **options).trace()

    return in_fra(world, work)


def addresses(sample):
    return [hop["addresses"] for hop in sample.result["hops"]]


def expected(world, family, hops=HOPS):
    index = 0 if family is Family.IPV4 else 1
    node = world["nyc"]
    return [[hop.addresses[index]] for hop in hops] + [[(node.address, node.address6)[index]]]


@METHODS
@FAMILIES
def test_every_hop_and_the_target_answer_in_order(world, method, family):
    """The route is the path's routers and the target, each with a time that grows with distance."""
    sample = once(world, family, method=method)
    assert sample.outcome is Outcome.OK
    assert addresses(sample) == expected(world, family)
    assert (sample.result["reached"], sample.result["hop_count"]) == (True, 5)
    assert all((hop["sent"], hop["received"]) == (3, 3) for hop in sample.result["hops"])
    least = [hop["rtt_seconds"]["min"] for hop in sample.result["hops"]]
    assert least == sorted(least)
    assert least[-1] >= 0.020


@METHODS
def test_a_silent_hop_is_no_end(world, method):
    """A router that never answers leaves an empty row, and the way goes on."""
    hops = (HOPS[0], router(2, silent=True), *HOPS[2:])
    world.both("fra", "nyc", hops=hops)
    sample = once(world, method=method)
    assert addresses(sample) == [[HOPS[0].addresses[0]], [], *expected(world, Family.IPV4)[2:]]
    assert (sample.result["hops"][1]["received"], sample.result["hops"][1]["loss_ratio"]) == (0, 1.0)


def test_a_dead_target_shows_how_far_it_goes(world):
    """With the target silent the trace stops a few hops after the last answer, as a timeout with that answer."""
    world.path("fra", "nyc", hops=(*HOPS[:2], router(3, loss=1.0), HOPS[3]))
    sample = once(world, queries=1)
    assert sample.outcome is Outcome.TIMEOUT
    assert addresses(sample)[:2] == expected(world, Family.IPV4)[:2]
    assert "no answer beyond hop" in sample.detail
    assert sample.result["reached"] is False


@METHODS
def test_a_router_that_refuses_is_named_with_its_code(world, method):
    """Host unreachable from the first router: its address and !H."""
    world.path("fra", "nyc", state="unreachable")
    sample = once(world, method=method, queries=1)
    assert sample.outcome is Outcome.UNREACHABLE
    assert sample.result["hops"][-1]["codes"] == ["!H"]
    assert "!H" in sample.detail


def test_nobody_at_all_is_a_timeout(world):
    """Without any answer there is no route."""
    world.path("fra", "nyc", state="silent")
    assert once(world, queries=1).outcome is Outcome.TIMEOUT


def test_loss_is_located(world):
    """A router that drops half of what reaches it shows loss from there on, not before."""
    world.both("fra", "nyc", hops=(*HOPS[:2], router(3, loss=0.5), HOPS[3]))
    hops = once(world, queries=10).result["hops"]
    assert [hop["loss_ratio"] for hop in hops[:2]] == [0, 0]
    assert 0 < hops[-1]["loss_ratio"] < 1


@METHODS
def test_one_flow_sees_one_of_the_alternatives(world, method):
    """Paris: all packets of a trace go one way, however many ways there are."""
    balanced = tuple(router(n, f"198.19.{n}.2", f"198.19.{n}.3", f"198.19.{n}.4") for n in (1, 2, 3, 4))
    world.both("fra", "nyc", hops=balanced)
    sample = once(world, method=method, queries=6)
    assert all(len(hop["addresses"]) == 1 for hop in sample.result["hops"])


@METHODS
def test_alternatives_are_no_change_and_another_way_is(world, method):
    """Load balancing gives no event however often it is traced; another router does, with both routes."""
    balanced = (HOPS[0], router(2, "198.19.2.2"), *HOPS[2:])

    async def work(network):
        traces = Traces(network, world["nyc"], method=method, queries=1)
        world.both("fra", "nyc", hops=balanced)
        for _ in range(4):
            await traces.trace()
        assert [kind for kind, _ in traces.events] == ["route"]
        world.both("fra", "nyc", hops=(HOPS[0], router(9), *HOPS[2:]))
        await traces.trace()
        await traces.trace()
        return traces.events

    first, change = in_fra(world, work)
    assert set(first[1]["alternatives"]["2"]) == {"198.19.2.1", "198.19.2.2"}
    assert change[0] == "route_changed"
    assert "198.19.2.1" in change[1]["before"]["alternatives"]["2"]
    assert change[1]["after"]["alternatives"]["2"] == ["198.19.9.1"]
    assert change[1]["before"]["last_seen_s"] <= change[1]["after"]["first_seen_s"]


def test_a_longer_way_is_a_change(world):
    """One router more, all known ones still there."""

    async def work(network):
        traces = Traces(network, world["nyc"], queries=1)
        await traces.trace()
        world.both("fra", "nyc", hops=(*HOPS, router(5)))
        await traces.trace()
        return [kind for kind, _ in traces.events]

    assert in_fra(world, work) == ["route", "route_changed"]


def test_a_node_never_sends_faster_than_its_pace(world):
    """Traces of three peers behind one address, at once, stay below the node's cap and apart from each other."""

    async def work(network):
        samples = []
        targets = [Target(f"t{n}", Family.IPV4, world["nyc"].address, 443 + n) for n in range(3)]
        burst = Burst(
            trace.Options(), 0.4, targets, network, lambda _t, s: samples.append(s), lambda *_: None, {}
        )
        await trace.run(burst)
        return samples

    with world["fra"].capture("udp") as capture:
        assert all(sample.outcome is Outcome.OK for sample in in_fra(world, work))
    times = [packet.time_ns for packet in capture.packets()]
    assert max(sum(t <= u < t + 10**9 for u in times) for t in times) <= 110


def test_tcp_without_the_right_is_unavailable(world):
    """No CAP_NET_RAW: UDP still works, SYNs are named as the host's lack."""
    script = (
        "import asyncio, sys; sys.path.insert(0, '.')\n"
        "from agent.net.network import SystemNetwork\n"
        "from agent.probes import trace\nfrom agent.sample import Burst, Target\nfrom agent.wire.series import Family\n"
        "async def main():\n"
        "  for method in ('tcp', 'udp'):\n"
        f"    target = Target('x', Family.IPV4, {world['nyc'].address!r}, 443)\n"
        "    await trace.run(Burst(trace.Options(method=method, queries=1), 0.4, [target], SystemNetwork(),\n"
        "        lambda _t, s: print(s.outcome, s.detail), lambda *_: None))\n"
        "asyncio.run(main())"
    )
    done = world["fra"].run([".venv/bin/python", "-c", script], unprivileged=True)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("unavailable")
    assert "CAP_NET_RAW" in lines[0]
    assert lines[1].startswith("ok")
