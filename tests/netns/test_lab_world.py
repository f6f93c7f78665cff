"""The lab against the kernel: what was asked of a path is what crosses it, by captures at both ends."""

import contextlib
import errno
import itertools
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
import unittest
from pathlib import Path

import pytest

from lab.capture import echo_rtts_ns, handshake_rtts_ns
from lab.netns import LabError, LabUnavailableError, inhabitants
from lab.packet import flow_hash_of
from lab.path import Hop
from lab.world import World

pytestmark = pytest.mark.netns
needs_fping = pytest.mark.skipif(shutil.which("fping") is None, reason="fping is not installed")

PORT = 9000
IP_MTU_DISCOVER, IP_PMTUDISC_DO, IP_MTU = 10, 2, 14
IPV6_MTU_DISCOVER, IPV6_MTU, IPV6_DONTFRAG = 23, 24, 62
NS_PER_MS = 1_000_000


@pytest.fixture
def world():
    """Two nodes with perfect paths."""
    with World(["fra", "nyc"], open_ping=True) as world:
        yield world


def udp_socket(node, *, family: int = socket.AF_INET, port: int = 0) -> socket.socket:
    with node.enter():
        opened = socket.socket(family, socket.SOCK_DGRAM)
    opened.bind((node.address if family == socket.AF_INET else node.address6, port))
    opened.settimeout(5)
    return opened


def send_numbered(
    world, count: int, *, gap_seconds: float = 0.002, size: int = 64, settle_seconds: float = 0.2
):
    """Datagrams 0 … count-1 from fra to nyc; the captures at both ends as {number: [time_ns, …]} in order of time."""
    fra, nyc = world["fra"], world["nyc"]
    with (
        udp_socket(fra) as out,
        udp_socket(nyc, port=PORT),
        fra.capture(f"udp dst port {PORT}") as sent,
        nyc.capture(f"udp dst port {PORT}") as arrived,
    ):
        for number in range(count):
            out.sendto(number.to_bytes(4, "big").ljust(size, b"\0"), (nyc.address, PORT))
            time.sleep(gap_seconds)
        time.sleep(settle_seconds)
    return times_by_number(sent), times_by_number(arrived)


def times_by_number(capture) -> dict[int, list[int]]:
    times: dict[int, list[int]] = {}
    for packet in capture.packets():
        times.setdefault(int.from_bytes(packet.payload[:4], "big"), []).append(packet.time_ns)
    return times


def one_way_ms(sent, arrived) -> list[float]:
    return [(times[0] - sent[number][0]) / NS_PER_MS for number, times in arrived.items()]


@needs_fping
def test_delay_is_the_one_asked_for(world):
    """Each direction has its own delay; none is early and most are on time."""
    world.path("fra", "nyc", delay_ms=20)
    world.path("nyc", "fra", delay_ms=5)
    ways = one_way_ms(*send_numbered(world, 100))
    assert len(ways) == 100
    assert min(ways) >= 20
    assert statistics.median(ways) < 21
    with world["fra"].capture("icmp") as capture:
        world["fra"].run(["fping", "-c", "5", "-p", "20", "-t", "500", world["nyc"].address])
    assert (
        25
        <= statistics.median(echo_rtts_ns(capture.packets(), world["fra"].address).values()) / NS_PER_MS
        < 27
    )


def test_jitter_spreads_delays(world):
    """Uniform jitter fills its range and stays within it."""
    world.path("fra", "nyc", delay_ms=5, jitter_ms=10)
    ways = one_way_ms(*send_numbered(world, 200, gap_seconds=0.003))
    assert min(ways) >= 5
    assert statistics.quantiles(ways, n=20)[-1] < 16
    assert max(ways) - min(ways) > 7
    assert 8 < statistics.mean(ways) < 13


def test_loss_is_binomial(world):
    """2,000 packets at 10 %: lost within 4.5 standard deviations of 200, exactly as the emulator counted."""
    before = world.counters("fra", "nyc")
    world.path("fra", "nyc", loss=0.1)
    sent, arrived = send_numbered(world, 2000, gap_seconds=0)
    lost = len(sent) - len(arrived)
    assert len(sent) == 2000
    assert abs(lost - 200) < 4.5 * (2000 * 0.1 * 0.9) ** 0.5
    assert world.counters("fra", "nyc").lost_random - before.lost_random == lost


