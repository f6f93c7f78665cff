"""Closed windows on disk until the collector has them: one file per batch, exactly as it will be sent.

A batch is written aside, synced, and renamed into place with the directory synced after: a power cut loses at
most the batch being written. The gzip checksum tells a file the disk has damaged since; it is set aside and
counted. Names sort in the order of writing: GENERATION-SEQUENCE-BOOT-WINDOWS.json.gz, where the generation
grows with each start of the agent.
"""

import asyncio
import gzip
import logging
import re
import time
import uuid
import zlib
from dataclasses import dataclass
from pathlib import Path

from agent.net.durable import write_durably

_LOG = logging.getLogger("agent.spool")
_NAME = re.compile(r"(\d{8})-(\d{10})-([0-9a-f]{32})-(\d{6})\.json\.gz")
_KEPT_REJECTED = 20


@dataclass(frozen=True, slots=True)
class Stored:
    """One batch on disk. size_bytes as stored, compressed; written_s: wall clock, seconds since the epoch."""

    path: Path
    boot: str
    sequence: int
    windows: int
    size_bytes: int
    written_s: float


class Spool:
    """The batches of this node on disk, oldest first. One per state directory; not for two processes.

    lost_windows: windows given up since the start, by reason (expired, full, corrupt, rejected, renamed).
    Raises OSError from the constructor when the directory cannot be used.
    """

    def __init__(self, directory: Path, max_bytes: int, max_age_seconds: float) -> None:
        self._directory = directory
        self._rejected = directory / "rejected"
        self._max_bytes = max_bytes
        self._max_age_seconds = max_age_seconds
        self.boot = uuid.uuid4().hex
        self.lost_windows: dict[str, int] = dict.fromkeys(
            ("expired", "full", "corrupt", "rejected", "renamed"), 0
        )
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for leftover in directory.glob("*.tmp"):
            leftover.unlink()
        names = sorted(path.name for path in directory.iterdir() if _NAME.fullmatch(path.name))
        self._generation = int(names[-1][:8]) + 1 if names else 0
        self._sequence = 0
        self._batches = {name: _stored(directory / name) for name in names}
        self._size_bytes = sum(batch.size_bytes for batch in self._batches.values())

    @property
    def next_sequence(self) -> int:
        """Sequence number of the next batch to be written."""
        return self._sequence

    def __len__(self) -> int:
        return len(self._batches)

    @property
    def size_bytes(self) -> int:
        """Bytes on disk of all waiting batches."""
        return self._size_bytes

    def oldest(self) -> Stored | None:
        """The next batch to send."""
        return next(iter(self._batches.values()), None)

    async def append(self, body: bytes, windows: int) -> Stored:
        """Make one encoded batch durable. Raises OSError (a full disk) with nothing half-written left behind.

        Not to be cancelled half-way: the batch may be on disk by then without being counted.
        """
        compressed = await asyncio.to_thread(gzip.compress, body, 6, mtime=0)
        self._make_room(len(compressed))
        name = f"{self._generation:08d}-{self._sequence:010d}-{self.boot}-{windows:06d}.json.gz"
        await asyncio.to_thread(write_durably, self._directory / name, compressed)
        self._sequence += 1
        stored = self._batches[name] = _stored(self._directory / name)
        self._size_bytes += stored.size_bytes
        return stored

    async def read(self, batch: Stored) -> bytes | None:
        """The compressed bytes to send; None when the file is damaged or gone, which sets it aside and counts it.

        Raises OSError when it cannot be read now (no descriptor left, no permission): it may be another time.
        """
        try:
            return await asyncio.to_thread(_read_intact, batch.path)
        except (FileNotFoundError, gzip.BadGzipFile, EOFError, zlib.error) as error:
            _LOG.error("spooled batch is damaged", extra={"file": batch.path.name, "error": str(error)})
            self.set_aside(batch, "corrupt")
            return None

    def delete(self, batch: Stored) -> None:
        """Forget a batch that the collector has. A file that cannot be removed is sent again by the next start."""
        self._forget(batch)
        _remove(batch.path)

    def set_aside(self, batch: Stored, reason: str) -> None:
        """Give up a batch that can never be stored, keeping the latest few for a person to look at."""
        self._forget(batch)
        self.lost_windows[reason] += batch.windows
        try:
            self._rejected.mkdir(exist_ok=True, mode=0o700)
            batch.path.replace(self._rejected / batch.path.name)
            for old in sorted(self._rejected.iterdir())[:-_KEPT_REJECTED]:
                old.unlink()
        except OSError:
            _remove(batch.path)

    def keep_apart(self, batch: Stored) -> Path:
        """Take a batch out of the queue that only another name of this node could send; returns the folder that keeps it.

        Nothing there is ever deleted: once moved back here it is sent after the next start.
        """
        self._forget(batch)
        self.lost_windows["renamed"] += batch.windows
        folder = self._directory / "renamed"
        folder.mkdir(exist_ok=True, mode=0o700)
        batch.path.replace(folder / batch.path.name)
        return folder

    def _forget(self, batch: Stored) -> None:
        if self._batches.pop(batch.path.name, None) is not None:
            self._size_bytes -= batch.size_bytes

    def _make_room(self, incoming_bytes: int) -> None:
        oldest_allowed = time.time() - self._max_age_seconds
        while (batch := self.oldest()) is not None:
            if batch.written_s < oldest_allowed:
                reason = "expired"
            elif self._size_bytes + incoming_bytes > self._max_bytes:
                reason = "full"
            else:
                return
            _LOG.warning("spooled batch given up", extra={"file": batch.path.name, "reason": reason})
            self.lost_windows[reason] += batch.windows
            self.delete(batch)


def _stored(path: Path) -> Stored:
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise ValueError(f"{path.name} is not the name of a spooled batch")
    status = path.stat()
    return Stored(path, match[3], int(match[2]), int(match[4]), status.st_size, status.st_mtime)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _LOG.error("spooled batch cannot be removed", extra={"file": path.name, "error": str(error)})


def _read_intact(path: Path) -> bytes:
    compressed = path.read_bytes()
    if not gzip.decompress(compressed):
        raise EOFError("the file is empty")
    return compressed
