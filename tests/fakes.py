"""Stand-ins for the world that several tests share: a clock that jumps, a network that does what it is told."""

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from agent.net.tcp import Connect, Handshake

NS = 1_000_000_000
SETTLE_TURNS = 25

Done = Callable[[int, Handshake], None]
Script = Callable[[Sequence[Connect], float, Done], Awaitable[None]]


class FakeClock:
    """Time that stands still until the test moves it; a day of sleeping takes milliseconds."""

    def __init__(self, wall_s: float = 1_800_000_000.0, mono_s: float = 1000.0) -> None:
        self._mono_ns = round(mono_s * NS)
        self._wall_offset_ns = round(wall_s * NS) - self._mono_ns
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def mono_ns(self) -> int:
        return self._mono_ns

    def wall_ns(self) -> int:
        return self._mono_ns + self._wall_offset_ns

    async def sleep_until(self, mono_ns: int) -> None:
        if mono_ns <= self._mono_ns:
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (mono_ns, next(self._order), future))
        await future

    def step_wall(self, seconds: float) -> None:
        """Set the wall clock; the monotonic one goes on as if nothing had happened."""
        self._wall_offset_ns += round(seconds * NS)

    def pass_ns(self, duration_ns: int) -> None:
        """Let time pass without anybody running: a stalled process. Sleepers wake at the next run_for."""
        self._mono_ns += duration_ns

    async def run_for(self, seconds: float) -> None:
        """Jump from deadline to deadline for this long; everything that can run does, between the jumps."""
        end_ns = self._mono_ns + round(seconds * NS)
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end_ns:
            due_ns, _, future = heapq.heappop(self._sleepers)
            self._mono_ns = max(self._mono_ns, due_ns)
            if not future.done():
                future.set_result(None)
            await settle()
        self._mono_ns = max(self._mono_ns, end_ns)


async def settle() -> None:
    """Let every task that is ready run until it waits."""
    for _ in range(SETTLE_TURNS):
        await asyncio.sleep(0)


def answered(rtt_ns: int = 10_000_000) -> Handshake:
    return Handshake(error=0, answered=True, rtt_ns=rtt_ns, retransmissions=0, elapsed_ns=rtt_ns)


class ScriptedNetwork:
    """Does with each burst what the next script says; without scripts every handshake is answered at once."""

    def __init__(self, scripts: Sequence[Script] = ()) -> None:
        self.scripts = list(scripts)
        self.bursts: list[list[Connect]] = []

    async def handshakes(self, connects: Sequence[Connect], timeout_seconds: float, done: Done) -> None:
        self.bursts.append(list(connects))
        if self.scripts:
            await self.scripts.pop(0)(connects, timeout_seconds, done)
            return
        for index in range(len(connects)):
            done(index, answered())


class FixedAddresses:
    """A resolver that knows what it was told; every other host is its own address."""

    def __init__(self, known: dict[str, str | None] | None = None) -> None:
        self.known = known or {}

    async def want(self, names: Any) -> None:
        self.wanted = set(names)

    def address(self, host: str, family: Any) -> str | None:
        return self.known.get(host, host)

    def error(self, host: str, family: Any) -> str:
        return "no such name"


def open_descriptors() -> int:
    """How many this process has, for tests that must leave none behind."""
    return len(list(Path("/proc/self/fd").iterdir()))
