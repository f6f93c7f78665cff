"""Closes the window at each minute: counts, quality flags, one durable batch."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from agent import quality
from agent.clock import NS, Clock
from agent.hostcounters import Reading
from agent.ledger import Ledger
from agent.push import Pusher
from agent.runner import Runner
from agent.spool import Spool
from agent.triggers import Triggers
from agent.wire.batch import SCHEMA, Batch, Event, Fact, Window, encode

_LOG = logging.getLogger("agent.minutes")
PassiveClose = Callable[[tuple[Reading, Reading], tuple[int, int], dict[str, float]], list[Window]]
"""What the kernel counted, from the host's counters at both ends, (start, length) in seconds, and the quality flags."""

_HELD_BATCHES = 30
"""Minutes kept in memory while the disk takes nothing; older ones are counted as lost."""


@dataclass(frozen=True, slots=True)
class Minute:
    """The open window: its start on the wall clock and its end on the monotonic one."""

    start_s: int
    end_mono_ns: int


@dataclass(frozen=True, slots=True)
class _Closed:
    """What one batch will hold."""

    windows: list[Window]
    facts: list[Fact]
    events: list[Event]


def minute_at(wall_ns: int, mono_ns: int, length_s: int) -> Minute:
    """The window that this moment falls in. A wall clock before 1970 counts as 1970."""
    start_s = max(wall_ns, 0) // NS // length_s * length_s
    return Minute(start_s, mono_ns + (start_s + length_s) * NS - max(wall_ns, 0))


class Minutes:
    """Turns the ledger's open window into spooled batches. lost_windows: given up because the disk took nothing.

    own_test_seconds: for how long a bandwidth test of this node ran since it was last asked. passive_windows: asked
    once for each minute. watch: sees each minute's windows.
    """

    def __init__(
        self,
        node: str,
        length_s: int,
        ledger: Ledger,
        runner: Runner,
        spool: Spool | None,
        clock: Clock,
        read_host: Callable[[], Reading],
        own_test_seconds: Callable[[], float] = lambda: 0.0,
        passive_windows: PassiveClose = lambda *_: [],
        watch: Callable[[list[Window]], None] = lambda _: None,
    ) -> None:
        self._node = node
        self._length_s = length_s
        self._ledger = ledger
        self._runner = runner
        self._spool = spool
        self._clock = clock
        self._read_host = read_host
        self._own_test_seconds = own_test_seconds
        self._passive_windows = passive_windows
        self._watch = watch
        self._before = read_host()
        self._triggers = Triggers()
        self._held: list[_Closed] = []
        self._facts: list[Fact] = []
        self._minute = minute_at(clock.wall_ns(), clock.mono_ns(), length_s)
        self._closing = asyncio.Lock()
        self.closed_windows = 0
        self.lost_windows = 0
        self.spool_error = ""
        self.last_quality: dict[str, float] = {}

    def send_facts(self, facts: list[Fact]) -> None:
        """These facts go with the next batch."""
        self._facts.extend(facts)

    async def run(self, pusher: Pusher | None) -> None:
        """Close each window as it ends, for ever."""
        while True:
            await self._clock.sleep_until(self._minute.end_mono_ns)
            await asyncio.shield(asyncio.create_task(self.close()))
            if pusher is not None:
                pusher.wake()

    async def close(self) -> None:
        """Close the open window now and make it durable; a disk that takes nothing is tried again next time.

        One at a time, and not to be cancelled: a batch half-way to the disk would be written twice.
        """
        async with self._closing:
            closed = self._close_window()
            if closed.windows or closed.facts or closed.events:
                self._held.append(closed)
            await self._store_held()

    def _close_window(self) -> _Closed:
        after = self._read_host()
        delays = self._runner.take_delays()
        delay_ns = delays.quantile_ns(0.99)
        self.last_quality = quality.quality_flags(
            self._before,
            after,
            schedule_delay_seconds=None if delay_ns is None else delay_ns / NS,
            own_test_seconds=self._own_test_seconds(),
        )
        windows = self._ledger.close_window(self._minute.start_s, self._length_s, self.last_quality)
        span = self._minute.start_s, self._length_s
        windows += self._passive_windows((self._before, after), span, self.last_quality)
        self._before = after
        self._minute = minute_at(after.wall_ns, after.mono_ns, self._length_s)
        self._look_closer(windows)
        self._watch(windows)
        facts, self._facts = self._facts, []
        return _Closed(windows, facts, self._runner.take_events())

    def _look_closer(self, windows: list[Window]) -> None:
        """A path whose figures stepped gets its route traced at once, however long until the next trace is due."""
        paths = set()
        for step in self._triggers.feed(windows):
            self._runner.add_event(step.destination, step.family, "path_step", step.as_detail())
            paths.add((step.destination, step.family))
        for destination, family in sorted(paths):
            self._runner.run_now(destination, family, "trace")

    async def _store_held(self) -> None:
        if self._spool is None:
            self.closed_windows += sum(len(closed.windows) for closed in self._held)
            self._held.clear()
            return
        while self._held:
            try:
                await self._store(self._spool, self._held[0])
            except OSError as error:
                self._cannot_store(error)
                return
            del self._held[0]
            self.spool_error = ""

    async def _store(self, spool: Spool, closed: _Closed) -> None:
        batch = Batch(
            SCHEMA, self._node, spool.boot, spool.next_sequence, closed.windows, closed.facts, closed.events
        )
        body = await asyncio.to_thread(encode, batch)
        about = {
            "boot": spool.boot,
            "sequence": spool.next_sequence,
            "windows": len(closed.windows),
            "probes": sum(sum(window.outcomes.values()) for window in closed.windows),
        }
        _LOG.debug("batch closed", extra=about)
        stored = await spool.append(body, len(closed.windows))
        self.closed_windows += stored.windows
        _LOG.debug("batch spooled", extra=about)

    def _cannot_store(self, error: OSError) -> None:
        if not self.spool_error:
            _LOG.error("closed windows cannot be stored, they wait in memory", extra={"error": str(error)})
        self.spool_error = error.strerror or str(error)
        while len(self._held) > _HELD_BATCHES:
            self.lost_windows += len(self._held.pop(0).windows)
