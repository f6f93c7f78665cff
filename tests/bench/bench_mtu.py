"""Path MTU: how often exact, how many packets, how many round trips or timeouts. Run by make bench; needs root."""

import asyncio
import statistics
import time

import pytest
import uvloop

from agent.net.network import SystemNetwork
from agent.net.reflect import StampReflector
from agent.probes import mtu
from agent.sample import Burst, Target
from agent.wire.series import Family
from lab.world import World

pytestmark = [pytest.mark.bench, pytest.mark.netns, pytest.mark.timeout(600)]

PORT, RTT_SECONDS, TIMEOUT_SECONDS = 10981, 0.040, 0.5
RUNS = 100


async def search(network, address):
    """(result, seconds) of one search from nothing."""
    samples = []
    burst = Burst(
        mtu.Options(method="udp"), TIMEOUT_SECONDS, [Target("nyc", Family.IPV4, address, PORT)], network,
        lambda _target, sample: samples.append(sample), lambda *_: None,
    )  # fmt: skip
    path = network.mtu_path(address, PORT, Family.IPV4, "udp")
    start = time.monotonic()
    found = await mtu._search(path, Family.IPV4, "udp", burst.timeout_seconds, None)
    took = time.monotonic() - start
    path.close()
    return found, took


def searches(world, runs):
    async def main():
        with world["nyc"].enter():
            reflector = StampReflector(None, PORT, 50, None, lambda _: True)
        with world["fra"].enter():
            network = SystemNetwork()
            try:
                found = []
                for _ in range(runs):
                    found.append(await search(network, world["nyc"].address))
                    await asyncio.sleep(0.5)  # the responder answers 600 requests a second
                return found
            finally:
                network.close()
                reflector.close()

    return uvloop.run(main())


@pytest.mark.parametrize(
    ("name", "settings", "runs"),
    [
        ("ICMP works", {"mtu_reported": True}, 10),
        ("black hole", {"mtu_reported": False}, 10),
        ("black hole, 10% loss each way", {"mtu_reported": False, "loss": 0.1}, RUNS),
    ],
)
def test_searches(name, settings, runs):
    """Exact every time; with ICMP two round trips, in a black hole below three timeouts."""
    size = 1420
    with World(["fra", "nyc"]) as world:
        world.both("fra", "nyc", delay_ms=RTT_SECONDS * 500, mtu_bytes=size, **settings)
        found = searches(world, runs)
    exact = sum(result is not None and result.path_mtu_bytes == size for result, _ in found)
    seconds = sorted(took for _, took in found)
    packets = statistics.median(result.probes_sent for result, _ in found if result is not None)
    print(
        f"\n{name}: exact {exact} of {runs}, median {statistics.median(seconds) / RTT_SECONDS:.1f} RTT"
        f" ({seconds[-1] / TIMEOUT_SECONDS:.1f} timeouts at most), {packets:g} packets"
    )
    assert exact == runs
    assert statistics.median(seconds) < 3 * TIMEOUT_SECONDS
