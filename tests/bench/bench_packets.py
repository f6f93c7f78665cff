"""The packet probes against a capture, against fping, and what they cost. Run by make bench; needs root.

Truth is a capture at the probing node's interface. Figures of one run compare; absolute times move with the host.
"""

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop
from bench_tcp import cpu_seconds

from agent.flight import Volley
from agent.net.network import SystemNetwork
from agent.probes import PROBES, syn
from agent.sample import Burst, Target
from agent.wire.series import Family, Outcome
from blackbox import Blackbox
from lab.capture import echo_rtts_ns, handshake_rtts_ns
from lab.netns import Namespace
from lab.node import Node
from lab.pcap import Packet
from lab.world import World

KINDS = ("syn", "udp", "icmp")
BURST, BURSTS_PER_SECOND = 20, 10
PORT = 10981
OPTIONS = {"syn": syn.Options(legs=0)}  # all targets are one here, where their fixed ports would collide
SERVER = Path(__file__).with_name("packet_server.py")


class WatchedNetwork(SystemNetwork):
    """Keeps every flight, so that each can be compared with its own packets in the capture."""

    def __init__(self) -> None:
        super().__init__()
        self.flights = []

    async def wait(self, volley: Volley, timeout_seconds: float) -> None:
        await super().wait(volley, timeout_seconds)
        self.flights += volley.flights


async def probe(kind: str, address: str, bursts: int, network: SystemNetwork) -> dict[Outcome, int]:
    """So many bursts of 20, ten a second."""
    targets = [Target(f"t{n}", Family.IPV4, address, PORT) for n in range(BURST)]
    outcomes, memory = {}, {}

    def record(_target, sample) -> None:
        outcomes[sample.outcome] = outcomes.get(sample.outcome, 0) + 1

    burst = Burst(
        OPTIONS.get(kind, PROBES[kind].options()), 2.0, targets, network, record, lambda *_: None, memory
    )
    loop = asyncio.get_running_loop()
    start, running = loop.time(), []
    for number in range(bursts):
        await asyncio.sleep(start + number / BURSTS_PER_SECOND - loop.time())
        running.append(loop.create_task(PROBES[kind].run(burst)))
    await asyncio.gather(*running)
    return outcomes


def in_node(node, work):
    """Run a coroutine function with a network of that node, on uvloop."""

    async def main():
        network = WatchedNetwork()
        try:
            return await work(network)
        finally:
            network.close()

    with node.enter():
        return uvloop.run(main())


def errors_us(kind: str, network: WatchedNetwork, packets: list[Packet], client: str) -> list[float]:
    """|kernel's round trip − capture's|, of every answered probe that the capture has."""
    truth = {
        "syn": lambda: {
            port << 32 | seq: rtt for (port, seq), rtt in handshake_rtts_ns(packets, client).items()
        },
        "icmp": lambda: {seq: rtt for (_, _, seq), rtt in echo_rtts_ns(packets, client).items()},
        "udp": lambda: stamp_rtts_ns(packets),
    }[kind]()
    key_of = {
        "syn": lambda flight: flight.key,
        "icmp": lambda flight: flight.key & 0xFFFF,
        "udp": lambda flight: (flight.key >> 32, flight.key & 0xFFFFFFFF),
    }[kind]
    answered = [f for f in network.flights if f.tx_ns and f.rx_ns and key_of(f) in truth]
    assert len(answered) > 0.9 * len(network.flights)
    return sorted(abs(f.rx_ns - f.tx_ns - truth[key_of(f)]) / 1e3 for f in answered)


def stamp_rtts_ns(packets: list[Packet]) -> dict[tuple[int, int], int]:
    """By (session identifier, sequence number)."""
    sent, rtts = {}, {}
    for packet in packets:
        data = packet.payload
        if packet.destination_port == PORT:
            sent[int.from_bytes(data[14:16], "big"), int.from_bytes(data[:4], "big")] = packet.time_ns
        elif packet.source_port == PORT:
            key = int.from_bytes(data[14:16], "big"), int.from_bytes(data[24:28], "big")
            rtts[key] = packet.time_ns - sent[key]
    return rtts


