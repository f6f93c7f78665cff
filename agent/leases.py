"""This node's part in the bandwidth tests that its collector leases: asks, serves or measures, tells, asks again.

Whatever runs here for a lease has ended when the lease is over, by this host's own clock. It counts from when the
collector answered at the latest: this node knows when it asked, and the answer says how long the collector waited.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import aiohttp

from agent.bandwidth_slot import SlotTakenError
from agent.headroom import SHORTEST_SECONDS, refusal
from agent.hostcounters import Reading
from agent.kernel.parse_error import ParseError
from agent.net.bandwidth import BandwidthPrograms, ServerUnavailableError, bindable, free_port
from agent.net.collector import Collector
from agent.net.process import ProcessResult
from agent.net.resolve import lookup
from agent.probes import iperf3, qperf
from agent.probes.iperf3_json import read_document
from agent.runner import Runner
from agent.sample import Sample, Target
from agent.wire.lease import Lease, LeaseReport
from agent.wire.series import Outcome

_LOG = logging.getLogger("agent.leases")
_AFTER_ERROR_SECONDS = 30.0
_BETWEEN_ANSWERS_SECONDS = 0.2
_MOST_REPORT_SECONDS = 5.0
_REPORT_MARGIN_SECONDS = 1.0
_STILL_NEEDED_SECONDS = 1.0
_LIMIT_RATIO = 1.25
"""iperf3's server counts in windows of 5 s, in which a client that is paced to the limit may be above it."""

_EXPECTED = (aiohttp.ClientError, OSError, TimeoutError, ValueError)


