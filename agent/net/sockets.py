"""Reads this host's TCP connections into groups: by INET_DIAG, or by `ss` where netlink is barred."""

import asyncio
import time
from collections.abc import Sequence

from agent.kernel.inet_diag import AF_INET, AF_INET6, encode_request
from agent.kernel.ss import iter_ss
from agent.net.netlink import STEP_SECONDS, NetlinkUnavailableError, dump
from agent.net.process import run_process
from agent.socket_census import MAXIMUM_SOCKETS, DumpRefusedError, SocketCensus
from agent.socket_groups import SocketGroup
from agent.socket_listing import listing_unit
from agent.sockets import SocketReading

SS_COMMAND = ("ss", "-tine", "state", "connected")
SS_MAX_BYTES = 8 << 20
"""About 15,000 sockets of text; what is beyond is cut, and said so."""
SS_DEADLINE_SECONDS = 10.0


class SocketsUnavailableError(Exception):
    """Neither netlink nor `ss` tells of this host's connections; the message says why of both."""


class SocketReader:
    """Keeps the last reading's totals, so that the next can say what was sent in between.

    Call read() at an interval (15 s), never twice at once. Raises ValueError for groups that are none.
    """

    def __init__(self, groups: Sequence[SocketGroup], maximum: int = MAXIMUM_SOCKETS) -> None:
        self._groups = groups
        self._maximum = maximum
        self._afresh("inet_diag")

    def _afresh(self, source: str) -> None:
        self._source = source
        self._census = SocketCensus(self._groups, self._maximum)

    async def read(self) -> SocketReading:
        """This namespace's connections now; other tasks get their turn every millisecond.

        Raises SocketsUnavailableError, ParseError or TimeoutError; the next reading then starts afresh.
        """
        try:
            try:
                await self._dump()
            except NetlinkUnavailableError as barred:
                await self._list(barred)
            return await self._settle()
        except BaseException:
            self._afresh(self._source)
            raise

    async def _dump(self) -> None:
        if self._source != "inet_diag":
            self._afresh("inet_diag")
        try:
            for family in (AF_INET, AF_INET6):
                if not await dump(encode_request(family), self._census.feed):
                    self._census.lost()
        except DumpRefusedError as error:
            raise NetlinkUnavailableError(str(error)) from error

    async def _list(self, barred: NetlinkUnavailableError) -> None:
        if self._source != "ss":
            self._afresh("ss")
        try:
            result = await run_process(
                SS_COMMAND, deadline_seconds=SS_DEADLINE_SECONDS, max_stdout_bytes=SS_MAX_BYTES
            )
        except OSError as error:
            raise SocketsUnavailableError(f"{barred}; ss: {error.strerror}") from error
        if result.stopped == "deadline" or (result.exit_status or 0) != 0:
            said = result.stderr.decode("utf-8", "replace").strip() or result.stopped
            raise SocketsUnavailableError(f"{barred}; ss failed: {said}")
        text = result.stdout
        if result.stopped == "output":
            self._census.lost()
            text = text[: text.rfind(b"\nESTAB") + 1]  # the last socket may be cut in two
        unit, turn_ends = listing_unit(text), time.monotonic() + STEP_SECONDS
        for socket in iter_ss(text):
            if self._census.take(socket, unit):
                return
            if time.monotonic() >= turn_ends:
                await asyncio.sleep(0)
                turn_ends = time.monotonic() + STEP_SECONDS

    async def _settle(self) -> SocketReading:
        for reading in self._census.settle():
            if reading is not None:
                return reading
            await asyncio.sleep(0)
        raise RuntimeError("a census ends with its reading")