def test_every_nth_packet_is_lost(world):
    """drop_every=5 leaves gaps exactly five apart."""
    world.path("fra", "nyc", drop_every=5)
    sent, arrived = send_numbered(world, 100, gap_seconds=0.0005)
    missing = sorted(set(sent) - set(arrived))
    assert len(missing) == 20
    assert {later - earlier for earlier, later in itertools.pairwise(missing)} == {5}


def test_duplicates_arrive(world):
    """About a third of the packets arrive twice, none three times."""
    world.path("fra", "nyc", duplicate=0.33)
    _, arrived = send_numbered(world, 300, gap_seconds=0.0005)
    copies = [len(times) for times in arrived.values()]
    assert set(copies) == {1, 2}
    assert 60 < copies.count(2) < 140


def test_packets_are_reordered(world):
    """Held back 20 ms while packets leave every 2 ms, about a tenth is overtaken."""
    world.path("fra", "nyc", reorder=0.1, reorder_hold_ms=20)
    _, arrived = send_numbered(world, 300)
    order = list(arrived)
    assert sorted(order) == list(range(300))
    overtaken = sum(any(later < number for later in order[at + 1 :]) for at, number in enumerate(order))
    late = sum(any(earlier > number for earlier in order[:at]) for at, number in enumerate(order))
    assert overtaken > 100
    assert 10 < late < 55


def test_rate_delays_and_then_drops(world):
    """At 1 Mbit/s a burst of 60 kB meets a queue of 30 kB: up to 240 ms late at that rate, and the rest is lost."""
    world.path("fra", "nyc", rate_bits_per_second=1e6, queue_bytes=30_000)
    sent, arrived = send_numbered(world, 60, gap_seconds=0, size=972, settle_seconds=0.8)
    ways = one_way_ms(sent, arrived)
    assert 29 <= len(arrived) <= 45, "the queue's worth, and what left while the burst was sent"
    assert ways[0] >= 8
    assert 200 < max(ways) < 270
    times = [times[0] for times in arrived.values()]
    assert 0.9e6 < (len(times) - 1) * 8000 / ((times[-1] - times[0]) / 1e9) < 1.1e6


def test_mtu_is_reported(world):
    """A too big datagram with DF brings frag-needed, and the sender's kernel learns the path's MTU."""
    world.both("fra", "nyc", delay_ms=10, mtu_bytes=1400)
    fra, nyc = world["fra"], world["nyc"]
    with udp_socket(fra) as out, udp_socket(nyc, port=PORT) as sink, fra.capture("icmp") as capture:
        out.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
        out.connect((nyc.address, PORT))
        out.send(bytes(1373))
        time.sleep(0.2)
        with pytest.raises(OSError, match="too long") as refused:
            out.send(bytes(1373))
        assert refused.value.errno == errno.EMSGSIZE
        out.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # takes the message's own error off the socket
        assert out.getsockopt(socket.IPPROTO_IP, IP_MTU) == 1400
        out.send(bytes(1372))
        assert len(sink.recv(2000)) == 1372
    message = capture.packets()[0]
    assert (message.icmp_type, message.icmp_code, message.mtu_bytes, message.source) == (
        3,
        4,
        1400,
        "198.19.255.1",
    )


def test_mtu_is_reported_in_ipv6(world):
    """Packet too big, likewise."""
    world.both("fra", "nyc", mtu_bytes=1300)
    fra, nyc = world["fra"], world["nyc"]
    with (
        udp_socket(fra, family=socket.AF_INET6) as out,
        udp_socket(nyc, family=socket.AF_INET6, port=PORT) as sink,
        fra.capture("icmp6") as capture,
    ):
        out.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, IP_PMTUDISC_DO)
        out.setsockopt(socket.IPPROTO_IPV6, IPV6_DONTFRAG, 1)
        out.connect((nyc.address6, PORT))
        out.send(bytes(1253))
        time.sleep(0.1)
        out.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        assert out.getsockopt(socket.IPPROTO_IPV6, IPV6_MTU) == 1300
        out.send(bytes(1252))
        assert len(sink.recv(2000)) == 1252
    assert [(p.icmp_type, p.mtu_bytes) for p in capture.packets()] == [(2, 1300)]


