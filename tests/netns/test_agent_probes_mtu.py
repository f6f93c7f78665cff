"""Path MTU across the lab's WAN, against an agent's responder and against plain hosts."""

import socket

import pytest
import uvloop

from agent.net.network import SystemNetwork
from agent.net.reflect import StampReflector
from agent.probes import mtu
from agent.sample import Burst, Target
from agent.wire.series import Family, Outcome
from lab.path import CORE, Hop
from lab.world import World

pytestmark = pytest.mark.netns

PORT = 10981
FORGIVING_SECONDS = 1.0


@pytest.fixture(scope="module")
def world():
    with World(["fra", "nyc"], open_ping=True) as made:
        made.both("fra", "nyc", delay_ms=5)
        yield made


@pytest.fixture(autouse=True)
def plain_path(world):
    yield
    world.both(
        "fra", "nyc", delay_ms=5, loss=0.0, mtu_bytes=None, mtu_reported=True, state="up", hops=(CORE,)
    )


def in_world(world, work, *, agent=True):
    """Run work(burst of fra towards nyc) in fra, with an agent's responder in nyc."""

    async def main():
        with world["nyc"].enter():
            reflector = StampReflector(None, PORT, 50, None, lambda _: True) if agent else None
        with world["fra"].enter():
            network = SystemNetwork()
            try:
                return await work(network)
            finally:
                network.close()
                if reflector is not None:
                    reflector.close()

    return uvloop.run(main())


class Checks:
    """Checks of one target, one after the other, with the probe's memory between them."""

    def __init__(self, network, node, family=Family.IPV4, **options) -> None:
        address = node.address if family is Family.IPV4 else node.address6
        self.target = Target("nyc", family, address, PORT)
        self.events, self.samples, memory = [], [], {}
        self.burst = Burst(
            mtu.Options(**options), FORGIVING_SECONDS, [self.target], network,
            lambda _target, sample: self.samples.append(sample),
            lambda _target, kind, detail: self.events.append((kind, detail)), memory,
        )  # fmt: skip

    async def check(self):
        await mtu.run(self.burst)
        return self.samples[-1]


def measure(world, *, family=Family.IPV4, agent=True, **options):
    async def work(network):
        return await Checks(network, world["nyc"], family, **options).check()

    return in_world(world, work, agent=agent)


@pytest.mark.parametrize("family", list(Family))
@pytest.mark.parametrize("size", [1280, 1427, 1450, 1500])
def test_a_reported_mtu_is_exact_and_no_black_hole(world, family, size):
    """Where routers report, the answer is theirs, confirmed."""
    world.both("fra", "nyc", mtu_bytes=size)
    found = measure(world, family=family).result
    assert found["path_mtu_bytes"] == size
    assert found["black_hole"] is False
    assert found["icmp_seen"] is (size < 1500)
    assert found["interface_mtu_bytes"] == 1500
    assert found["method"] == "udp"


@pytest.mark.parametrize("family", list(Family))
@pytest.mark.parametrize("size", [1420, 1427])
def test_a_black_hole_is_found_and_named(world, family, size):
    """Where larger packets vanish without a word, the size is found all the same."""
    world.both("fra", "nyc", mtu_bytes=size, mtu_reported=False)
    found = measure(world, family=family).result
    assert (found["path_mtu_bytes"], found["black_hole"], found["icmp_seen"]) == (size, True, False)


def test_a_near_router_reports_long_before_a_far_target_answers(world):
    """The hint comes at once and again for each packet; the answers that confirm it are waited for all the same."""
    world.path("fra", "nyc", delay_ms=60, mtu_bytes=1427, hops=(Hop(addresses=("198.19.1.1",), share=0.0),))
    world.path("nyc", "fra", delay_ms=60)
    found = measure(world).result
    assert (found["path_mtu_bytes"], found["black_hole"], found["rounds"]) == (1427, False, 2)


def test_ten_percent_loss_each_way_is_exact_every_time(world):
    """Ten searches in a black hole with 10% loss each way give the same byte."""
    world.both("fra", "nyc", mtu_bytes=1420, mtu_reported=False, loss=0.1)

    async def work(network):
        return [(await Checks(network, world["nyc"]).check()).result for _ in range(10)]

    assert [(r["path_mtu_bytes"], r["black_hole"]) for r in in_world(world, work)] == [(1420, True)] * 10