def fping_errors_us(node: Node, address: str, rounds: int) -> list[float]:
    """fping's error in the same pattern: 20 targets, ten rounds a second."""
    with node.capture("icmp", immediate=False) as capture:
        argv = ["fping", "-q", "-C", rounds, "-p", 1000 // BURSTS_PER_SECOND, "-i", "1", "-t", "90"]
        done = node.run([*argv, *[address] * BURST], check=False, timeout=60)
    shown = [
        re.findall(r"[\d.]+|-", line.partition(" : ")[2])
        for line in done.stderr.splitlines()
        if " : " in line
    ]
    by_order = [shown[target][number] for number in range(rounds) for target in range(BURST)]
    packets = capture.packets()
    rtts = echo_rtts_ns(packets, node.address)
    order = [(p.destination, p.icmp_id, p.icmp_seq) for p in packets if p.icmp_type == 8]
    return sorted(
        abs(float(text) * 1e3 - rtts[key] / 1e3)
        for text, key in zip(by_order, order, strict=True)
        if text != "-" and key in rtts
    )


@contextlib.contextmanager
def busy_cores() -> Iterator[None]:
    """stress-ng on every core at normal priority."""
    argv = [
        "stress-ng",
        "--quiet",
        "--cpu",
        str(os.cpu_count()),
        "--cpu-method",
        "matrixprod",
        "--timeout",
        "120",
    ]
    stress = subprocess.Popen(argv)
    try:
        time.sleep(0.5)
        yield
    finally:
        stress.terminate()
        stress.wait()


def quantile(ordered: list[float], part: float) -> float:
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]


@pytest.mark.bench
@pytest.mark.netns
@pytest.mark.timeout(300)
def test_error_against_capture_and_fping(capsys) -> None:
    """P50 ≤ 5 µs and P99 ≤ 15 µs idle and with both cores busy, and P99 at most a quarter of fping's."""
    bursts, rows = 40, {}
    with World(["a", "b"], open_ping=True) as world:
        near, far = world.nodes
        world.both("a", "b", delay_ms=5, jitter_ms=5)
        far.popen([sys.executable, SERVER, PORT])
        time.sleep(1)
        for state in ("idle", "busy"):
            with busy_cores() if state == "busy" else contextlib.nullcontext():
                for kind in KINDS:
                    with near.capture(immediate=False) as capture:

                        async def work(network, kind=kind):
                            await probe(kind, far.address, bursts, network)
                            return network

                        network = in_node(near, work)
                    rows[kind, state] = errors_us(kind, network, capture.packets(), near.address)
                rows["fping", state] = fping_errors_us(near, far.address, bursts)
    with capsys.disabled():
        print(
            f"\nload {os.getloadavg()[0]:.1f}; |error| in µs against a capture, RTT 10 to 20 ms, bursts of {BURST}"
        )
        for (kind, state), errors in rows.items():
            print(
                f"{kind:>6} {state}  n {len(errors):>4}  P50 {quantile(errors, 0.5):6.1f}"
                f"  P99 {quantile(errors, 0.99):6.1f}  max {errors[-1]:7.1f}"
            )
    for state in ("idle", "busy"):
        for kind in KINDS:
            assert quantile(rows[kind, state], 0.99) <= quantile(rows["fping", state], 0.99) / 4


