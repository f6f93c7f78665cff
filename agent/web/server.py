"""Listening for HTTP or HTTPS as a Guard says, and taking up a changed certificate without dropping a connection."""

import asyncio
import logging
import socket
from collections.abc import Sequence

from aiohttp import web

from agent.web.guard import Guard

_LOG = logging.getLogger("agent.web")

CHECK_SECONDS = 5.0
"""How often the files are looked at; a stat of each."""


class WebServer:
    """Serves one application, once started."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._runner: web.AppRunner | None = None
        self._sockets: list[socket.socket] = []
        self._sites: list[tuple[web.SockSite, socket.socket]] = []
        self._reloading = asyncio.Lock()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of each."""
        return [each.getsockname()[:2] for each in self._sockets]

    async def start(self, runner: web.AppRunner, sockets: Sequence[socket.socket]) -> None:
        """Serve the runner's application on these listening sockets; both are this server's from here on."""
        self._runner, self._sockets = runner, list(sockets)
        await runner.setup()
        self._sites = await self._open_sites(runner)

    async def run(self) -> None:
        """Take up what changes on disk, until cancelled."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            if self._guard.has_changed():
                try:
                    await self.reload()
                except OSError as error:  # out of descriptors, say; the sites that are there go on
                    _LOG.error("web configuration not taken up", extra={"reason": str(error)})

    async def reload(self) -> str | None:
        """Read the web configuration again; None when it is in force, else what is wrong with it."""
        async with self._reloading:
            context = self._guard.context
            problem = await asyncio.to_thread(self._guard.reload)
            if self._guard.context is not context and self._runner is not None:
                await self._follow(self._runner)
            return problem

    async def _follow(self, runner: web.AppRunner) -> None:
        """New sites in place of those that are there; connections that are there already live on."""
        before, self._sites = self._sites, await self._open_sites(runner)
        for _, own in before:
            # asyncio's own server loses a connection that it has accepted and not yet made a transport of when it is
            # closed: so it accepts no more, and has a turn of the loop to finish (uvloop needs neither)
            asyncio.get_running_loop().remove_reader(own)
        await asyncio.sleep(0)
        for site, _ in before:
            await site.stop()

    async def _open_sites(self, runner: web.AppRunner) -> list[tuple[web.SockSite, socket.socket]]:
        """Each site has a descriptor of its own: the socket listens on while one site follows another."""
        sites = []
        for each in self._sockets:
            own = each.dup()
            site = web.SockSite(runner, own, ssl_context=self._guard.context)
            await site.start()
            sites.append((site, own))
        return sites

    async def close(self) -> None:
        """Answer what is asked already, then stop."""
        for each in self._sockets:
            each.close()
        if self._runner is not None:
            await self._runner.cleanup()
        self._guard.close()
