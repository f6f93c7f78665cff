"""Wires beside the WAN, and what the node's own kernel can do to packets."""

import socket
import sys
import time
import urllib.request

import pytest

from lab.firewall import drop_every, drop_ratio
from lab.world import World

pytestmark = pytest.mark.netns

PORT = 9000


@pytest.fixture
def world():
    with World(["a", "b"]) as world:
        yield world


def arrivals(world, address: str, count: int, size: int = 100) -> list[int]:
    """Which of `count` datagrams from a reached `address` on b."""
    with world["b"].enter():
        sink = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    with world["a"].enter():
        out = socket.socket(sink.family, socket.SOCK_DGRAM)
    with sink, out:
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
        sink.bind((address, PORT))
        sink.settimeout(0.3)
        for number in range(count):
            out.sendto(number.to_bytes(4, "big").ljust(size, b"\0"), (address, PORT))
        heard = []
        while True:
            try:
                heard.append(int.from_bytes(sink.recv(2000)[:4], "big"))
            except TimeoutError:
                return heard


def test_a_link_joins_two_nodes(world):
    """Two links between the same nodes carry IPv4 and IPv6, each with its own addresses."""
    for link in (world.link("a", "b"), world.link("a", "b")):
        assert arrivals(world, link.addresses["b"], 5) == [0, 1, 2, 3, 4]
        assert arrivals(world, link.addresses6["b"], 5) == [0, 1, 2, 3, 4]
        with world["a"].capture("udp", device=link.device) as capture:
            arrivals(world, link.addresses["b"], 3)
        assert [packet.destination for packet in capture.packets()] == [link.addresses["b"]] * 3


def test_nft_drops_every_second_packet_exactly(world):
    """Deterministic loss in the receiver's own kernel."""
    world["b"].nft(drop_every("input", 2, f"udp dport {PORT}"))
    assert arrivals(world, world["b"].address, 10) == [1, 3, 5, 7, 9]


def test_nft_drops_a_ratio(world):
    """1,000 packets at 10 %: within 4.5 standard deviations of 100."""
    world["a"].nft(drop_ratio("output", 0.1, f"udp dport {PORT}"))
    with world["a"].enter(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        refused = 0
        for _ in range(1000):
            try:
                out.sendto(b"x", (world["b"].address, PORT))
            except PermissionError:  # a drop in the output hook is told to the sender
                refused += 1
    assert abs(refused - 100) < 4.5 * (1000 * 0.1 * 0.9) ** 0.5


def test_a_shaped_link_has_its_rate(world):
    """125 kB leave a 4 Mbit/s token bucket in a quarter of a second; what the queue cannot hold is dropped."""
    link = world.link("a", "b")
    world["a"].shape(link.device, 4_000_000, latency_ms=1000)
    with world["b"].capture(f"udp dst port {PORT}", device=link.device) as capture:
        assert len(arrivals(world, link.addresses["b"], 125, size=958)) == 125
    times = [packet.time_ns for packet in capture.packets()]
    assert 0.18 < (times[-1] - times[0]) / 1e9 < 0.27


def test_sysctls_are_the_nodes_own(world):
    """A sysctl set in one node is unchanged in another and visible to programs."""
    world["a"].sysctl("net.ipv4.tcp_timestamps", 0)
    read = ["cat", "/proc/sys/net/ipv4/tcp_timestamps"]
    assert (world["a"].run(read).stdout, world["b"].run(read).stdout) == ("0\n", "1\n")


def test_the_host_reaches_a_node_over_its_management_link(world, tmp_path):
    """A web server in the node is reached from outside; after the world the wire is gone."""
    (tmp_path / "index.html").write_text("matrix")
    link = world.management_link("b")
    world["b"].popen(
        [sys.executable, "-m", "http.server", "10990", "--directory", tmp_path, "--bind", "0.0.0.0"]
    )
    give_up = time.monotonic() + 10
    while True:
        try:
            page = urllib.request.urlopen(f"http://{link.node_address}:10990/", timeout=5).read()
            break
        except OSError:
            assert time.monotonic() < give_up
            time.sleep(0.05)
    assert page == b"matrix"
    assert link.host_device in {name for _, name in socket.if_nameindex()}
    world.__exit__(None, None, None)
    while link.host_device in {name for _, name in socket.if_nameindex()}:
        assert time.monotonic() < give_up
        time.sleep(0.02)