def test_a_black_hole_swallows_and_says_nothing(world):
    """TCP's small handshake passes, its big segments vanish, no ICMP comes."""
    world.both("fra", "nyc", mtu_bytes=1400, mtu_reported=False)
    fra, nyc = world["fra"], world["nyc"]
    with nyc.enter():
        listener = socket.create_server((nyc.address, PORT))
    with fra.enter():
        client = socket.socket()
    with listener, client, fra.capture("icmp") as messages, nyc.capture("tcp") as arrived:
        client.settimeout(5)
        client.connect((nyc.address, PORT))
        client.send(bytes(1448))
        client.send(b"x" * 100)
        time.sleep(0.3)
    assert messages.packets() == []
    sizes = [packet.length_bytes for packet in arrived.packets()]
    assert sizes
    assert max(sizes) <= 1400


@needs_fping
def test_ipv6_has_the_same_path(world):
    """Delay and hop limit work as in IPv4."""
    world.both("fra", "nyc", delay_ms=10)
    with world["fra"].capture("icmp6") as capture:
        world["fra"].run(["fping", "-6", "-c", "5", "-p", "20", "-t", "500", world["nyc"].address6])
    rtts = echo_rtts_ns(capture.packets(), world["fra"].address6)
    assert len(rtts) == 5
    assert 20 <= statistics.median(rtts.values()) / NS_PER_MS < 22
    assert {packet.ttl for packet in capture.packets() if packet.icmp_type == 129} == {63}


def expired_at(node, destination: str, ttl: int, port: int = 33434) -> tuple[str, float] | None:
    """(router, ms) of the ICMP error that a datagram with this TTL brings within half a second; a traceroute's one step."""
    family = socket.AF_INET6 if ":" in destination else socket.AF_INET
    with node.enter():
        icmp_protocol = socket.IPPROTO_ICMPV6 if family == socket.AF_INET6 else socket.IPPROTO_ICMP
        listening = socket.socket(family, socket.SOCK_RAW, icmp_protocol)
        out = socket.socket(family, socket.SOCK_DGRAM)
    with listening, out:
        level, option = (
            (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)
            if family == socket.AF_INET6
            else (socket.IPPROTO_IP, socket.IP_TTL)
        )
        out.setsockopt(level, option, ttl)
        listening.settimeout(0.5)
        began = time.monotonic()
        out.sendto(b"probe", (destination, port))
        try:
            _, address = listening.recvfrom(2000)
        except TimeoutError:
            return None
        return address[0], (time.monotonic() - began) * 1000


def test_a_traceroute_sees_the_hops(world):
    """Each router answers at its distance, a silent one not, the destination's kernel last; in both families."""
    hops = (
        Hop(addresses=("198.19.1.1", "2001:2:0:ff01::1"), share=0.1),
        Hop(addresses=("198.19.2.1",), silent=True),
        Hop(addresses=("198.19.3.1", "2001:2:0:ff03::1"), share=0.5),
    )
    world.both("fra", "nyc", delay_ms=20, hops=hops)
    fra, nyc = world["fra"], world["nyc"]
    steps = [expired_at(fra, nyc.address, ttl) for ttl in (1, 2, 3, 4)]
    assert [step and step[0] for step in steps] == ["198.19.1.1", None, "198.19.3.1", nyc.address]
    assert 4 <= steps[0][1] < 20
    assert 32 <= steps[2][1] < 40 <= steps[3][1]
    step_back = expired_at(nyc, fra.address, 1)
    assert step_back[0] == "198.19.3.1"
    assert 8 <= step_back[1] < 20, "the last segment's 0.2 of 20 ms, there and back"
    steps6 = [expired_at(fra, nyc.address6, ttl) for ttl in (1, 2, 3, 4)]
    assert [step and step[0] for step in steps6] == [
        "2001:2:0:ff01::1",
        None,
        "2001:2:0:ff03::1",
        nyc.address6,
    ]


