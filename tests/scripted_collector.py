"""A real aiohttp server that answers as the test says, and remembers what it was asked."""

import asyncio
import gzip
from dataclasses import dataclass

from aiohttp import web


@dataclass
class Asked:
    """One request: path and headers; body after gunzip where it had one."""

    path: str
    headers: dict[str, str]
    body: bytes


class ScriptedCollector:
    """answers: one per request, an int (status) or a function of the request; when used up, 200 for ever."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        self._site = None

    async def start(self, port=0, tls=None):
        app = web.Application(client_max_size=10**8)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, "127.0.0.1", port, ssl_context=tls)
        await self._site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def stop(self):
        if self._site is not None:
            await self._runner.cleanup()
            self._site = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def posted(self):
        """Bodies of the batches in the order they came."""
        return [asked.body for asked in self.asked if asked.path == "/v1/batches"]

    async def wait_for(self, count, seconds=10):
        """Until this many requests have come."""
        async with asyncio.timeout(seconds):
            while len(self.asked) < count:
                await asyncio.sleep(0.005)

    async def _handle(self, request):
        body = await request.content.read()
        if body.startswith(b"\x1f\x8b"):  # aiohttp's server has not taken the gzip off
            body = gzip.decompress(body)
        self.asked.append(Asked(request.path, dict(request.headers), body))
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, int):
            return web.Response(status=answer, text=f"status {answer}")
        return await answer(request)
