"""The assignment: fetched from the collector, checked, kept on disk, and run from there when the collector is away."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import msgspec

from agent.config import check_assignment
from agent.net.collector import Collector
from agent.wire.assignment import Assignment
from agent.wire.settings import ConfigError

_LOG = logging.getLogger("agent.assignment")


class KeptAssignment:
    """The last good assignment on disk, so that an agent starts measuring while the collector is away."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> tuple[Assignment, str | None] | None:
        """The kept assignment and its ETag; None when there is none or it is damaged."""
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=_Kept)
            check_assignment(kept.assignment, str(self._path))
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError, ConfigError) as error:
            _LOG.warning(
                "kept assignment cannot be used", extra={"file": str(self._path), "error": str(error)}
            )
            return None
        return kept.assignment, kept.etag

    def save(self, assignment: Assignment, etag: str | None) -> None:
        """Replace the kept assignment in one step. Raises OSError with the old one still in place."""
        aside = self._path.with_suffix(".tmp")
        aside.write_bytes(msgspec.json.encode(_Kept(assignment, etag)))
        aside.replace(self._path)


class _Kept(msgspec.Struct):
    assignment: Assignment
    etag: str | None


def decode_assignment(body: bytes, node: str) -> Assignment:
    """The collector's answer as an assignment that this agent can run. Raises ConfigError."""
    try:
        assignment = msgspec.json.decode(body, type=Assignment)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError("assignment", "", str(error)) from error
    if assignment.node != node:
        raise ConfigError("assignment", "node", f"is for {assignment.node}, this node is {node}")
    check_assignment(assignment, "assignment")
    return assignment


async def follow(
    collector: Collector,
    kept: KeptAssignment,
    node: str,
    interval_seconds: float,
    apply: Callable[[Assignment], Awaitable[None]],
) -> None:
    """Ask for a new assignment every interval, for ever; one that cannot be had or run leaves the old one at work."""
    loaded = kept.load()
    etag = loaded[1] if loaded else None
    while True:
        try:
            answer = await collector.get_assignment(etag)
            if answer is not None:
                assignment = decode_assignment(answer[0], node)
                await apply(assignment)
                etag = answer[1]
                kept.save(assignment, etag)
                _LOG.info("new assignment", extra={"peers": len(assignment.peers)})
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            _LOG.warning("no new assignment", extra={"error": str(error) or type(error).__name__})
        await asyncio.sleep(interval_seconds * random.uniform(0.8, 1.2))  # noqa: S311 - spreads the fleet