def test_one_bad_leg_kills_its_ports_only(world):
    """A quarter of the source ports gets nothing through: exactly those that hash to the bad leg."""
    world.path("fra", "nyc", legs=4, bad_legs=(1,))
    fra, nyc = world["fra"], world["nyc"]
    ports = range(20_000, 20_040)
    with udp_socket(nyc, port=PORT) as sink, contextlib.ExitStack() as stack:
        for port in ports:
            stack.enter_context(udp_socket(fra, port=port)).sendto(b"x", (nyc.address, PORT))
        sink.settimeout(0.3)
        heard = set()
        with contextlib.suppress(TimeoutError):
            while True:
                heard.add(sink.recvfrom(10)[1][1])
    assert heard == {p for p in ports if flow_hash_of(17, fra.address, nyc.address, p, PORT) % 4 != 1}
    assert 0 < len(heard) < len(ports)


def test_settings_change_while_running(world):
    """The very next packet after path() returned meets the new settings; others are kept."""
    world.path("fra", "nyc", delay_ms=5)
    fra, nyc = world["fra"], world["nyc"]
    with (
        udp_socket(fra) as out,
        udp_socket(nyc, port=PORT),
        nyc.capture("udp") as arrived,
        fra.capture("udp") as sent,
    ):
        for number, change in enumerate([{}, {"delay_ms": 40}, {"state": "silent"}, {"state": "up"}]):
            world.path("fra", "nyc", **change)
            out.sendto(number.to_bytes(4, "big"), (nyc.address, PORT))
        time.sleep(0.1)
    sent, arrived = times_by_number(sent), times_by_number(arrived)
    ways = {number: (times[0] - sent[number][0]) / NS_PER_MS for number, times in arrived.items()}
    assert set(ways) == {0, 1, 3}
    assert 5 <= ways[0] < 40 <= min(ways[1], ways[3])


def test_an_unreachable_path_is_an_error_at_the_sender(world):
    """Host unreachable reaches the connecting socket as the kernel reports it."""
    world.path("fra", "nyc", state="unreachable")
    with world["fra"].enter():
        client = socket.socket()
    with client:
        client.settimeout(5)
        with pytest.raises(OSError, match="No route to host"):
            client.connect((world["nyc"].address, PORT))


def test_a_capture_is_the_truth_of_a_handshake(world):
    """The captured SYN to SYN-ACK time is what TCP_INFO saw, to within some tens of microseconds."""
    world.both("fra", "nyc", delay_ms=10)
    fra, nyc = world["fra"], world["nyc"]
    with nyc.enter():
        listener = socket.create_server((nyc.address, PORT), backlog=64)
    with listener, fra.capture("tcp") as capture:
        kernel_us = []
        for _ in range(20):
            with fra.enter():
                client = socket.create_connection((nyc.address, PORT), timeout=5)
            with client:
                info = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
                kernel_us.append(int.from_bytes(info[68:72], sys.byteorder))
    truth_us = [rtt_ns / 1000 for rtt_ns in handshake_rtts_ns(capture.packets(), fra.address).values()]
    assert len(truth_us) == 20
    assert min(truth_us) >= 20_000
    assert statistics.median(abs(k - t) for k, t in zip(kernel_us, truth_us, strict=True)) < 200


def test_a_filter_that_tcpdump_refuses_is_an_error(world):
    """Its own words are in the error, and nothing is left running."""
    with pytest.raises(LabError, match="syntax error"), world["fra"].capture("tcp prot"):
        pass


def test_commands_can_run_without_privilege(world):
    """As user 65534 with no capability, the interpreter at hand works and raw sockets do not."""
    script = "import os, socket; print(os.getuid()); socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)"
    done = world["fra"].run([sys.executable, "-c", script], unprivileged=True, check=False)
    assert done.stdout == "65534\n"
    assert "PermissionError" in done.stderr
    ping = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 1); print('ping socket')"
    assert world["fra"].run([sys.executable, "-c", ping], unprivileged=True).stdout == "ping socket\n"


