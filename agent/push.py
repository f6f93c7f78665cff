"""Spooled batches to the collector.

Batches go one at a time, oldest first, and are deleted on 2xx. A batch that the collector has read and can never
accept (400, 413, 415, 422) is set aside so that it does not block those behind it. Everything else is tried again
with jittered backoff: a collector that is away, busy or full, a token it does not know, and an answer that is not
the collector's at all, such as the redirect or the 404 of a proxy on the way.
"""

import asyncio
import logging
import random
import time
from dataclasses import dataclass, field

import aiohttp

from agent.net.collector import Collector
from agent.spool import Spool, Stored

_LOG = logging.getLogger("agent.push")
_FIRST_BACKOFF_SECONDS, _LAST_BACKOFF_SECONDS = 1.0, 60.0
_REFUSED_FOR_GOOD = frozenset({400, 413, 415, 422})


@dataclass(slots=True)
class PushState:
    """What the pusher knows of itself, for /metrics and /-/ready."""

    sent_batches: int = 0
    sent_windows: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    last_success_wall_s: float | None = None
    last_error: str = ""


class Pusher:
    """Empties the spool for as long as it runs. wake() tells it that a batch was appended."""

    def __init__(self, spool: Spool, collector: Collector) -> None:
        self._spool = spool
        self._collector = collector
        self._appended = asyncio.Event()
        self.state = PushState()

    def wake(self) -> None:
        """There is something new to send."""
        self._appended.set()

    async def run(self) -> None:
        """Send for ever."""
        backoff = _FIRST_BACKOFF_SECONDS
        while True:
            self._appended.clear()
            sent_before = self.state.sent_batches
            emptied = await self.drain()
            if self.state.sent_batches > sent_before:
                backoff = _FIRST_BACKOFF_SECONDS
            if emptied:
                await self._appended.wait()
            else:
                await asyncio.sleep(backoff * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
                backoff = min(backoff * 2, _LAST_BACKOFF_SECONDS)

    async def drain(self) -> bool:
        """Send until the spool is empty: True; False at the first failure that is worth another try."""
        while (batch := self._spool.oldest()) is not None:
            try:
                body = await self._spool.read(batch)
            except OSError as error:
                self._failed("spool", f"{batch.path.name}: {error.strerror or error}")
                return False
            if body is not None and not await self._send(batch, body):
                return False
        return True

    async def _send(self, batch: Stored, body: bytes) -> bool:
        try:
            status, words = await self._collector.post_batch(body)
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
            self._failed(type(error).__name__, str(error) or type(error).__name__)
            return False
        if 200 <= status < 300:
            self._spool.delete(batch)
            self.state.sent_batches += 1
            self.state.sent_windows += batch.windows
            self.state.last_success_wall_s = time.time()
            self.state.last_error = ""
            return True
        self._failed(f"http_{status}", words)
        if status not in _REFUSED_FOR_GOOD:
            return False
        _LOG.error(
            "collector refused a batch for good",
            extra={"file": batch.path.name, "status": status, "error": words},
        )
        self._spool.set_aside(batch, "rejected")
        return True

    def _failed(self, reason: str, words: str) -> None:
        if self.state.last_error != words:
            _LOG.warning("collector did not take a batch", extra={"reason": reason, "error": words})
        self.state.failures[reason] = self.state.failures.get(reason, 0) + 1
        self.state.last_error = words
