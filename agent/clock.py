"""Time, passed in: the one place that reads the system's clocks."""

import asyncio
import time
from typing import Protocol

NS = 1_000_000_000


class Clock(Protocol):
    """Monotonic and wall time in integer nanoseconds, and sleeping until a monotonic time."""

    def mono_ns(self) -> int: ...
    def wall_ns(self) -> int: ...
    async def sleep_until(self, mono_ns: int) -> None: ...


class SystemClock:
    """The kernel's CLOCK_MONOTONIC and CLOCK_REALTIME."""

    def mono_ns(self) -> int:
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        return time.time_ns()

    async def sleep_until(self, mono_ns: int) -> None:
        """Return at or after mono_ns. An event loop may wake early by a millisecond (uvloop rounds), hence the loop."""
        while (left := mono_ns - time.monotonic_ns()) > 0:  # noqa: ASYNC110 - waits for a time, not for an event
            await asyncio.sleep(max(left / NS, 0.001))
