"""A log line's form, the same for agent and collector: logfmt (time=… level=… source=… msg=…) or JSON.

It stands here because it is pure and both programs need it; where lines go is each program's own business.
"""

import json
import logging
from datetime import UTC, datetime

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def fields_of(record: logging.LogRecord) -> dict[str, str]:
    """One record as ordered fields."""
    at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    extra = {key: str(value) for key, value in vars(record).items() if key not in _STANDARD}
    fields = {
        "time": at,
        "level": record.levelname,
        "source": record.name,
        "msg": record.getMessage(),
        **extra,
    }
    if record.exc_info:
        fields["traceback"] = logging.Formatter().formatException(record.exc_info)
    return fields


class Logfmt(logging.Formatter):
    """key=value pairs; a value with spaces, quotes, control characters or nothing in it is quoted."""

    def format(self, record: logging.LogRecord) -> str:
        return " ".join(f"{key}={_quoted(value)}" for key, value in fields_of(record).items())


class JsonLines(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(fields_of(record))


def _quoted(value: str) -> str:
    plain = value.isprintable() and value and not any(c in value for c in ' "=')
    return value if plain else json.dumps(value, ensure_ascii=not value.isprintable())
