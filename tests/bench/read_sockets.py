"""Runs inside the namespace of the bench: reads all sockets several ways, prints one JSON object of figures."""

import asyncio
import json
import resource
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

from agent.kernel.inet_diag import AF_INET, AF_INET6, encode_request
from agent.kernel.ss import parse_ss
from agent.net.netlink import dump
from agent.net.sockets import SocketReader
from agent.socket_census import SocketCensus
from agent.socket_groups import SocketGroup

GROUPS = [SocketGroup("all", ("127.0.0.0/8",))]
RUNS = 8


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def longest_pause_seconds(reader):
    """The longest time that another task of the loop had to wait while one reading went on."""
    pauses = []

    async def tick():
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0)
            pauses.append(time.perf_counter() - before)

    ticking = asyncio.create_task(tick())
    await reader.read()
    ticking.cancel()
    return max(pauses)


async def read_seconds():
    """Best of the runs: dump and count, then the quantiles and differences."""
    census, best = SocketCensus(GROUPS), [9.0, 9.0]
    for _ in range(RUNS):
        began = time.perf_counter()
        for family in (AF_INET, AF_INET6):
            await dump(encode_request(family), census.feed)
        counted = time.perf_counter()
        for _ in census.settle():
            pass
        best = [min(best[0], counted - began), min(best[1], time.perf_counter() - counted)]
    return best


def listing_seconds(parse):
    """`ss -tinOH` and this parsing of it, once."""
    began = time.perf_counter()
    parse(subprocess.run(["ss", "-tinOH"], check=True, capture_output=True).stdout)
    return time.perf_counter() - began


def bare_parse(text):
    """The least that gives the census' figures as numbers."""
    for line in text.decode().splitlines():
        _, _, _, _, remote, *words = line.split()
        keys = dict(word.split(":", 1) for word in words if ":" in word)
        remote.rpartition(":")
        float(keys["rtt"].split("/")[0]) / 1e3
        float(keys.get("minrtt", 0)) / 1e3
        [int(keys.get(name, 0)) for name in ("cwnd", "ssthresh", "bytes_sent", "bytes_retrans")]
        [int(keys.get(name, "0ms").split("ms")[0]) for name in ("busy", "rwnd_limited", "sndbuf_limited")]
        int(words[words.index("delivery_rate") + 1].removesuffix("bps")) if "delivery_rate" in words else 0


def main():
    reader = SocketReader(GROUPS)
    before = resident_bytes()
    pauses = [asyncio.run(longest_pause_seconds(reader)) for _ in range(5)]
    added = resident_bytes() - before
    read, settle = asyncio.run(read_seconds())
    loop = subprocess.run([sys.argv[1], str(RUNS)], check=True, capture_output=True, text=True).stdout.split()
    tracemalloc.start()
    traced = SocketReader(GROUPS)
    for _ in range(2):
        asyncio.run(traced.read())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    figures = {
        "sockets": int(loop[0]),
        "c_ms": float(loop[1]),
        "read_ms": read * 1e3,
        "settle_ms": settle * 1e3,
        "longest_pause_ms": sorted(pauses)[len(pauses) // 2] * 1e3,
        "resident_added_mb": added / 1e6,
        "python_peak_mb": peak / 1e6,
        "ss_ms": listing_seconds(parse_ss) * 1e3,
        "ss_bare_ms": listing_seconds(bare_parse) * 1e3,
    }
    print(json.dumps(figures))


main()
