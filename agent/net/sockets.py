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
        self._source = ""
        self._census = SocketCensus(groups, maximum)

    def _census_of(self, source: str) -> SocketCensus:
        """The census to go on with; totals of one source or unit are not compared with those of another."""
        return self._census if self._source == source else SocketCensus(self._groups, self._maximum)

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
            self._source = ""
            raise

    async def _dump(self) -> None:
        census = self._census_of("inet_diag")
        try:
            for family in (AF_INET, AF_INET6):
                if not await dump(encode_request(family), census.feed):
                    census.lost()
        except DumpRefusedError as error:
            raise NetlinkUnavailableError(str(error)) from error
        self._source, self._census = "inet_diag", census

    async def _list(self, barred: NetlinkUnavailableError) -> None:
        try:
            result = await run_process(
                SS_COMMAND, deadline_seconds=SS_DEADLINE_SECONDS, max_stdout_bytes=SS_MAX_BYTES
            )
        except OSError as error:
            raise SocketsUnavailableError(f"{barred}; ss: {error.strerror}") from error
        if result.stopped == "deadline" or (result.exit_status or 0) != 0:
            said = result.stderr.decode("utf-8", "replace").strip() or result.stopped
            raise SocketsUnavailableError(f"{barred}; ss failed: {said}")
        text, unit = result.stdout, listing_unit(result.stdout)
        census = self._census_of(f"ss {unit}")
        if result.stopped == "output":
            census.lost()
            text = text[: text.rfind(b"\nESTAB") + 1]  # the last socket may be cut in two
        turn_ends = time.monotonic() + STEP_SECONDS
        for socket in iter_ss(text):
            if census.take(socket, unit):
                break
            if time.monotonic() >= turn_ends:
                await asyncio.sleep(0)
                turn_ends = time.monotonic() + STEP_SECONDS
        self._source, self._census = f"ss {unit}", census

    async def _settle(self) -> SocketReading:
        for reading in self._census.settle():
            if reading is not None:
                return reading
            await asyncio.sleep(0)
        raise RuntimeError("a census ends with its reading")
