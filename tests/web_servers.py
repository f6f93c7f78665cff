"""HTTP servers of this project on loopback, in this process."""

from aiohttp import web

from agent.config import Config
from agent.pages import Controls, Pages
from agent.web.guard import Guard
from agent.web.listen import listening_socket
from agent.web.server import WebServer


async def listening(application, guard=None, port=0, is_exempt=lambda _: False):
    """A WebServer with this application on 127.0.0.1; the caller closes it."""
    guard = guard or Guard()
    guard.install(application, is_exempt)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    server = WebServer(guard)
    await server.start(runner, [listening_socket("127.0.0.1", port)])
    return server


async def exporting(view, telemetry_path="/metrics", guard=None, port=0, config=None):
    """The agent's own server of this view."""

    async def nothing_wrong():
        return None

    controls = Controls(lambda: config or Config("fra"), nothing_wrong)
    return await listening(Pages(view, telemetry_path, controls).application(), guard, port)
