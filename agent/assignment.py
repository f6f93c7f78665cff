"""The assignment: fetched from the collector, checked, kept on disk, and run from there when the collector is away."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import aiohttp
import msgspec

from agent.config import check_assignment
from agent.net.collector import Collector
from agent.net.durable import write_durably
from agent.wire.assignment import Assignment
from agent.wire.settings import ConfigError

_LOG = logging.getLogger("agent.assignment")
_Model = TypeVar("_Model")


class KeptAssignment:
    """The last good assignment on disk, so that an agent starts measuring while the collector is away."""

    def __init__(self, path: Path, node: str) -> None:
        self._path = path
        self.node = node

    def load(self) -> tuple[Assignment, str | None] | None:
        """The kept assignment and its ETag; None when there is none, or it is damaged or another node's."""
        try:
            kept = _decoded(self._path.read_bytes(), _Kept, str(self._path))
            _check(kept.assignment, self.node, str(self._path))
        except FileNotFoundError:
            return None
        except (OSError, ConfigError) as error:
            _LOG.warning("kept assignment cannot be used", extra={"error": str(error)})
            return None
        return kept.assignment, kept.etag

    def save(self, assignment: Assignment, etag: str | None) -> None:
        """Replace the kept assignment in one step. Raises OSError with the old one still in place."""
        write_durably(self._path, msgspec.json.encode(_Kept(assignment, etag)))


class _Kept(msgspec.Struct):
    assignment: Assignment
    etag: str | None


def decode_assignment(body: bytes, node: str) -> Assignment:
    """The collector's answer as an assignment that this agent can run. Raises ConfigError."""
    assignment = _decoded(body, Assignment, "assignment")
    _check(assignment, node, "assignment")
    return assignment


def _decoded(body: bytes, model: type[_Model], where: str) -> _Model:
    try:
        return msgspec.json.decode(body, type=model)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(where, "", str(error)) from error


def _check(assignment: Assignment, node: str, where: str) -> None:
    if assignment.node != node:
        raise ConfigError(where, "node", f"is for {assignment.node}, this node is {node}")
    check_assignment(assignment, where)


async def follow(
    collector: Collector,
    kept: KeptAssignment,
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
                assignment = decode_assignment(answer[0], kept.node)
                await apply(assignment)
                etag = answer[1]
                _LOG.info("new assignment", extra={"peers": len(assignment.peers)})
                await asyncio.to_thread(_keep, kept, assignment, etag)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            _LOG.warning("no new assignment", extra={"error": str(error) or type(error).__name__})
        await asyncio.sleep(interval_seconds * random.uniform(0.8, 1.2))  # noqa: S311 - spreads the fleet


def _keep(kept: KeptAssignment, assignment: Assignment, etag: str | None) -> None:
    try:
        kept.save(assignment, etag)
    except OSError as error:
        _LOG.warning("assignment cannot be kept for the next start", extra={"error": str(error)})