def test_a_node_sees_its_own_devices(world):
    """/sys and /proc show the node's interfaces, so that an agent in it reads its own."""
    listing = world["fra"].run(["ls", "/sys/class/net"]).stdout.split()
    assert sorted(listing) == ["lo", "wan0"]
    assert "wan0" in world["fra"].run(["cat", "/proc/net/dev"]).stdout
    assert world["fra"].run(["ls", "/sys/fs/cgroup"]).stdout.split() == sorted(os.listdir("/sys/fs/cgroup"))


def test_nothing_is_left_after_an_exception():
    """Programs, their children, a capture and the emulator are gone once the world is left, whatever the reason."""
    pids = []

    def interrupted() -> None:
        with World(["a", "b"]) as world:
            world["a"].popen(["sh", "-c", "sleep 1000 & setsid sleep 1000 & wait"])
            world["b"].capture().__enter__()
            while len(inhabitants(world["a"].namespace.net_fd)) < 3:
                time.sleep(0.01)
            pids.extend(pid for node in world.nodes for pid in inhabitants(node.namespace.net_fd))
            pids.append(world._emulator.pid)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(pids) == 5
    assert not any(Path(f"/proc/{pid}/ns/net").exists() for pid in pids)


def test_a_world_returns_its_descriptors():
    """A thousand worlds in one test run do not use up the process's open files."""
    before = len(os.listdir("/proc/self/fd"))
    with World(["a", "b"]) as world, world["a"].capture():
        pass
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_dead_emulator_is_an_error():
    """A world whose WAN died under a test does not pass for a lossy one."""
    world = World(["a"])
    world.__enter__()
    world._emulator.kill()
    world._emulator.wait()
    with pytest.raises(LabError, match="ended before the world did"):
        world.__exit__(None, None, None)


def test_without_root_it_is_a_skip(world):
    """The reason is given, and pytest takes the error as a skip."""
    script = "from lab.world import World; World(['a']).__enter__()"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    done = world["fra"].run([sys.executable, "-c", script], unprivileged=True, check=False, env=environment)
    assert "LabUnavailableError: the lab makes network namespaces, which needs root" in done.stderr
    assert issubclass(LabUnavailableError, unittest.SkipTest)


def test_nothing_is_left_after_a_kill():
    """When the tests' own process is killed, the emulator ends what runs in the nodes, and itself."""
    script = (
        "from lab.world import World\n"
        "with World(['a']) as world:\n"
        "    sleeper = world['a'].popen(['sh', '-c', 'echo inside; exec sleep 1000'], stdout=-1)\n"
        "    sleeper.stdout.readline()\n"
        "    print(sleeper.pid, world._emulator.pid, flush=True)\n"
        "    sleeper.wait()\n"
    )
    tests = Path(__file__).parents[1]
    with subprocess.Popen([sys.executable, "-c", script], cwd=tests, stdout=subprocess.PIPE) as doomed:
        pids = [int(word) for word in doomed.stdout.readline().split()]
        doomed.kill()
    give_up = time.monotonic() + 10
    while any(Path(f"/proc/{pid}/ns/net").exists() for pid in pids):
        assert time.monotonic() < give_up
        time.sleep(0.02)


@needs_fping
def test_twenty_nodes_reach_each_other():
    """Every node reaches every other in both families."""
    with World([f"node-{n}" for n in range(20)]) as world:
        for node in world.nodes:
            others = [other for other in world.nodes if other is not node]
            for addresses in ([o.address for o in others], [o.address6 for o in others]):
                done = node.run(["fping", "-r", "0", "-t", "2000", "-i", "1", *addresses], check=False)
                assert done.stdout.count("is alive") == 19, done.stdout


@pytest.mark.parametrize("names", [["a", "a"], [], ["Frankfurt Main"]])
def test_wrong_names_are_refused(names):
    """Before anything is built."""
    with pytest.raises(ValueError, match="names"):
        World(names)