@pytest.mark.bench
@pytest.mark.netns
@pytest.mark.timeout(300)
def test_cpu_per_probe(capsys, tmp_path) -> None:
    """At 200/s in bursts of 20 over a 10 to 20 ms path, with the wake-ups of an idle host; and blackbox_exporter's tcp."""
    rows = {}
    with World(["a", "b"], open_ping=True) as world:
        near, far = world.nodes
        world.both("a", "b", delay_ms=5, jitter_ms=5)
        far.popen([sys.executable, SERVER, PORT])
        time.sleep(1)
        for kind in KINDS:

            async def work(network, kind=kind):
                await probe(kind, far.address, 3, network)
                before = time.process_time()
                outcomes = await probe(kind, far.address, 50, network)
                return (time.process_time() - before) / (50 * BURST) * 1e6, outcomes

            rows[kind] = in_node(near, work)
        peer = Blackbox(near, tmp_path)
        peer.durations(f"{far.address}:{PORT}", 100)
        began = cpu_seconds(peer.process.pid)
        peer.durations(f"{far.address}:{PORT}", 800, gap_seconds=0.005)
        rows["blackbox"] = (cpu_seconds(peer.process.pid) - began) / 800 * 1e6, {}
    with capsys.disabled():
        print(f"\nload {os.getloadavg()[0]:.1f}; CPU µs per probe at 200/s in bursts of {BURST}")
        for kind, (cost, outcomes) in rows.items():
            print(f"{kind:>8}  {cost:6.1f}  1/{rows['blackbox'][0] / cost:.1f} of blackbox  {outcomes}")
    for kind in ("syn", "udp"):
        assert rows["blackbox"][0] / rows[kind][0] > 3


async def saturate(
    kind: str, address: str, seconds: float, network: SystemNetwork
) -> tuple[int, float, float, dict]:
    """Twelve bursts of 64 always under way: (probes, seconds, CPU seconds, outcomes)."""
    targets = [Target(f"t{n}", Family.IPV4, address, PORT) for n in range(64)]
    outcomes, memory = {}, {}

    def record(_target, sample) -> None:
        outcomes[sample.outcome] = outcomes.get(sample.outcome, 0) + 1

    burst = Burst(
        OPTIONS.get(kind, PROBES[kind].options()), 0.5, targets, network, record, lambda *_: None, memory
    )
    await PROBES[kind].run(burst)
    outcomes.clear()
    start, cpu = time.monotonic(), time.process_time()

    async def lane() -> None:
        while time.monotonic() - start < seconds:
            await PROBES[kind].run(burst)

    await asyncio.gather(*(lane() for _ in range(12)))
    network.flights.clear()
    return sum(outcomes.values()), time.monotonic() - start, time.process_time() - cpu, outcomes


@pytest.mark.bench
@pytest.mark.netns
@pytest.mark.timeout(120)
def test_rate_on_one_core(capsys) -> None:
    """Over a veth pair, where our core also does the target kernel's part; the reflector runs on the other core."""
    rows = {}
    near, far = Namespace(), Namespace()
    try:
        setup = f"""link add bench0 type veth peer name bench1 netns {far.path}
            address add 198.18.250.1/30 dev bench0
            link set bench0 up"""
        subprocess.run(near.command(["ip", "-batch", "-"]), input=setup, text=True, check=True)
        setup = "address add 198.18.250.2/30 dev bench1\nlink set bench1 up"
        subprocess.run(far.command(["ip", "-batch", "-"]), input=setup, text=True, check=True)
        for side in (near, far):
            ping = "echo 0 2147483647 > /proc/sys/net/ipv4/ping_group_range; sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv4.icmp_msgs_per_sec=1000000"
            subprocess.run(side.command(["sh", "-c", ping]), check=True)
        server = subprocess.Popen(far.command(["taskset", "2", sys.executable, str(SERVER), str(PORT)]))
        time.sleep(1)
        os.sched_setaffinity(0, {0})
        for kind in (*KINDS, "tcp"):
            rows[kind] = in_node(
                near, lambda network, kind=kind: saturate(kind, "198.18.250.2", 2.0, network)
            )
    finally:
        os.sched_setaffinity(0, range(os.cpu_count()))
        server.kill()
        server.wait()
        near.close()
        far.close()
    with capsys.disabled():
        print(f"\nload {os.getloadavg()[0]:.1f}; saturated on one core")
        for kind, (probes, seconds, cpu, outcomes) in rows.items():
            print(
                f"{kind:>6}  {probes / seconds:8.0f}/s  {cpu / probes * 1e6:5.1f} µs CPU each, so {probes / cpu:6.0f}/s of a core  {outcomes}"
            )
