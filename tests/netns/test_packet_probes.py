"""The packet probes over an emulated WAN: every fault shows as what it is, in the direction it is in."""

import asyncio
import contextlib
import json
import math
import socket
import sys
import time
from collections import Counter

import pytest

from agent.flight import fly
from agent.net.network import SystemNetwork
from agent.net.reflect import StampReflector
from agent.probes import icmp, syn, udp
from agent.probes.icmp import ICMP_KIND
from agent.probes.syn import SYN_KIND
from agent.probes.udp import UDP_KIND
from agent.sample import Burst, Target
from agent.wire.series import Family, Outcome
from lab.packet import TCP, flow_hash_of
from lab.world import World

pytestmark = [pytest.mark.netns, pytest.mark.timeout(120)]

PORT = 10981
MS = 1_000_000
DEVIATIONS_99 = 2.576  # of a two-sided 99% interval
OPTIONS = {"syn": syn.Options(), "udp": udp.Options(), "icmp": icmp.Options()}
KINDS = {"syn": SYN_KIND, "udp": UDP_KIND, "icmp": ICMP_KIND}


@pytest.fixture
def world():
    """Two nodes 10 ms apart."""
    with World(["a", "b"], open_ping=True) as made:
        made.both("a", "b", delay_ms=5)
        yield made


@contextlib.contextmanager
def served(node, family=Family.IPV4):
    """A listening TCP port and a reflector in a node."""
    address = node.address if family is Family.IPV4 else node.address6
    domain = socket.AF_INET if family is Family.IPV4 else socket.AF_INET6
    with node.enter():
        reflector = StampReflector(address, PORT, 1e6, None, lambda _: True)
        listener = socket.create_server((address, PORT), family=domain, backlog=1000)
    try:
        yield reflector
    finally:
        reflector.close()
        listener.close()


def probes(
    world,
    kind,
    count,
    *,
    gap=0.005,
    timeout=0.5,
    family=Family.IPV4,
    options=None,
    serve=True,
    meanwhile=None,
):
    """Samples of `count` probes of b from a, one every `gap` seconds, and what was kept as events.

    meanwhile: {index: function} to call before that probe.
    """
    near, far = world["a"], world["b"]
    address = far.address if family is Family.IPV4 else far.address6
    target = Target("b", family, address, PORT if kind != "icmp" else 0)
    samples, events, memory = [], [], {}

    async def main():
        network = SystemNetwork()
        loop = asyncio.get_running_loop()
        start, running = loop.time(), []
        for index in range(count):
            await asyncio.sleep(start + index * gap - loop.time())
            (meanwhile or {}).get(index, lambda: None)()
            burst = Burst(
                options or OPTIONS[kind], timeout, [target], network,
                lambda _, sample: samples.append(sample), lambda *event: events.append(event), memory,
            )  # fmt: skip
            running.append(loop.create_task(fly(burst, KINDS[kind])))
        await asyncio.gather(*running)
        network.close()

    async def served_main():
        with served(far, family) if serve else contextlib.nullcontext():
            await main()

    with near.enter():
        asyncio.run(served_main())
    assert len(samples) == count
    return samples, events


def outcomes(samples):
    return Counter(sample.outcome for sample in samples)


def total(samples, name):
    return sum(sample.result[name] for sample in samples)


def within_binomial(seen, sent, ratio):
    return abs(seen - sent * ratio) <= DEVIATIONS_99 * math.sqrt(sent * ratio * (1 - ratio)) + 1


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("family", list(Family))
def test_round_trip_is_the_worlds(world, kind, family):
    """10 ms set, 10 ms measured, in both families: never less, and not the emulator's lateness more than it has."""
    samples, _ = probes(world, kind, 40, family=family)
    assert outcomes(samples) == {Outcome.OK: 40}
    times = sorted(sample.rtt_ns for sample in samples)
    assert times[0] >= 10 * MS
    assert times[20] <= 12 * MS


def test_loss_of_each_direction_is_told_apart(world):
    """10% lost on the way there and 3% back: each count lies in its binomial 99% interval."""
    world.path("a", "b", loss=0.10)
    world.path("b", "a", loss=0.03)
    samples, _ = probes(world, "udp", 2000, gap=0.002)
    forward, backward = total(samples, "lost_forward"), total(samples, "lost_backward")
    assert within_binomial(forward, 2000, 0.10)
    assert within_binomial(backward, 2000 - forward, 0.03)
    truth = world.counters("a", "b").lost_random, world.counters("b", "a").lost_random
    assert (forward, backward) == pytest.approx(truth, abs=3)
    assert forward + backward <= outcomes(samples)[Outcome.TIMEOUT]


