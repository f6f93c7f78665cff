"""Runs what is due: the boundary where every scheduled probe gets its one outcome, whatever happens."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from agent.clock import NS, Clock
from agent.config import probe_options
from agent.ledger import Ledger
from agent.net.network import Network
from agent.net.resolve import Resolver
from agent.probes import PROBES
from agent.sample import Burst, Sample, Target
from agent.schedule import Entry, FairShare, RateCap, Schedule
from agent.wire.assignment import Assignment, Peer, ProbeSpec
from agent.wire.batch import Event
from agent.wire.histogram import Histogram
from agent.wire.series import Family, Outcome, SeriesKey

_LOG = logging.getLogger("agent.runner")
_UNTRIED = frozenset({Outcome.SKIPPED, Outcome.UNRESOLVED})
LEASED_TIMEOUT_SECONDS = 3.0
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
        self._fair = FairShare(1.0)
        self._bursts: set[asyncio.Task[None]] = set()
        self._memory: dict[str, dict[Target, Any]] = {}
        self._running: set[tuple[str, ...]] = set()
        self._leased: set[SeriesKey] = set()
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
        self._limit_rate(assignment.max_probes_per_second)
        self._schedule.replace(
            (Entry(key, job.interval_ns) for key, job in jobs.items()), self._clock.mono_ns()
        )
        self._forget_targets()
        peers = {peer.name for peer in assignment.peers}
        self._leased = {series for series in self._leased if series.destination in peers}
        self._ledger.keep_only((*(job.series for job in jobs.values()), *self._leased))
        for job in jobs.values():
            self._ledger.expect(job.series)

    def _limit_rate(self, per_second: float) -> None:
        asked = sum(NS / job.interval_ns for job in self._jobs.values())
        self._cap = RateCap(per_second, self._clock.mono_ns())
        self._fair = FairShare(per_second / max(asked, per_second))
        if asked > per_second:
            _LOG.warning(
                "the plan has more probes than max_probes_per_second, the same share of each is skipped",
                extra={"asked_per_second": f"{asked:g}", "max_probes_per_second": f"{per_second:g}"},
            )

    def _forget_targets(self) -> None:
        """Probes remember only targets that a job can still lead to."""
        stay = {
            (job.series.probe, target)
            for job in self._jobs.values()
            if (target := self._target(job)) is not None
        }
        for kind, memory in self._memory.items():
            for target in [target for target in memory if (kind, target) not in stay]:
                del memory[target]

    def _target(self, job: Job) -> Target | None:
        """Where this job's probes go now, None while its name has no address."""
        family = job.series.family
        address = self._resolver.address(job.host, family)
        if address is None:
            return None
        return Target(job.series.destination, family, address, job.port, job.limit_ns, job.host)

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

    async def run_leased(self, node: str, kind: str, options: Any, target: Target) -> Sample:
        """Run one probe of the collector's choice now, outside the schedule, and record how it ended.

        Cancelling ends it as a timeout: its lease was over.
        """
        series = SeriesKey(node, target.destination, kind, target.family, PROBES[kind].time_source)
        job = Job(series, target.address, target.port, None, (kind, LEASED_TIMEOUT_SECONDS, options), 0)
        self._leased.add(series)
        self._ledger.expect(series)
        sample = Sample(Outcome.TIMEOUT, detail="the lease was over before the test")
        samples: list[Sample] = []
        try:
            await self._run_probe({target: job}, lambda _target, ended: samples.append(ended))
            sample = samples[0]
        except Exception as error:  # noqa: BLE001 - logged by _run_probe; a probe's bug is that test's failure
            sample = Sample(Outcome.FAILED, detail=repr(error))
        finally:
            self._end_checked(job, sample)
        return sample

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
            self._start_burst({target: job})
        return target is not None

    def add_event(
        self, destination: str | None, family: Family | None, kind: str, detail: Mapping[str, Any]
    ) -> None:
        """Keep it for the next batch, as the wire will show it: what cannot be sent is its maker's error, here."""
        wall_s = max(self._clock.wall_ns(), 0) // NS
        event = Event(wall_s, kind, dict(detail), destination, family)
        self._events.append(msgspec.json.decode(msgspec.json.encode(event), type=Event))

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
            self._start_burst(jobs)

    def _admit(self, job: Job, missed: int, now_ns: int) -> Target | None:
        """Where to send now; None when the probe ended here, unsent."""
        if missed:
            self._end(job, Sample(Outcome.SKIPPED, detail="overdue by a whole interval"), missed)
        target = self._target(job)
        if target is None:
            reason = self._resolver.error(job.host, job.series.family)
            self._end(job, Sample(Outcome.UNRESOLVED, detail=f"{job.host}: {reason}"))
            return None
        if job.key in self._running:
            self._end(job, Sample(Outcome.SKIPPED, detail="the one before is still running"))
            return None
        if not self._fair.has_turn(job.key) or not self._cap.allow(now_ns):
            self._end(job, Sample(Outcome.SKIPPED, detail="over max_probes_per_second"))
            return None
        self._fair.sent(job.key)
        if not PROBES[job.series.probe].overlapping:
            self._running.add(job.key)
        return target

    def _start_burst(self, jobs: dict[Target, Job]) -> None:
        """Run one probe function over these targets; whatever it does, each job ends exactly once.

        The books are closed when the task is done, not inside it: a task that is cancelled before its first step
        never runs a line.
        """
        waiting = dict(jobs)

        def record(target: Target, sample: Sample) -> None:
            job = waiting.pop(target, None)
            if job is None:
                _LOG.error("a probe recorded what it was not asked for", extra={"target": str(target)})
            else:
                self._end_checked(job, sample)

        def settle(task: asyncio.Task[None]) -> None:
            self._bursts.discard(task)
            self._running.difference_update(job.key for job in jobs.values())
            why = _reason_of_end(task)
            for job in waiting.values():
                self._end(job, why)
            waiting.clear()

        task = asyncio.create_task(self._run_probe(jobs, record))
        self._bursts.add(task)
        task.add_done_callback(settle)

    async def _run_probe(self, jobs: dict[Target, Job], record: Callable[[Target, Sample], None]) -> None:
        kind, timeout_seconds, options = next(iter(jobs.values())).batch
        memory = self._memory.setdefault(kind, {})
        try:
            await PROBES[kind].run(
                Burst(options, timeout_seconds, list(jobs), self._network, record, self._event, memory)
            )
        except Exception as error:
            _LOG.error("probe failed", extra={"probe": kind}, exc_info=error)
            raise

    def _end_checked(self, job: Job, sample: Sample) -> None:
        """A probe's own numbers are not trusted: an impossible one is the probe's failure, not the agent's."""
        try:
            self._end(job, sample)
        except (TypeError, ValueError) as error:
            _LOG.error("a probe recorded an impossible sample", extra={"error": str(error)})
            self._end(job, Sample(Outcome.FAILED, detail=str(error)))

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


def _reason_of_end(task: asyncio.Task[None]) -> Sample:
    """What to write for the targets of a burst that ended without recording them."""
    if task.cancelled():
        return Sample(Outcome.SKIPPED, detail="the agent was stopped")
    error = task.exception()
    return Sample(Outcome.FAILED, detail=repr(error) if error else "the probe ended without an outcome")
