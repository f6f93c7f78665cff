"""Spooled batches to the collector.

Batches go one at a time, oldest first, and are deleted on 2xx. A batch that the collector has read and can never
accept (400, 413, 415, 422) is set aside so that it does not block those behind it. Everything else is tried again
with jittered backoff: a collector that is away, busy or full, a token it does not know, and an answer that is not
the collector's at all, such as the redirect or the 404 of a proxy on the way.

Two answers depend on who is wrong. 425, windows ahead of the collector's clock: that clock is waited for, unless our own
has been set back since. 403: a batch of the name that this node had before can never be sent with the new name's token,
and is kept apart; of this name it is tried again, for a token can be mended.
"""

import asyncio
import gzip
import logging
import random
import time
from dataclasses import dataclass, field

import aiohttp

from agent.net.collector import Collector
from agent.spool import Spool, Stored
from agent.wire.batch import node_of

_LOG = logging.getLogger("agent.push")
_FIRST_BACKOFF_SECONDS, _LAST_BACKOFF_SECONDS = 1.0, 60.0
_REFUSED_FOR_GOOD = frozenset({400, 413, 415, 422})
_FORBIDDEN, _TOO_EARLY = 403, 425
_CLOCK_SET_BACK_SECONDS = 3600.0
"""A batch that was written so much later than now bears the time of a clock that was wrong."""


@dataclass(slots=True)
class PushState:
    """What the pusher knows of itself, for /metrics and /-/ready."""

    sent_batches: int = 0
    sent_windows: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    last_success_wall_s: float | None = None
    last_error: str = ""


class Pusher:
    """Empties the spool of this node for as long as it runs. wake() tells it that a batch was appended."""

    def __init__(self, spool: Spool, collector: Collector, node: str) -> None:
        self._spool = spool
        self._collector = collector
        self._node = node
        self._former_names: set[str] = set()
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
        if status == _FORBIDDEN:
            return self._kept_apart(batch, body)
        set_back = batch.written_s > time.time() + _CLOCK_SET_BACK_SECONDS
        if status not in _REFUSED_FOR_GOOD and not (status == _TOO_EARLY and set_back):
            return False
        _LOG.error(
            "collector refused a batch for good",
            extra={"file": batch.path.name, "status": status, "error": words},
        )
        self._spool.set_aside(batch, "rejected")
        return True

    def _kept_apart(self, batch: Stored, body: bytes) -> bool:
        """Whether it was another name's batch, which is out of the way now; said once for each name."""
        name = node_of(gzip.decompress(body))
        if name is None or name == self._node:
            return False
        try:
            folder = self._spool.keep_apart(batch)
        except OSError as error:
            self._failed("spool", f"{batch.path.name}: {error.strerror or error}")
            return False
        if name not in self._former_names:
            self._former_names.add(name)
            _LOG.error(
                "batches of a former name cannot be sent with this node's token; they are kept",
                extra={"former": name, "node": self._node, "folder": str(folder)},
            )
        return True

    def _failed(self, reason: str, words: str) -> None:
        if self.state.last_error != words:
            _LOG.warning("collector did not take a batch", extra={"reason": reason, "error": words})
        self.state.failures[reason] = self.state.failures.get(reason, 0) + 1
        self.state.last_error = words
