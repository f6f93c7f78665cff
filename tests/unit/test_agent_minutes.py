"""Windows close with the minute, are keyed by the wall clock as it is, and wait in memory while the disk takes nothing."""

import asyncio
import errno
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.hostcounters import Reading
from agent.ledger import Ledger
from agent.minutes import _HELD_BATCHES, Minutes, minute_at
from agent.sample import Sample
from agent.spool import Stored
from agent.wire.batch import Event, Fact, decode
from agent.wire.histogram import Histogram
from agent.wire.series import Family, Outcome, SeriesKey, TimeSource
from fakes import NS, FakeClock, settle

SERIES = SeriesKey("fra", "nyc", "tcp", Family.IPV4, TimeSource.TCP_INFO)


class QuietRunner:
    """Was never late and found nothing, unless the test says so."""

    def __init__(self):
        self.delays = Histogram()
        self.events = []
        self.asked = []

    def add_event(self, destination, family, kind, detail):
        self.events.append(Event(0, kind, detail, destination, family))

    def run_now(self, destination, family, kind):
        self.asked.append((destination, family, kind))

    def take_delays(self):
        taken, self.delays = self.delays, Histogram()
        return taken

    def take_events(self):
        taken, self.events = self.events, []
        return taken


class MemorySpool:
    """Takes batches, or fails as a disk does while `error` is set; `gate` holds an append up half-way."""

    def __init__(self):
        self.boot = "0" * 32
        self.next_sequence = 0
        self.bodies = []
        self.error = None
        self.gate = None
        self.begun = asyncio.Event()

    async def append(self, body, windows):
        """As a thread would, it goes on when who waits for it is cancelled."""
        self.begun.set()
        return await asyncio.shield(asyncio.ensure_future(self._append(body, windows)))

    async def _append(self, body, windows):
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise OSError(self.error, os.strerror(self.error))
        self.bodies.append(body)
        self.next_sequence += 1
        return Stored("x", self.boot, self.next_sequence - 1, windows, len(body), 0.0)

    @property
    def batches(self):
        return [decode(body) for body in self.bodies]


class Desk:
    """One Minutes with everything around it."""

    def __init__(self, clock=None, spool=None):
        self.clock = clock or FakeClock()
        self.spool = MemorySpool() if spool is None else spool
        self.ledger = Ledger()
        self.runner = QuietRunner()
        self.minutes = Minutes("fra", 60, self.ledger, self.runner, self.spool, self.clock, self.read_host)

    def read_host(self):
        return Reading(wall_ns=self.clock.wall_ns(), mono_ns=self.clock.mono_ns())

    def sample(self):
        self.ledger.record(SERIES, Sample(Outcome.OK, 80_000_000), None)

    async def minute(self):
        """One minute with one sample, closed."""
        self.sample()
        self.clock.pass_ns(60 * NS)
        await self.minutes.close()

    def starts(self):
        return [window.start_s for batch in self.spool.batches for window in batch.windows]


@given(st.integers(-(10**18), 4 * 10**18), st.integers(0, 10**17), st.sampled_from([1, 5, 10, 15, 30, 60]))
def test_a_window_starts_at_a_multiple_of_its_length(wall_ns, mono_ns, length_s):
    """Start and end enclose this moment, on both clocks; a clock before 1970 is keyed as 1970."""
    minute = minute_at(wall_ns, mono_ns, length_s)
    assert minute.start_s % length_s == 0
    assert minute.start_s >= 0
    assert 0 < minute.end_mono_ns - mono_ns <= length_s * NS
    if wall_ns >= 0:
        assert minute.start_s * NS <= wall_ns < (minute.start_s + length_s) * NS


async def test_windows_follow_the_wall_clocks_minutes():
    """An hour of closing by itself: one window a minute, none twice, none left out, each of its own samples."""
    desk = Desk(FakeClock(wall_s=1_800_000_017.5))
    running = asyncio.create_task(desk.minutes.run(None))
    for minute in range(60):
        await settle()
        desk.sample()
        await desk.clock.run_for(42.5 if minute == 0 else 60)
        while desk.minutes.closed_windows <= minute:
            await asyncio.sleep(0.001)
    running.cancel()
    assert desk.starts() == [1_800_000_000 + 60 * minute for minute in range(60)]
    assert [batch.sequence for batch in desk.spool.batches] == list(range(60))
    assert desk.minutes.closed_windows == 60


