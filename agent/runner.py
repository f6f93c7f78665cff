"""Runs what is due: the boundary where every scheduled probe gets its one outcome, whatever happens."""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.clock import NS, Clock
from agent.config import probe_options
from agent.ledger import Ledger
from agent.net.network import Network
from agent.net.resolve import Resolver
from agent.probes import PROBES
from agent.sample import Burst, Sample, Target
from agent.schedule import Entry, RateCap, Schedule
from agent.wire.assignment import Assignment, Peer, ProbeSpec
from agent.wire.batch import Event
from agent.wire.histogram import Histogram
from agent.wire.series import Family, Outcome, SeriesKey

_LOG = logging.getLogger("agent.runner")
_UNTRIED = frozenset({Outcome.SKIPPED, Outcome.UNRESOLVED})
_LONGEST_NAP_NS = NS  # a changed plan is noticed within a second


@dataclass(frozen=True, slots=True)
class Job:
    """One probe of one peer over one family. batch: jobs with the same value may run in one burst."""

    series: SeriesKey
    host: str
    port: int
    limit_ns: int | None
    batch: tuple[str, float, Any]
    interval_ns: int

    @property
    def key(self) -> tuple[str, ...]:
        """Who, to whom, what: decides the phase."""
        return (self.series.source, self.series.destination, self.series.probe, self.series.family)


@dataclass(frozen=True, slots=True)
class Miss:
    """A probe that did not end well, kept for people: when (wall clock), which series, how."""

    wall_ns: int
    series: SeriesKey
    sample: Sample


def jobs_of(assignment: Assignment) -> list[Job]:
    """Every probe of every peer over every family it has an address in. Raises ConfigError for bad options."""
    return [
        _job(assignment.node, peer, spec, family, host)
        for peer in assignment.peers
        for spec in peer.probes
        for family, host in ((Family.IPV4, peer.ipv4), (Family.IPV6, peer.ipv6))
        if host is not None
    ]


def _job(node: str, peer: Peer, spec: ProbeSpec, family: Family, host: str) -> Job:
    options = probe_options(spec, "assignment", f"{peer.name}.{spec.kind}")
    return Job(
        series=SeriesKey(node, peer.name, spec.kind, family, PROBES[spec.kind].time_source),
        host=host,
        port=PROBES[spec.kind].default_port or peer.port,
        limit_ns=None if peer.limit_seconds is None else round(peer.limit_seconds * NS),
        batch=(spec.kind, spec.timeout_seconds, options),
        interval_ns=round(spec.interval_seconds * NS),
    )


