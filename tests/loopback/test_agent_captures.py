"""Captures taken by the agent: real packets, within their bounds, read back by the analysis."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from agent.captures import Captures
from agent.clock import SystemClock
from agent.config import Capture
from agent.kernel.capture import analyse
from agent.net.packet_capture import CaptureLimits, capture
from agent.wire.batch import Window
from agent.wire.histogram import Histogram
from agent.wire.series import Family, Outcome, SeriesKey, TimeSource
from lab.netns import Namespace

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a packet socket needs root")
HERE, OTHER = "127.0.0.81", "127.0.0.82"


class Talk:
    """Connections on the loopback, one after the other, until the block ends."""

    def __init__(self, *hosts, size=1000):
        self._hosts, self._size, self._stop = hosts, size, threading.Event()

    def __enter__(self):
        families = {True: socket.AF_INET6, False: socket.AF_INET}
        self._servers = [
            socket.create_server((host, 0), family=families[":" in host]) for host in self._hosts
        ]
        self._thread = threading.Thread(target=self._talk)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        for server in self._servers:
            server.close()

    def _talk(self):
        while not self._stop.is_set():
            for server in self._servers:
                with socket.create_connection(server.getsockname()[:2]) as near, server.accept()[0] as far:
                    near.sendall(bytes(self._size))
                    far.recv(self._size)
            self._stop.wait(0.01)


def limits(**changes):
    return CaptureLimits(
        **({"seconds": 0.6, "file_bytes": 1_000_000, "packets_per_second": 100_000} | changes)
    )


def flows_of(path):
    with path.open("rb") as file:
        return analyse(file)


@pytest.mark.parametrize("host", [HERE, "::1"])
def test_headers_of_one_host_are_kept_and_no_payload(tmp_path, host):
    """Only the asked-for host's TCP packets, cut to their headers, with their true length and the kernel's time."""
    with Talk(host, OTHER):
        taken = capture("lo", [host], limits(), tmp_path / "x.pcap", threading.Event())
    found = flows_of(taken.path)
    assert (taken.ended, taken.missed_packets) == ("time", 0)
    assert found.packets == taken.packets > 10
    assert {end.address for flow in found.flows for end in (flow.initiator, flow.responder)} <= {
        host,
        "127.0.0.1",
        "::1",
    }
    assert host in {flow.responder.address for flow in found.flows}
    assert max(flow.initiator.payload_bytes for flow in found.flows) >= 1000
    assert found.captured_bytes < 130 * found.packets < found.wire_bytes
    assert found.undecoded == 0


def test_bytes_and_rate_are_bounded(tmp_path):
    """A file ends where it may not grow further; a second keeps no more than its share and counts the rest."""
    with Talk(HERE):
        small = capture(
            "lo", [], limits(seconds=5, file_bytes=10_000), tmp_path / "a.pcap", threading.Event()
        )
        slow = capture("lo", [], limits(packets_per_second=5), tmp_path / "b.pcap", threading.Event())
    assert small.ended == "bytes"
    assert small.path.stat().st_size == small.file_bytes <= 10_000
    assert slow.packets <= 10
    assert slow.over_rate_packets > 0


def test_a_wrong_interface_is_an_error_and_leaves_no_file(tmp_path):
    """Nothing half-written stays."""
    with pytest.raises(OSError, match="no interface"):
        capture("nosuch0", [], limits(), tmp_path / "x.pcap", threading.Event())
    assert list(tmp_path.iterdir()) == []


def test_a_containers_veth_is_found_by_a_process_in_it():
    """`pid:N` is this host's end of the pair that leads into the process's network namespace, and no other's."""
    outer, inner, stranger = Namespace(), Namespace(), Namespace()
    sleeper = other = None
    try:
        setup = f"link add cali1 type veth peer name eth0 netns {inner.path}\nlink add cali0 type veth peer name cali00"
        subprocess.run(outer.command(["ip", "-batch", "-"]), input=setup, text=True, check=True)
        sleeper = subprocess.Popen(inner.command(["sleep", "60"]))
        other = subprocess.Popen(stranger.command(["sleep", "60"]))
        ask = "from agent.net.packet_capture import interface_of; print(interface_of('pid:{}'))"
        for process, expected in ((sleeper, "cali1"), (other, "leads into the network namespace")):
            wait_for_namespace(process.pid)
            command = outer.command([sys.executable, "-c", ask.format(process.pid)])
            done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
            assert expected in done.stdout + done.stderr
    finally:
        for process in (sleeper, other):
            if process is not None:
                process.kill()
                process.wait()
        for namespace in (outer, inner, stranger):
            namespace.close()


def wait_for_namespace(pid):
    """Until a command has entered its network namespace."""
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink():
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def test_a_broken_limit_becomes_evidence_within_the_disk_budget(tmp_path):
    """A window over its limit starts a capture; its flows are an event; older files make room; the next waits its interval."""
    events = []
    settings = Capture(enabled=True, interface="lo", seconds=1, file_bytes=30_000, disk_bytes=40_000)
    captures = Captures(
        settings, tmp_path / "c", lambda _: [HERE], lambda *event: events.append(event), SystemClock()
    )
    (tmp_path / "c").mkdir()
    (tmp_path / "c/1-old.pcap").write_bytes(bytes(35_000))
    rtt = Histogram()
    for _ in range(100):
        rtt.add(1_000_000)
    series = SeriesKey("fra", "nyc", "tcp", Family.IPV4, TimeSource.TCP_INFO)
    window = Window(series, 0, 60, {Outcome.OK: 100}, rtt, 1, 100, 50)
    task = asyncio.create_task(captures.run())
    with Talk(HERE):
        captures.feed([window])
        captures.feed([window])
        async with asyncio.timeout(10):
            while not events:
                await asyncio.sleep(0.05)
    task.cancel()
    ((destination, family, kind, detail),) = events
    assert (destination, family, kind, detail["reason"]) == ("nyc", Family.IPV4, "capture", "over_limit")
    assert detail["packets"] > 0
    assert {flow["responder"]["address"] for flow in detail["flows"]} == {HERE}
    assert [file.name for file in (tmp_path / "c").iterdir()] == [detail["file"]]
    assert captures.disk_bytes() <= captures.disk_limit_bytes
    assert sum(captures.results.values()) == 1