@pytest.mark.parametrize("step_s", [3600, -3600, 0.5, -0.5, 59.9, -(10**6)])
async def test_a_stepped_wall_clock_is_flagged_and_keyed_by_the_clock_that_now_holds(step_s):
    """The minute of the step carries its size; the next one is keyed by the new time; nothing is before 1970."""
    desk = Desk(FakeClock(wall_s=1_800_000_000))
    await desk.minute()
    desk.sample()
    desk.clock.pass_ns(30 * NS)
    desk.clock.step_wall(step_s)
    desk.clock.pass_ns(30 * NS)
    await desk.minutes.close()
    after_step = desk.clock.wall_ns() // NS // 60 * 60
    await desk.minute()
    windows = [batch.windows[0] for batch in desk.spool.batches]
    assert [window.start_s for window in windows] == [1_800_000_000, 1_800_000_060, after_step]
    assert windows[0].quality == {}
    assert windows[1].quality == {"clock_step_seconds": pytest.approx(step_s)}
    assert windows[2].quality == {}
    assert all(window.rtt.max_ns == 80_000_000 for window in windows)


async def test_a_late_loop_flags_the_minute():
    """How late the agent woke for its own probes goes into the window's quality."""
    desk = Desk()
    desk.runner.delays = Histogram.of([300_000_000] * 10)
    await desk.minute()
    assert desk.spool.batches[0].windows[0].quality["schedule_delay_seconds"] == pytest.approx(0.3)
    assert desk.minutes.last_quality == desk.spool.batches[0].windows[0].quality


async def test_a_minute_without_anything_makes_no_batch():
    """An idle agent writes nothing; facts or events alone are worth a batch, once."""
    desk = Desk()
    desk.clock.pass_ns(NS)
    await desk.minutes.close()
    assert desk.spool.bodies == []
    desk.minutes.send_facts([Fact("cpu_count", 2, "proc/cpuinfo", 1)])
    desk.runner.events = [Event(1, "route_changed", {})]
    for _ in range(2):
        desk.clock.pass_ns(NS)
        await desk.minutes.close()
    [batch] = desk.spool.batches
    assert [fact.name for fact in batch.facts] == ["cpu_count"]
    assert [event.kind for event in batch.events] == ["route_changed"]


async def test_a_full_disk_delays_windows_and_loses_none():
    """While the disk takes nothing the error is shown; when it does again all waiting minutes follow in order."""
    desk = Desk()
    await desk.minute()
    desk.spool.error = errno.ENOSPC
    for _ in range(5):
        await desk.minute()
    assert desk.minutes.spool_error == "No space left on device"
    assert desk.minutes.closed_windows == 1
    desk.spool.error = None
    await desk.minute()
    assert desk.minutes.spool_error == ""
    assert desk.minutes.closed_windows == 7
    assert desk.minutes.lost_windows == 0
    assert desk.starts() == [1_800_000_000 + 60 * n for n in range(7)]
    assert [batch.sequence for batch in desk.spool.batches] == list(range(7))


async def test_a_disk_full_for_long_loses_the_oldest_and_counts_them():
    """Memory is bounded: beyond half an hour the oldest minutes go, and how many is known."""
    desk = Desk()
    desk.spool.error = errno.ENOSPC
    for _ in range(_HELD_BATCHES + 4):
        await desk.minute()
    desk.spool.error = None
    await desk.minute()
    assert desk.minutes.lost_windows == 4
    assert len(desk.starts()) == _HELD_BATCHES + 1
    assert desk.starts()[0] == 1_800_000_000 + 60 * 4


async def test_a_stop_in_the_middle_of_writing_neither_loses_nor_doubles():
    """Cancelled while a batch is half-way to the disk, the window is written once, and the last one after it."""
    desk = Desk(FakeClock(wall_s=1_800_000_000))
    desk.spool.gate = asyncio.Event()
    desk.sample()
    running = asyncio.create_task(desk.minutes.run(None))
    await desk.clock.run_for(61)
    await desk.spool.begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    desk.sample()
    desk.clock.pass_ns(NS)
    last = asyncio.create_task(desk.minutes.close())
    await settle()
    desk.spool.gate.set()
    await last
    assert [(batch.sequence, len(batch.windows)) for batch in desk.spool.batches] == [(0, 1), (1, 1)]


async def test_without_a_collector_windows_are_closed_and_forgotten():
    """An agent that only exports keeps nothing."""
    desk = Desk()
    desk.minutes._spool = None
    await desk.minute()
    assert desk.minutes.closed_windows == 1
    assert desk.minutes._held == []


async def test_a_stepped_path_is_traced_at_once():
    """A minimum that stays up for two minutes asks for a trace once, and is kept as evidence."""
    desk = Desk()
    for rtt_ns in (80_000_000,) * 6 + (95_000_000,) * 4:
        desk.ledger.record(SERIES, Sample(Outcome.OK, rtt_ns), None)
        desk.clock.pass_ns(60 * NS)
        await desk.minutes.close()
    assert desk.runner.asked == [("nyc", Family.IPV4, "trace")]
    (event,) = [event for batch in desk.spool.batches for event in batch.events]
    assert (event.kind, event.detail["figure"]) == ("path_step", "min_rtt_seconds")
