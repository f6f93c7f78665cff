"""The store as the server uses it: one writer and a few readers, none of them on the event loop."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

from agent.wire.batch import Batch
from collector.store import batches, operators, retention, rollup, tokens
from collector.store.schema import open_reader, open_writer
from collector.store.writer import Job, Writer, WriterState

T = TypeVar("T")
READERS = 3


class Database:
    """Opens the file on construction; raises StoreError. wall_s: the collector's clock, Unix seconds."""

    def __init__(self, path: Path, keep: retention.Retention, wall_s: Callable[[], float]) -> None:
        self.path = path
        self._keep = keep
        self._wall_s = wall_s
        self._batches = batches.BatchStore()
        connection = open_writer(path)
        self._writer = Writer(connection, self._batches.forget)
        self._tokens = open_reader(path)
        self._idle: SimpleQueue[sqlite3.Connection] = SimpleQueue()
        for _ in range(READERS):
            self._idle.put(open_reader(path))
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")

    @property
    def writer_state(self) -> WriterState:
        """Commits, jobs, and what the last commit failed with."""
        return self._writer.state

    def now_s(self) -> float:
        """The clock by which windows are taken or refused."""
        return self._wall_s()

    def waiting(self) -> int:
        """Batches and other work handed to the writer and not yet begun."""
        return self._writer.waiting()

    def size_bytes(self) -> int:
        """The file with its write-ahead log."""
        files = (self.path, self.path.with_name(self.path.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def node_of_token(self, token: str) -> str | None:
        """The node that holds this token; one look-up by key in a small table, quick enough for the event loop."""
        return tokens.node_of_token(self._tokens, token, int(self._wall_s()))

    def operator_of_token(self, token: str) -> str | None:
        """The operator that holds this token; likewise."""
        return operators.operator_of_token(self._tokens, token)

    async def store_batch(self, batch: Batch) -> batches.Stored:
        """Returns once the batch is durable. Raises BatchRefusedError, AheadError, StoreFullError, StoreUnavailableError."""
        now_s = int(self._wall_s())
        future = self._writer.submit(lambda connection: self._batches.store(connection, batch, now_s))
        return await asyncio.wrap_future(future)

    async def read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """question(connection) in a thread of its own, with a read-only connection that nobody else has meanwhile."""

        def ask() -> T:
            connection = self._idle.get()
            try:
                return question(connection)
            finally:
                self._idle.put(connection)

        return await asyncio.get_running_loop().run_in_executor(self._threads, ask)

    async def write(self, job: Job[T]) -> T:
        """job(connection) in the writer's thread; returns once it is durable. Raises StoreError."""
        return await asyncio.wrap_future(self._writer.submit(job))

    async def roll_up_due(self) -> int:
        """Merge what is due, one unit per transaction so that batches get in between; returns the number of units."""
        now_s = int(self._wall_s())
        done = 0
        while units := await self.read(lambda connection: rollup.due_units(connection, now_s)):
            for unit in units:
                await asyncio.wrap_future(
                    self._writer.submit(lambda connection, unit=unit: rollup.roll_up(connection, unit))  # type: ignore[misc]  # default binds the loop's value
                )
                done += 1
        return done

    async def delete_expired(self) -> int:
        """Move the horizons and delete what lies before them, in small transactions; returns the rows deleted."""
        now_s = int(self._wall_s())
        await asyncio.wrap_future(
            self._writer.submit(lambda connection: retention.advance_horizons(connection, self._keep, now_s))
        )
        deleted = 0
        while rows := await asyncio.wrap_future(self._writer.submit(retention.delete_some)):
            deleted += rows
            await asyncio.sleep(0.01)  # live batches first
        return deleted

    def close(self) -> None:
        """Finish what the readers and the writer were given, then close every connection. Blocks.

        The writer goes last: only the last connection to go, if it may write, takes the write-ahead log with it.
        """
        self._threads.shutdown()
        while not self._idle.empty():
            self._idle.get().close()
        self._tokens.close()
        self._writer.close()
