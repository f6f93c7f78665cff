"""The tcp probe across an emulated WAN: the truth, a blackhole, lost SYNs, a path that an ICMP error ends."""

import json
import sys

import pytest

from agent_process import ROOT
from lab.capture import handshake_rtts_ns
from lab.world import World

pytestmark = [pytest.mark.netns, pytest.mark.debian]
SERVER = "import socket;s=socket.create_server(('::',80),family=socket.AF_INET6,dualstack_ipv6=True,backlog=1024)\nwhile 1:s.accept()[0].close()"


@pytest.fixture
def world():
    with World(["fra", "nyc"]) as made:
        made.both("fra", "nyc", delay_ms=20)
        made["nyc"].popen([sys.executable, "-c", SERVER])
        made["nyc"].run(["sh", "-c", "while ! ss -tln | grep -q :80; do sleep 0.05; done"])
        yield made


def by_hand(node, target, *arguments):
    """The object that `probe tcp --json` prints at this node."""
    argv = [sys.executable, "-m", "agent", "probe", "tcp", target, "--json", *arguments]
    return json.loads(node.run(argv, check=False, cwd=ROOT).stdout)


def test_over_both_families_the_time_is_the_captures(world):
    """Fifty handshakes each: no outcome but ok, and the median within 50 µs of what tcpdump saw."""
    fra, nyc = world.nodes
    for address, target in ((fra.address, f"{nyc.address}:80"), (fra.address6, f"[{nyc.address6}]:80")):
        with fra.capture("tcp port 80" if "[" not in target else "ip6 and tcp port 80") as capture:
            result = by_hand(fra, target, "-c", "50", "-i", "0.01")
        truth = sorted(handshake_rtts_ns(capture.packets(), address).values())
        assert result["outcomes"] == {"ok": 50}
        assert len(truth) == 50
        assert result["rtt_seconds"]["p50"] == pytest.approx(truth[24] / 1e9, abs=50e-6)


def test_a_blackhole_is_a_timeout(world):
    """Every SYN lost: every probe times out, none has a time, exit status 1."""
    world.path("fra", "nyc", loss=1.0)
    result = by_hand(world["fra"], f"{world['nyc'].address}:80", "-c", "3", "-i", "0.1", "-t", "1.3")
    assert result["outcomes"] == {"timeout": 3}
    assert result["rtt_seconds"]["max"] is None


def test_a_lost_syn_is_an_outcome_and_no_latency(world):
    """With every second SYN of a port lost, half are answered after a second: they count as retransmitted, not slow."""
    world["nyc"].nft(
        "table inet lose { chain in { type filter hook input priority 0;\n"
        "tcp flags & (syn|ack) == syn numgen inc mod 2 == 0 drop\n}\n}\n"
    )
    result = by_hand(world["fra"], f"{world['nyc'].address}:80", "-c", "10", "-i", "0.15", "-t", "4")
    assert (
        result["outcomes"]["ok"]
        + result["outcomes"]["syn_retransmitted"]
        + result["outcomes"].get("timeout", 0)
        == 10
    )
    assert result["outcomes"]["syn_retransmitted"] >= 2
    assert result["rtt_seconds"]["max"] < 0.3


def test_an_icmp_error_is_unreachable(world):
    """A router that answers `host unreachable` ends the probe at once, with the reason."""
    world["nyc"].nft(
        "table inet refuse { chain in { type filter hook input priority 0;\n"
        "tcp dport 81 reject with icmpx host-unreachable\n}\n}\n"
    )
    result = by_hand(world["fra"], f"{world['nyc'].address}:81", "-c", "3", "-i", "0.1", "-t", "3")
    assert result["outcomes"] == {"unreachable": 3}