@pytest.mark.parametrize(("source", "destination", "name"), [("a", "b", "forward"), ("b", "a", "backward")])
def test_reordering_and_duplication_show_in_their_direction(world, source, destination, name):
    """5% held back and 5% doubled on one way: counted there as often as the emulator did it, and not the other way."""
    other = {"forward": "backward", "backward": "forward"}[name]
    world.path(source, destination, reorder=0.05, reorder_hold_ms=20, duplicate=0.05)
    samples, _ = probes(world, "udp", 1000, gap=0.003)
    truth = world.counters(source, destination)
    assert outcomes(samples) == {Outcome.OK: 1000}
    assert total(samples, f"reordered_{name}") == pytest.approx(truth.held_back, abs=4)
    assert total(samples, f"duplicated_{name}") == pytest.approx(truth.duplicated, abs=4)
    assert total(samples, f"reordered_{other}") <= 2
    assert total(samples, f"duplicated_{other}") <= 2
    assert total(samples, "lost_forward") + total(samples, "lost_backward") == 0


@pytest.mark.parametrize("kind", ["syn", "icmp"])
def test_duplicates_are_counted_beside_the_outcome(world, kind):
    """A doubled answer changes no outcome."""
    world.path("b", "a", duplicate=0.2)
    samples, _ = probes(world, kind, 200)
    assert outcomes(samples) == {Outcome.OK: 200}
    assert total(samples, "duplicates") == pytest.approx(world.counters("b", "a").duplicated, abs=6)


@pytest.mark.parametrize("kind", list(KINDS))
def test_late_answers_are_timeouts_that_are_told_apart(world, kind):
    """Answers after 150 ms with a deadline of 100: every one a timeout, nearly all of them seen late."""
    world.path("b", "a", delay_ms=145)
    samples, _ = probes(world, kind, 60, gap=0.01, timeout=0.1)
    world.path("b", "a", delay_ms=5)
    assert outcomes(samples)[Outcome.TIMEOUT] == 60
    assert total(samples, "late") >= 40, "those of the last 150 ms come after the last sample"
    if kind == "udp":
        assert total(samples, "lost_forward") == 0


def test_variation_shows_in_the_direction_that_varies(world):
    """Jitter on the way there only: its variation is some ms, the other way's a fraction of that."""
    world.path("a", "b", jitter_ms=6)
    samples, _ = probes(world, "udp", 300)
    forward, backward = (
        sorted(sample.result[f"variation_{way}_ns"] for sample in samples)[150]
        for way in ("forward", "backward")
    )
    assert 1 * MS < forward < 6 * MS
    assert backward < forward / 3


@pytest.mark.parametrize("kind", ["syn", "udp"])
def test_closed_port_is_an_answer(world, kind):
    """The host is there: refused, of TCP with its round trip."""
    samples, _ = probes(world, kind, 5, gap=1.1 if kind == "udp" else 0.01, serve=False)  # ICMP errors: 1/s
    assert outcomes(samples) == {Outcome.REFUSED: 5}
    assert kind == "udp" or all(sample.rtt_ns >= 10 * MS for sample in samples)


@pytest.mark.parametrize("kind", list(KINDS))
def test_silent_host_and_unreachable_host_differ(world, kind):
    """A host that is down is a timeout; where a router says so it is unreachable, at once and by whom."""
    world.path("a", "b", state="silent")
    samples, _ = probes(world, kind, 5, timeout=0.2)
    assert outcomes(samples) == {Outcome.TIMEOUT: 5}
    world.path("a", "b", state="unreachable")
    samples, _ = probes(world, kind, 5, timeout=5)
    assert outcomes(samples) == {Outcome.UNREACHABLE: 5}
    assert "said " in samples[0].detail


def test_nat_rebinding_is_no_loss(world):
    """The sender's port changes under way: the reflector begins anew, which is told, and no loss is made of it."""
    near = world["a"]
    for timeout in ("nf_conntrack_udp_timeout", "nf_conntrack_udp_timeout_stream"):
        near.sysctl(f"net.netfilter.{timeout}", 1)

    def map_to(ports):
        near.nft(f"""flush ruleset
table ip nat {{
  chain leave {{
    type nat hook postrouting priority 100;
    udp dport {PORT} masquerade to :{ports};
  }}
}}
""")

    def rebind():
        time.sleep(2.5)  # until the mapping has expired
        map_to("30001-30100")

    map_to("20001-20100")
    with world["b"].capture(f"udp dst port {PORT}") as capture:
        samples, _ = probes(world, "udp", 40, gap=0.01, meanwhile={20: rebind})
    ports = {packet.source_port for packet in capture.packets()}
    assert len(ports) == 2
    assert outcomes(samples) == {Outcome.OK: 40}
    assert total(samples, "reflector_restarts") == 1
    assert total(samples, "lost_forward") + total(samples, "lost_backward") == 0


def test_one_bad_leg_among_equals_is_found(world):
    """One of four equal-cost ways loses everything: the source ports that take it are named, and no others."""
    ports = range(61000, 61008)  # the first above the kernel's own range
    way = {port: flow_hash_of(TCP, world["a"].address, world["b"].address, port, PORT) % 4 for port in ports}
    bad = way[ports[3]]
    world.path("a", "b", legs=4, bad_legs=(bad,))
    samples, events = probes(world, "syn", 400, timeout=0.1, options=syn.Options(legs=8), gap=0.01)
    assert outcomes(samples)[Outcome.TIMEOUT] == world.counters("a", "b").lost_leg
    named = {leg["source_port"] for _, name, detail in events for leg in detail["legs"]}
    assert named == {port for port in ports if way[port] == bad}
    assert samples[-1].result["lossy_legs"] == len(named)
    assert samples[-1].result["worst_leg_loss_ratio"] == 1.0


