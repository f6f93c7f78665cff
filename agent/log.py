"""Log lines on standard error."""

import logging
import sys

from agent.wire.logline import JsonLines, Logfmt


def configure(level: str, form: str) -> None:
    """Send all logging to standard error in this form ("logfmt" or "json")."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else Logfmt())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