class Runner:
    """The probing loop.

    delays: how late the loop woke for its ticks, all of it since the start. misses: the latest probes that
    did not answer. unavailable: by probe and family, what this host lacks for it now.
    """

    def __init__(
        self, ledger: Ledger, network: Network, resolver: Resolver, clock: Clock, tick_seconds: float
    ) -> None:
        self._ledger = ledger
        self._network = network
        self._resolver = resolver
        self._clock = clock
        self._tick_ns = round(tick_seconds * NS)
        self._jobs: dict[tuple[str, ...], Job] = {}
        self._schedule = Schedule(clock.wall_ns(), clock.mono_ns())
        self._cap = RateCap(1.0, clock.mono_ns())
        self._bursts: set[asyncio.Task[None]] = set()
        self._memory: dict[str, dict[Target, Any]] = {}
        self._running: set[tuple[str, ...]] = set()
        self._events: list[Event] = []
        self.delays = Histogram()
        self._recent_delays = Histogram()
        self.unavailable: dict[tuple[str, Family], str] = {}
        self.misses: deque[Miss] = deque(maxlen=100)

    async def plan(self, assignment: Assignment) -> None:
        """Probe these peers from now on; what did not change keeps its rhythm and its counters."""
        jobs = {job.key: job for job in jobs_of(assignment)}
        await self._resolver.want((job.host, job.series.family) for job in jobs.values())
        self._jobs = jobs
        kinds = {(job.series.probe, job.series.family) for job in jobs.values()}
        self.unavailable = {key: reason for key, reason in self.unavailable.items() if key in kinds}
        self._cap = RateCap(assignment.max_probes_per_second, self._clock.mono_ns())
        self._schedule.replace(
            (Entry(key, job.interval_ns) for key, job in jobs.items()), self._clock.mono_ns()
        )
        stay = {job.series.destination for job in jobs.values()}
        for memory in self._memory.values():
            for target in [target for target in memory if target.destination not in stay]:
                del memory[target]
        self._ledger.keep_only(stay)
        for job in jobs.values():
            self._ledger.expect(job.series)

    async def run(self) -> None:
        """Fire what is due at each tick, until cancelled; then give what is in flight its end and return."""
        try:
            while True:
                wake = self._next_wake_ns()
                await self._clock.sleep_until(wake)
                self._fire(wake)
        finally:
            for burst in self._bursts:
                burst.cancel()
            await asyncio.gather(*self._bursts, return_exceptions=True)

    def run_now(self, destination: str, family: Family, kind: str) -> bool:
        """Run one probe of the plan at once, beside its rhythm; False where the plan has none or it is running."""
        job = next(
            (
                job
                for job in self._jobs.values()
                if (job.series.destination, job.series.family, job.series.probe)
                == (destination, family, kind)
            ),
            None,
        )
        if job is None or job.key in self._running:
            return False
        target = self._admit(job, 0, self._clock.mono_ns())
        if target is not None:
            self._start({target: job})
        return target is not None

    def add_event(self, destination: str, family: Family, kind: str, detail: Mapping[str, Any]) -> None:
        """Keep something about a path as evidence."""
        self._events.append(Event(self._clock.wall_ns() // NS, kind, dict(detail), destination, family))

    def take_events(self) -> list[Event]:
        """What probes gave as evidence since this was last asked."""
        taken, self._events = self._events, []
        return taken

    def _event(self, target: Target, kind: str, detail: Mapping[str, Any]) -> None:
        self.add_event(target.destination, target.family, kind, detail)

    def take_delays(self) -> Histogram:
        """How late the loop woke for its ticks since this was last asked."""
        taken, self._recent_delays = self._recent_delays, Histogram()
        return taken

    def _next_wake_ns(self) -> int:
        latest = self._clock.mono_ns() + _LONGEST_NAP_NS
        due = self._schedule.next_due_ns()
        return latest if due is None else min(latest, -(-due // self._tick_ns) * self._tick_ns)

    def _fire(self, wake_ns: int) -> None:
        now = self._clock.mono_ns()
        taken = self._schedule.take(now)
        if taken:
            for histogram in (self.delays, self._recent_delays):
                histogram.add(max(now - wake_ns, 0))
        bursts: dict[Any, dict[Target, Job]] = {}
        for due in taken:
            job = self._jobs[due.entry.key]
            target = self._admit(job, due.missed, now)
            if target is not None:
                bursts.setdefault(job.batch, {})[target] = job
        for jobs in bursts.values():
            self._start(jobs)

    def _start(self, jobs: dict[Target, Job]) -> None:
        task = asyncio.create_task(self._run_burst(jobs))
        self._bursts.add(task)
        task.add_done_callback(self._bursts.discard)

    def _admit(self, job: Job, missed: int, now_ns: int) -> Target | None:
        """Where to send now; None when the probe ended here, unsent."""
        if missed:
            self._end(job, Sample(Outcome.SKIPPED, detail="overdue by a whole interval"), missed)
        family = job.series.family
        address = self._resolver.address(job.host, family)
        if address is None:
            reason = self._resolver.error(job.host, family)
            self._end(job, Sample(Outcome.UNRESOLVED, detail=f"{job.host}: {reason}"))
            return None
        if job.key in self._running:
            self._end(job, Sample(Outcome.SKIPPED, detail="the one before is still running"))
            return None
        if not self._cap.allow(now_ns):
            self._end(job, Sample(Outcome.SKIPPED, detail="over max_probes_per_second"))
            return None
        if not PROBES[job.series.probe].overlapping:
            self._running.add(job.key)
        return Target(job.series.destination, family, address, job.port, job.limit_ns, job.host)

    async def _run_burst(self, jobs: dict[Target, Job]) -> None:
        """Run one probe function over these targets; whatever it does, each job ends exactly once."""
        kind, timeout_seconds, options = next(iter(jobs.values())).batch
        waiting = dict(jobs)

        def record(target: Target, sample: Sample) -> None:
            self._end(waiting.pop(target), sample)

        why = Sample(Outcome.FAILED, detail="the probe ended without an outcome")
        try:
            memory = self._memory.setdefault(kind, {})
            await PROBES[kind].run(
                Burst(options, timeout_seconds, list(jobs), self._network, record, self._event, memory)
            )
        except asyncio.CancelledError:
            why = Sample(Outcome.SKIPPED, detail="the agent was stopped")
            raise
        except Exception as error:  # noqa: BLE001 - a bug in one probe must not stop the others
            why = Sample(Outcome.FAILED, detail=repr(error))
            _LOG.error("probe failed", extra={"probe": kind}, exc_info=error)
        finally:
            self._running.difference_update(job.key for job in jobs.values())
            for job in waiting.values():
                self._end(job, why)

    def _end(self, job: Job, sample: Sample, count: int = 1) -> None:
        self._ledger.record(job.series, sample, job.limit_ns, count)
        if sample.outcome not in _UNTRIED:
            self._note_availability(job.series, sample)
        if sample.outcome is not Outcome.OK:
            self.misses.append(Miss(self._clock.wall_ns(), job.series, sample))

    def _note_availability(self, series: SeriesKey, sample: Sample) -> None:
        """One log line for each change."""
        key = (series.probe, series.family)
        reason = sample.detail if sample.outcome is Outcome.UNAVAILABLE else None
        if reason == self.unavailable.get(key):
            return
        about = {"probe": series.probe, "family": str(series.family)}
        if reason is None:
            del self.unavailable[key]
            _LOG.info("probe is available again", extra=about)
        else:
            self.unavailable[key] = reason
            _LOG.warning("probe is unavailable on this host", extra={**about, "reason": reason})