class LeaseWorker:
    """run() works for ever. probe_counts: (lost, answered) so far; ports: first and last that a server may use."""

    def __init__(
        self,
        node: str,
        collector: Collector,
        runner: Runner,
        programs: BandwidthPrograms,
        *,
        probe_counts: Callable[[], tuple[int, int]],
        read_host: Callable[[], Reading],
        ports: tuple[int, int],
        wait_seconds: float,
    ) -> None:
        self._node = node
        self._collector = collector
        self._runner = runner
        self._programs = programs
        self._probe_counts = probe_counts
        self._read_host = read_host
        self._ports = ports
        self._wait_seconds = wait_seconds
        self._counts = (0, 0)

    async def run(self) -> None:
        """Ask for a lease, do it, for ever; a collector that is away or too old is asked again later."""
        trouble = ""
        while True:
            try:
                await self._once()
                trouble = ""
                pause = _BETWEEN_ANSWERS_SECONDS
            except _EXPECTED as error:
                words = str(error) or type(error).__name__
                if words != trouble:
                    _LOG.warning("no lease of a bandwidth test", extra={"error": words})
                trouble = words
                pause = _AFTER_ERROR_SECONDS * random.uniform(0.8, 1.2)  # noqa: S311 - spreads the fleet
            await asyncio.sleep(pause)

    async def _once(self) -> None:
        before = self._read_host()
        asked = time.monotonic()
        answer = await self._collector.get_lease(self._wait_seconds)
        if answer.lease is None:
            return
        over = asked + answer.waited_seconds + answer.lease.seconds_left
        report = await self._work(answer.lease, before, over)
        await self._tell(answer.lease, report)

    async def _work(self, lease: Lease, before: Reading, over: float) -> LeaseReport:
        """Everything for one lease; it has ended when this returns. What went wrong is in the report."""
        reason = await self._refusal(lease, before)
        if reason is not None:
            _LOG.info("bandwidth test refused", extra={"peer": lease.peer, "reason": reason})
            return LeaseReport("refused", reason=reason[:500])
        left = over - time.monotonic() - _REPORT_MARGIN_SECONDS
        try:
            peer = (await lookup(lease.peer_address, lease.family))[0]
            own = (await lookup(lease.own_address, lease.family))[0]
            if lease.role == "client":
                return await self._measure(lease, own, peer, left)
            return await self._serve(lease, own, peer, left)
        except (SlotTakenError, ServerUnavailableError, OSError) as error:
            return LeaseReport("refused", reason=(str(error) or type(error).__name__)[:500])

    async def _refusal(self, lease: Lease, before: Reading) -> str | None:
        """Why not now. What was lost and carried is of the time in which this node waited for the lease."""
        waited = (self._read_host().mono_ns - before.mono_ns) / 1e9
        await asyncio.sleep(max(SHORTEST_SECONDS + 0.01 - waited, 0))
        lost, answered = self._probe_counts()
        new_lost, new_answered = lost - self._counts[0], answered - self._counts[1]
        self._counts = (lost, answered)
        known = new_lost >= 0 <= new_answered and new_lost + new_answered > 0
        return refusal(
            before,
            self._read_host(),
            loss_ratio=new_lost / (new_lost + new_answered) if known else None,
            bits_per_second=lease.terms.bits_per_second,
        )

    async def _measure(self, lease: Lease, own: str, peer: str, left: float) -> LeaseReport:
        terms = lease.terms
        here = bindable(own) == own  # the server hears no other address of this node
        options: Any = (
            iperf3.Iperf3Spec(
                duration_seconds=terms.duration_seconds,
                bits_per_second=terms.bits_per_second,
                source_address=own if here else None,
            )
            if terms.kind == "iperf3"
            else qperf.QperfSpec(duration_seconds=terms.duration_seconds)
        )
        target = Target(lease.peer, lease.family, peer, lease.port or 0)
        sample = Sample(Outcome.TIMEOUT, detail="the lease was over before the test")
        with suppress(TimeoutError):
            async with asyncio.timeout(left):
                sample = await self._runner.run_leased(self._node, terms.kind, options, target)
        found = sample.result or {}
        return LeaseReport(
            "ended", reason=sample.detail[:500], outcome=sample.outcome, bytes=found.get("sent_bytes")
        )

    async def _serve(self, lease: Lease, own: str, peer: str, left: float) -> LeaseReport:
        terms = lease.terms
        bind = bindable(own)
        port = free_port(*self._ports, bind, needed=2 if terms.kind == "qperf" else 1)
        argv = (
            iperf3.server_argv(
                iperf3.PROGRAM,
                bind,
                port,
                round(lease.start_seconds) + 2,
                round(terms.bits_per_second * _LIMIT_RATIO),
            )
            if terms.kind == "iperf3"
            else qperf.server_argv(qperf.PROGRAM, port)
        )
        told: list[asyncio.Task[None]] = []

        def ready() -> None:
            told.append(asyncio.create_task(self._tell(lease, LeaseReport("ready", port=port))))

        serving = asyncio.create_task(
            self._programs.serve(argv, port=port, peer=peer, lifetime_seconds=left, ready=ready)
        )
        try:
            if terms.kind == "qperf":
                await self._wait_until_over(lease, serving)
                return LeaseReport("ended")
            return LeaseReport("ended", reason=_strangers((await serving).stdout, peer)[:500])
        finally:
            serving.cancel()
            await asyncio.gather(serving, *told, return_exceptions=True)

    async def _wait_until_over(self, lease: Lease, serving: asyncio.Task[ProcessResult]) -> None:
        """qperf serves until it is stopped: when the collector says that its client is done, or the lease is over."""
        while True:
            await asyncio.wait((serving,), timeout=_STILL_NEEDED_SECONDS)
            if serving.done():
                await serving
                return
            with suppress(*_EXPECTED):
                if not await self._collector.is_live(lease.id):
                    return

    async def _tell(self, lease: Lease, report: LeaseReport) -> None:
        """Tell the collector; one that cannot be told knows by itself when the lease is over."""
        try:
            async with asyncio.timeout(_MOST_REPORT_SECONDS):
                taken = await self._collector.post_report(lease.id, report)
        except _EXPECTED as error:
            _LOG.warning("the collector was not told of a bandwidth test", extra={"error": str(error)})
            return
        if not taken:
            _LOG.info("bandwidth test was over", extra={"peer": lease.peer, "state": report.state})


def _strangers(report: bytes, peer: str) -> str:
    """What is wrong with who came, by the server's own report; empty when only the peer did, or nobody."""
    try:
        strangers = iperf3.clients_seen(read_document(report)) - {peer}
    except ParseError:
        return ""
    return f"served {', '.join(sorted(strangers))} instead of {peer}" if strangers else ""
