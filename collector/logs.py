"""Log lines on standard error, and what of the requests is worth one."""

import logging
import sys

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from agent.wire.logline import JsonLines, Logfmt

ACCESS_LOG = logging.getLogger("collector.access")


def configure(level: str, form: str) -> None:
    """Send all logging to standard error; form is "logfmt" or "json"."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else Logfmt())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


class AccessLogger(AbstractAccessLogger):
    """Requests that went well at debug, the client's faults at info, ours at warning. Never query, header or body."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        level = logging.DEBUG
        if response.status >= 400:
            level = logging.WARNING if response.status >= 500 else logging.INFO
        ACCESS_LOG.log(
            level,
            "request",
            extra={
                "method": request.method,
                "path": request.path,
                "status": response.status,
                "seconds": f"{time:.4f}",
                "remote": request.remote,
            },
        )
