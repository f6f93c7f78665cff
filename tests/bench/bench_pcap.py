"""Packets per second and memory of the capture analysis at two file sizes: `python tests/bench/bench_pcap.py`."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

CHILD = """
import re, sys, time
from agent.kernel.capture import analyse
def peak_kib():  # getrusage would give the peak that was inherited over fork
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
before = peak_kib()
start = time.process_time()
with open(sys.argv[1], "rb") as stream:
    capture = analyse(stream)
spent = time.process_time() - start
peak = peak_kib()
retransmitted = sum(flow.initiator.retransmitted_segments for flow in capture.flows)
print(capture.packets, spent, peak - before, len(capture.flows), retransmitted)
"""


def write_capture(path: Path, packets: int, flows: int = 200) -> None:
    """A pcap of flows that interleave: data segments of 1448 bytes cut at 128, an ACK with timestamps for every second
    one, and every 50th data segment sent again.
    """
    import struct

    header, ethernet = struct.Struct("<IIII"), bytes(12) + b"\x08\x00"
    ip, tcp = struct.Struct(">BBHHHBBH8s"), struct.Struct(">HHIIBBHHH4sII")
    sent = [0] * flows
    with path.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 128, 1))
        for number in range(packets):
            flow, step = number % flows, number // flows
            client, server = struct.pack(">I", 0x0A000000 + flow), struct.pack(">I", 0x0A640001)
            reply = step % 3 == 2
            seq = sent[flow]
            again = step % 150 == 148
            if not reply and not again:
                sent[flow] = (seq + 1448) & 0xFFFFFFFF
            ends = server + client if reply else client + server
            ports = (443, 40000) if reply else (40000, 443)
            numbers = (1, sent[flow]) if reply else ((seq - 1448) & 0xFFFFFFFF if again else seq, 1)
            size = 0 if reply else 1448
            options = (b"\x01\x01\x08\x0a", step, step)
            packet = ethernet + ip.pack(0x45, 0, 52 + size, step & 0xFFFF, 0x4000, 64, 6, 0, ends)
            packet = (packet + tcp.pack(*ports, *numbers, 0x80, 16, 501, 0, 0, *options) + bytes(size))[:128]
            out.write(
                header.pack(1_700_000_000 + number // 1_000_000, number % 1_000_000, len(packet), 66 + size)
                + packet
            )


def measure(packets: int, flows: int = 200) -> tuple[float, int]:
    """(packets per second of CPU time, peak memory added in KiB) in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "bench.pcap")
        write_capture(path, packets, flows)
        size = path.stat().st_size
        root = Path(__file__).parents[2]
        done = subprocess.run(
            [sys.executable, "-c", CHILD, path], capture_output=True, text=True, check=True, cwd=root
        )
    counted, spent, added, seen, retransmitted = done.stdout.split()
    assert int(counted) == packets
    assert int(seen) == min(flows, 2000)
    assert flows > 2000 or int(retransmitted) > 0
    rate = packets / float(spent)
    print(
        f"{packets} packets, {size / 1e6:.1f} MB, {seen} flows: {rate:,.0f} packets/s, {int(added) / 1024:.1f} MiB added"
    )
    return rate, int(added)


@pytest.mark.bench
def test_the_rate_holds_and_the_memory_does_not_grow_with_the_file():
    """≥ 50,000 packets/s, and a file ten times as large adds less than 2 MiB."""
    small_rate, small = measure(40_000)
    rate, large = measure(400_000)
    assert min(small_rate, rate) >= 50_000
    assert large - small < 2048


if __name__ == "__main__":
    measure(40_000)
    measure(400_000)
    measure(400_000, flows=20_000)
