"""Facts of a host in a network namespace that has overlays and routes with their own MTU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]
NAMESPACE = "lffacts"
SETUP = (
    "link set lo up",
    "link add eth7 mtu 1450 type veth peer name far",
    "addr add 10.0.0.1/24 dev eth7",
    "addr add fd00:7::1/64 dev eth7 nodad",
    "link set eth7 up",
    "link set far up",
    "link add flannel.1 mtu 1450 type vxlan id 1 local 10.0.0.1 dev eth7 dstport 8472",
    "link add six mtu 1380 type vxlan id 2 local fd00:7::1 dstport 8473",
    "link add vxlan9 type bridge",
    "route add default via 10.0.0.2 dev eth7 metric 50",
    "route add 192.0.2.0/24 via 10.0.0.2 mtu lock 1400 advmss 1340",
)
COLLECT = """
import json, msgspec
from pathlib import Path
from agent.hostfacts import collect
print(json.dumps({fact.name: fact.value for fact in collect(Path("/"), 1)}))
"""


@pytest.fixture(scope="module")
def facts():
    subprocess.run(["ip", "netns", "add", NAMESPACE], check=True)
    try:
        for command in SETUP:
            subprocess.run(["ip", "-n", NAMESPACE, *command.split()], check=True)
        run = subprocess.run(
            ["ip", "netns", "exec", NAMESPACE, sys.executable, "-c", COLLECT],
            capture_output=True,
            check=True,
            cwd=Path(__file__).resolve().parents[2],
        )
        return json.loads(run.stdout)
    finally:
        subprocess.run(["ip", "netns", "del", NAMESPACE], check=True)


def test_only_this_namespaces_interfaces(facts):
    """A container-like namespace is seen as its own, and a veth is a device of it."""
    assert facts["interfaces.names"] == ["eth7", "far", "flannel.1", "lo", "six", "vxlan9"]
    assert (facts["interface.eth7.kind"], facts["interface.eth7.mtu"]) == ("veth", 1450)
    assert facts["interface.eth7.offload.generic-receive-offload"]["enabled"] in (True, False)


def test_overlays_with_their_underlay_from_the_kernel(facts):
    """The kernel tells the interface below and the outer family, so the overhead is known: 50 and 70."""
    assert (facts["overlay.flannel.1.kind"], facts["overlay.flannel.1.underlay_interface"]) == (
        "vxlan",
        "eth7",
    )
    assert (facts["overlay.flannel.1.underlay_mtu"], facts["overlay.flannel.1.overhead_bytes"]) == (1450, 50)
    assert (facts["overlay.six.underlay_family"], facts["overlay.six.overhead_bytes"]) == ("ipv6", 70)


def test_a_bridge_called_vxlan_is_no_overlay(facts):
    """The kernel's kind beats the name."""
    assert not any(name.startswith("overlay.vxlan9") for name in facts)
    assert facts["interface.vxlan9.kind"] == "bridge"


def test_routes_with_their_mtu(facts):
    """The live host tells a route's MTU, its lock and its MSS."""
    assert facts["route.ipv4.default"][0] == {
        "destination": "0.0.0.0/0",
        "interface": "eth7",
        "gateway": "10.0.0.2",
        "metric": 50,
    }
    (route,) = facts["route.with_mtu"]
    assert (route["destination"], route["mtu"], route["mtu_locked"], route["mss_bytes"]) == (
        "192.0.2.0/24",
        1400,
        True,
        1340,
    )
