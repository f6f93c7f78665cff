"""Every probe against this host itself: its own responder and reflector, its own iperf3 and qperf servers."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from agent import byhand
from agent.bandwidth_slot import BandwidthSlot, SlotTakenError
from agent.net.bandwidth import BandwidthPrograms, ServerUnavailableError, free_port
from agent.net.reflect import StampReflector
from agent.net.respond import Responder
from agent.probes import PROBES, iperf3, mtu, qperf
from agent.selftest.check import Check, State
from agent.wire.series import Family, Outcome, TimeSource

LOOPBACK = {Family.IPV4: "127.0.0.1", Family.IPV6: "::1"}
_PROBES, _INTERVAL_SECONDS, _TIMEOUT_SECONDS = 3, 0.05, 2.0
_RATE_PER_SECOND = 10_000.0
_TEST_SECONDS = 1
_TEST_BITS_PER_SECOND = 10_000_000
_SERVER_SECONDS = 6.0
_PACKET_PROBES = ("tcp", "syn", "udp", "icmp", "mtu", "trace")
_FIGURES = {
    "path_mtu_bytes": "path MTU {:,.0f} bytes",
    "hop_count": "route of {:.0f} hop",
    "forward_bits_per_second": "{:,.0f} bit/s",
    "latency_seconds": "{:.3g} s one way",
}
_REMEDIES = (
    ("CAP_NET_RAW", "run it as root or as the packaged service, which has CAP_NET_RAW"),
    ("not installed", "install the Debian package of that name"),
    ("No such file", "install the Debian package of that name"),
)


async def check_probes() -> list[Check]:
    """All of PROBES but tls, which needs a server with a certificate (agent.selftest.link)."""
    checks = []
    for family, address in LOOPBACK.items():
        try:
            with _answering(address) as port:
                kinds = (_probe(kind, family, address, port) for kind in _PACKET_PROBES)
                checks += await asyncio.gather(*kinds)
        except OSError as error:
            lack = f"no {family} on the loopback interface: {error.strerror or error}"
            checks += [Check(f"probe {kind} {family}", State.UNAVAILABLE, lack) for kind in _PACKET_PROBES]
    checks.sort(key=lambda check: _PACKET_PROBES.index(check.name.split()[1]))
    return [*checks, await _bandwidth("iperf3"), await _bandwidth("qperf")]


@contextmanager
def _answering(address: str) -> Iterator[int]:
    """A responder and a reflector of our own, on one port that is closed again. Raises OSError."""
    with ExitStack() as stack:
        responder = Responder(address, 0, _RATE_PER_SECOND)
        stack.callback(responder.close)
        reflector = StampReflector(address, responder.port, _RATE_PER_SECOND, None, lambda _sender: True)
        stack.callback(reflector.close)
        yield responder.port


async def _probe(kind: str, family: Family, address: str, port: int) -> Check:
    options = mtu.Options(port=port) if kind == "mtu" else PROBES[kind].options()
    count = 1 if PROBES[kind].count == 1 else _PROBES
    return await _judged(kind, f" {family}", options, address, port, family, count)


async def _judged(
    kind: str, suffix: str, options: Any, address: str, port: int, family: Family, count: int
) -> Check:
    """The probe by hand, as a check."""
    request = byhand.Request(kind, options, address, port, family, count, _INTERVAL_SECONDS, _TIMEOUT_SECONDS)
    result = await byhand.probe(request)
    name = f"probe {kind}{suffix}"
    if result.answered:
        return Check(name, State.WORKS, _figure(result))
    worst = result.samples[0]
    state = State.UNAVAILABLE if worst.outcome is Outcome.UNAVAILABLE else State.FAILED
    detail = worst.detail if state is State.UNAVAILABLE else f"{worst.outcome}: {worst.detail}".rstrip(": ")
    return Check(name, state, detail, remedy_of(worst.detail))


def _figure(result: byhand.Result) -> str:
    median = result.rtt_seconds()["p50"]
    if median is not None and result.time_source is not TimeSource.NONE:
        return f"{median * 1e6:.0f} µs, timed by {result.time_source}"
    found = result.found()
    return ", ".join(
        words.format(found[name]) for name, words in _FIGURES.items() if found.get(name) is not None
    )


def remedy_of(detail: str) -> str:
    """What to do about a known lack, empty for another."""
    return next((remedy for words, remedy in _REMEDIES if words in detail), "")


async def _bandwidth(kind: str) -> Check:
    """One second at a modest rate between a server that is held to one peer, as in a leased test, and a client."""
    address = LOOPBACK[Family.IPV4]
    port = free_port(20_000, 30_000, address, needed=2)
    options: Any = iperf3.Iperf3Spec(duration_seconds=_TEST_SECONDS, bits_per_second=_TEST_BITS_PER_SECOND)
    argv: Sequence[str] = iperf3.server_argv(iperf3.PROGRAM, address, port, round(_SERVER_SECONDS))
    if kind == "qperf":
        options = qperf.QperfSpec(duration_seconds=_TEST_SECONDS)
        argv = qperf.server_argv(qperf.PROGRAM, port)
    ready = asyncio.Event()
    programs = BandwidthPrograms(BandwidthSlot(time.monotonic_ns))
    serving = programs.serve(argv, port=port, peer=address, lifetime_seconds=_SERVER_SECONDS, ready=ready.set)
    server = asyncio.create_task(serving)
    waiting = asyncio.create_task(ready.wait())
    try:
        await asyncio.wait((server, waiting), return_when=asyncio.FIRST_COMPLETED)
        if ready.is_set():
            return await _judged(kind, "", options, address, port, Family.IPV4, 1)
        await server
    except (ServerUnavailableError, SlotTakenError) as error:
        return Check(f"probe {kind}", State.UNAVAILABLE, str(error), remedy_of(str(error)))
    finally:
        waiting.cancel()
        server.cancel()
        await asyncio.gather(server, waiting, return_exceptions=True)
    return Check(f"probe {kind}", State.FAILED, "the server ended before it listened")