def test_lost_reset_does_not_lose_the_next_probe_of_its_port(world):
    """Where the RST that ends a probe is lost, the peer remembers its port: the next SYN still has an answer and a time."""
    drop_resets = "type filter hook output priority 0;\n tcp flags & rst == rst counter drop;"
    world["a"].nft(f"table inet lab {{\n chain output {{ {drop_resets}\n }}\n}}\n")
    # The peer sends at most one such ACK per half second (net.ipv4.tcp_invalid_ratelimit).
    samples, _ = probes(world, "syn", 12, gap=0.3, options=syn.Options(legs=1))
    assert outcomes(samples) == {Outcome.OK: 12}
    assert all(10 * MS <= sample.rtt_ns < 100 * MS for sample in samples)


def test_half_open_connections_do_not_stay_at_the_peer(world):
    """The kernel resets each: after the probes no half-open connection is left."""
    probes(world, "syn", 50)
    give_up = time.monotonic() + 0.8  # the peer would send its SYN-ACK again, and get another RST, after 1 s
    while "SYN-RECV" in (left := world["b"].run(["ss", "-tan"]).stdout):
        assert time.monotonic() < give_up, left


def test_ipv6_only_node(world):
    """Without any IPv4 address the probes work over IPv6, and IPv4 is unreachable rather than lost."""
    world["a"].run(["ip", "-4", "address", "flush", "dev", "wan0"])
    for kind in KINDS:
        samples, _ = probes(world, kind, 5, family=Family.IPV6)
        assert outcomes(samples) == {Outcome.OK: 5}
        samples, _ = probes(world, kind, 2, family=Family.IPV4, timeout=0.3)
        assert outcomes(samples) == {Outcome.UNREACHABLE: 2}


def by_hand(node, *words, **how):
    done = node.run([sys.executable, "-m", "agent", "probe", *words], check=False, **how)
    return done.returncode, done.stdout, done.stderr


def test_without_privilege_syn_is_unavailable_and_udp_works(world):
    """As user 65534 without capabilities: syn says what it lacks, and is no loss; udp and icmp work."""
    near, far = world.nodes

    async def main():
        with served(far):
            run = asyncio.to_thread
            common = ("-c", "3", "-i", "0.05", "-t", "1", "--json")
            peer = f"{far.address}:{PORT}"
            syn_result = await run(by_hand, near, "syn", peer, "--allow-any", *common, unprivileged=True)
            udp_result = await run(by_hand, near, "udp", peer, *common, unprivileged=True)
            icmp_result = await run(by_hand, near, "icmp", far.address, *common, unprivileged=True)
            near.sysctl("net.ipv4.ping_group_range", "1 0")
            barred = await run(by_hand, near, "icmp", far.address, *common, unprivileged=True)
            raw = await run(by_hand, near, "icmp", far.address, *common)
            return syn_result, udp_result, icmp_result, barred, raw

    syn_result, udp_result, icmp_result, barred, raw = asyncio.run(main())
    assert (syn_result[0], json.loads(syn_result[1])["outcomes"]) == (1, {"unavailable": 3})
    assert (udp_result[0], json.loads(udp_result[1])["outcomes"]) == (0, {"ok": 3})
    assert (icmp_result[0], json.loads(icmp_result[1])["outcomes"]) == (0, {"ok": 3})
    assert (barred[0], json.loads(barred[1])["outcomes"]) == (1, {"unavailable": 3})
    assert (raw[0], json.loads(raw[1])["outcomes"]) == (0, {"ok": 3})


def test_syn_by_hand_refuses_strangers(world, tmp_path):
    """Exit 2 and one line for a target that is no peer; a peer and --allow-any are probed."""
    near, far = world.nodes
    config = tmp_path / "agent.toml"
    config.write_text(f'node = "a"\n[[peers]]\nname = "b"\nipv4 = "{far.address}"\n')

    async def main():
        with served(far):
            common = (f"{far.address}:{PORT}", "-c", "2", "-i", "0.05", "--config.file")
            stranger = await asyncio.to_thread(by_hand, near, "syn", *common, tmp_path / "none.toml")
            peer = await asyncio.to_thread(by_hand, near, "syn", *common, config)
            allowed = await asyncio.to_thread(
                by_hand, near, "syn", *common, tmp_path / "none.toml", "--allow-any"
            )
            return stranger, peer, allowed

    stranger, peer, allowed = asyncio.run(main())
    assert (stranger[0], stranger[1], stranger[2].count("\n")) == (2, "", 1)
    assert "--allow-any" in stranger[2]
    assert (peer[0], allowed[0]) == (0, 0)