def test_each_direction_has_its_own(world):
    """The way there is measured, whatever the way back carries."""
    world.path("fra", "nyc", mtu_bytes=1450)
    world.path("nyc", "fra", mtu_bytes=1300, mtu_reported=False)
    assert measure(world).result["path_mtu_bytes"] == 1450


@pytest.mark.parametrize("family", list(Family))
def test_a_host_without_agent_is_asked_by_ping(world, family):
    """Without an agent the smaller of both directions is found by ICMP echo."""
    world.path("fra", "nyc", mtu_bytes=1450)
    found = measure(world, family=family, agent=False).result
    assert (found["path_mtu_bytes"], found["method"]) == (1450, "icmp")


@pytest.mark.parametrize("family", list(Family))
def test_where_ping_is_barred_a_raw_socket_does(world, family):
    """ping_group_range closed, CAP_NET_RAW at hand: the same answer."""
    world.both("fra", "nyc", mtu_bytes=1427)
    world["fra"].sysctl("net.ipv4.ping_group_range", "1 0")
    try:
        found = measure(world, family=family, method="icmp").result
    finally:
        world["fra"].sysctl("net.ipv4.ping_group_range", "0 2147483647")
    assert (found["path_mtu_bytes"], found["black_hole"]) == (1427, False)


def test_without_any_right_to_ping_it_is_unavailable(world):
    """No group, no capability: the host's lack, named, and no loss."""
    world["fra"].sysctl("net.ipv4.ping_group_range", "1 0")
    script = (
        "import asyncio, sys; sys.path.insert(0, '.')\n"
        "from agent.net.network import SystemNetwork\n"
        "from agent.probes import mtu\nfrom agent.sample import Burst, Target\nfrom agent.wire.series import Family\n"
        "async def main():\n"
        f"    target = Target('x', Family.IPV4, {world['nyc'].address!r}, 1)\n"
        "    await mtu.run(Burst(mtu.Options(method='icmp'), 1.0, [target], SystemNetwork(),\n"
        "        lambda _t, s: print(s.outcome, s.detail), print))\n"
        "asyncio.run(main())"
    )
    try:
        done = world["fra"].run([".venv/bin/python", "-c", script], unprivileged=True)
    finally:
        world["fra"].sysctl("net.ipv4.ping_group_range", "0 2147483647")
    assert done.stdout.startswith("unavailable ICMP echo needs")


def test_the_steady_state_is_two_packets_and_a_change_is_an_event(world):
    """A known MTU is confirmed by two packets; a new one is found and kept as evidence."""
    world.both("fra", "nyc", mtu_bytes=1450)

    async def work(network):
        checks = Checks(network, world["nyc"])
        first = await checks.check()
        with world["fra"].capture(f"udp port {PORT} and dst {world['nyc'].address}") as capture:
            again = await checks.check()
        assert (again.result["probes_sent"], len(capture.packets())) == (2, 2)
        world.both("fra", "nyc", mtu_bytes=1400, mtu_reported=False)
        return first, again, await checks.check(), checks.events

    first, again, later, events = in_world(world, work)
    assert first.result["path_mtu_bytes"] == again.result["path_mtu_bytes"] == 1450
    assert (later.result["path_mtu_bytes"], later.result["black_hole"]) == (1400, True)
    ((kind, detail),) = events
    assert kind == "path_mtu_changed"
    assert (detail["before"]["path_mtu_bytes"], detail["after"]["path_mtu_bytes"]) == (1450, 1400)


def test_a_small_mss_of_the_peer_shows(world):
    """The MSS option that reaches this side, whoever wrote it, is seen in the segment size of a handshake."""

    async def work(network):
        with world["nyc"].enter():
            server = socket.socket()
        with server:
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1200)
            server.bind(("", PORT))
            server.listen()
            return await Checks(network, world["nyc"]).check()

    assert in_world(world, work).result["tcp_mss_bytes"] in (1188, 1200)  # with and without timestamps


def test_a_dead_host_is_a_timeout(world):
    """No packet of any size comes back: no MTU, and both ways tried are named."""
    world.both("fra", "nyc", state="silent")
    sample = measure(world)
    assert (sample.outcome, sample.result) == (Outcome.TIMEOUT, None)
    assert "udp" in sample.detail
    assert "icmp" in sample.detail
