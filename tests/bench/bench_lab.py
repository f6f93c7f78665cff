"""The WAN emulator's own punctuality: how late packets are, at which rate it loses them. Run by make bench."""

import contextlib
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from lab.path import Hop
from lab.world import World

DELAY_MS = 20.0
PORT = 9000
PACKET_BYTES = 200
SECONDS = 2.0
TINY = 1e-12
SO_RCVBUFFORCE, SO_TIMESTAMPNS = 33, 35

# Sends at an even pace without sleeping, so that the sender's own wake-ups do not count as lateness.
SENDER = """
import socket, struct, sys, time
host, port, rate, seconds, size = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
out.connect((host, port))
pad, gap, clock = bytes(size - 36), 1e9 / rate, time.monotonic_ns
due = start = clock()
for number in range(int(rate * seconds)):
    while clock() < due:
        pass
    out.send(struct.pack("=q", time.time_ns()) + pad)
    due = start + int((number + 1) * gap)
"""


def lateness_us(world: World, rate: int) -> tuple[int, list[float]]:
    """(sent, sorted lateness of every packet that arrived): the receiving kernel's stamp - sent - DELAY_MS."""
    source, destination = world.nodes
    with destination.enter(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        # Everything waits in the socket until the sender is done: reading takes no processor time meanwhile.
        sink.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 500_000_000)
        sink.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        sink.bind((destination.address, PORT))
        argv = [destination.address, PORT, rate, SECONDS, PACKET_BYTES]
        source.run([sys.executable, "-c", SENDER, *argv])
        time.sleep(0.5)
        sink.setblocking(False)
        late = []
        while True:
            try:
                data, control, *_ = sink.recvmsg(64, 64)
            except BlockingIOError:
                return int(rate * SECONDS), sorted(late)
            seconds, nanoseconds = struct.unpack("=qq", control[0][2])
            one_way_ns = seconds * 1_000_000_000 + nanoseconds - struct.unpack_from("=q", data)[0]
            late.append(one_way_ns / 1e3 - DELAY_MS * 1e3)


@contextlib.contextmanager
def busy_cores() -> Iterator[None]:
    """One spinning process per core at normal priority."""
    spinners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count())]
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()


@pytest.mark.bench
@pytest.mark.netns
@pytest.mark.timeout(300)
def test_packets_leave_on_time(capsys: pytest.CaptureFixture[str]) -> None:
    """Up to 50,000 packets/s none is lost and half are late by less than 1 % of the delay; the table has the rest."""
    rows = []
    with World(["a", "b"]) as world:
        world.path("a", "b", delay_ms=DELAY_MS)
        rows += [(f"{rate}/s", *lateness_us(world, rate)) for rate in (200, 20_000, 50_000)]
        with busy_cores():
            rows.append(("200/s, busy cores", *lateness_us(world, 200)))
        # Every feature at work, each so unlikely or so small that it changes no packet.
        hops = tuple(Hop(addresses=(f"198.19.0.{n}",), loss=TINY) for n in range(1, 6))
        world.path("a", "b", jitter_ms=TINY, loss=TINY, reorder=TINY, duplicate=TINY, hops=hops)
        world.path(
            "a", "b", rate_bits_per_second=1e12, mtu_bytes=1400, legs=4, bad_legs=(0,), bad_leg_loss=TINY
        )
        rows.append(("50000/s, all features", *lateness_us(world, 50_000)))
    with capsys.disabled():
        print(
            f"\nload {os.getloadavg()[0]:.1f}; lateness in µs; {PACKET_BYTES}-byte packets, {DELAY_MS} ms one way"
        )
        for name, sent, late in rows:
            print(
                f"{name:>22}  sent {sent:>6}  lost {sent - len(late):>4}"
                f"  P50 {quantile(late, 0.5):>5.0f}  P99 {quantile(late, 0.99):>5.0f}  max {late[-1]:>6.0f}"
            )
    assert all(sent == len(late) for _, sent, late in rows)
    assert max(quantile(late, 0.5) for _, _, late in rows) < DELAY_MS * 1e3 / 100


def quantile(ordered: list[float], part: float) -> float:
    return ordered[int(len(ordered) * part)]
