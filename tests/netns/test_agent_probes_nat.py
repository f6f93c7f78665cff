"""A NAT that forgets: the kernel's own, between two nodes of the lab."""

import pytest
import uvloop

from agent.net.network import SystemNetwork
from agent.net.reflect import StampReflector
from agent.probes import nat
from agent.sample import Burst, Target
from agent.wire.series import Family, Outcome
from lab.world import World

pytestmark = pytest.mark.netns

PORT = 10981
FORGIVING_SECONDS = 1.0
MASQUERADE = f"""table inet nat {{
  chain postrouting {{
    type nat hook postrouting priority srcnat;
    udp dport {PORT} masquerade to :20000-29999;
  }}
}}
"""


@pytest.fixture(scope="module")
def world():
    with World(["fra", "nyc"]) as made:
        made.both("fra", "nyc", delay_ms=5)
        made["fra"].nft(MASQUERADE)
        made["fra"].run(["sysctl", "-w", "net.netfilter.nf_conntrack_udp_timeout=5"])
        yield made


def test_the_lifetime_is_the_longest_silence_that_the_mapping_outlived(world):
    """A NAT that forgets after 5 s, over both families: told after 2 s, unheard after 8 s."""
    there = world["nyc"]
    addresses = {Family.IPV4: there.address, Family.IPV6: there.address6}
    samples = {}

    async def main():
        with there.enter():
            reflector = StampReflector(None, PORT, 50, None, lambda _: True)
        with world["fra"].enter():
            network = SystemNetwork()
            try:
                await nat.run(
                    Burst(
                        nat.Options(idle_seconds=(2, 8)), FORGIVING_SECONDS,
                        [Target("nyc", family, address, PORT) for family, address in addresses.items()], network,
                        lambda target, sample: samples.update({target.family: sample}), lambda *_: None,
                    )
                )  # fmt: skip
            finally:
                network.close()
                reflector.close()

    uvloop.run(main())
    assert samples.keys() == addresses.keys()
    for sample in samples.values():
        assert sample.outcome is Outcome.OK
        assert sample.result["nat"] is True
        assert sample.result["mapping_lifetime_seconds"] == 2
        assert 20000 <= int(sample.result["observed_address"].rpartition(":")[2]) <= 29999
