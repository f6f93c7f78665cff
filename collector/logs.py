"""Log lines on standard error: logfmt (time=… level=… source=… msg=…) or JSON, one per event, as the agent's."""

import json
import logging
import sys
from datetime import UTC, datetime

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
ACCESS_LOG = logging.getLogger("collector.access")


def configure(level: str, form: str) -> None:
    """Send all logging to standard error; form is "logfmt" or "json"."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else Logfmt())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def fields_of(record: logging.LogRecord) -> dict[str, str]:
    """One record as ordered fields; what was given as `extra` comes last."""
    at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    fields = {
        "time": at.replace("+00:00", "Z"),
        "level": record.levelname,
        "source": record.name,
        "msg": record.getMessage(),
    }
    fields.update((key, str(value)) for key, value in vars(record).items() if key not in _STANDARD)
    if record.exc_info:
        fields["traceback"] = logging.Formatter().formatException(record.exc_info)
    return fields


class Logfmt(logging.Formatter):
    """key=value; quoted where a value is empty or has spaces, quotes, = or control characters."""

    def format(self, record: logging.LogRecord) -> str:
        return " ".join(f"{key}={_quoted(value)}" for key, value in fields_of(record).items())


class JsonLines(logging.Formatter):
    """One object per line."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(fields_of(record), ensure_ascii=False)


def _quoted(value: str) -> str:
    plain = value and value.isprintable() and not any(character in value for character in ' "=')
    return value if plain else json.dumps(value, ensure_ascii=False)


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
