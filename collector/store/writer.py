"""The one thread that writes. Callers hand it jobs; jobs that wait together share one transaction and one fsync.

A job's future resolves only after the commit that holds its work. Each job runs in its own savepoint, so one that
fails leaves nothing behind and does not disturb the others of its group.
"""

import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from collector.store.schema import StoreError

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]

MOST_JOBS_PER_COMMIT = 64
SQLITE_PRIMARY = 0xFF  # the low byte of an extended result code (sqlite.org/rescode.html)
_STORE_ERRORS = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    }
)


class StoreFullError(StoreError):
    """No space left for the store's file. Nothing of the job was kept; try again when there is space."""


class StoreUnavailableError(StoreError):
    """The store cannot be written just now for another reason than space. Nothing of the job was kept."""


@dataclass(slots=True)
class WriterState:
    """What the writer has done, for metrics. error: what the last commit failed with, None after a good one."""

    commits: int = 0
    jobs: int = 0
    failed_commits: int = 0
    error: StoreError | None = None


class Writer:
    """Owns the writing connection and its thread from construction to close().

    on_rollback is called in the writer's thread whenever work that had run was undone: caches of ids must go.
    """

    def __init__(
        self, connection: sqlite3.Connection, on_rollback: Callable[[], None] = lambda: None
    ) -> None:
        self.state = WriterState()
        self._connection = connection
        self._on_rollback = on_rollback
        self._jobs: queue.SimpleQueue[tuple[Job[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._closed = threading.Lock()
        self._accepting = True
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, job: Job[T]) -> Future[T]:
        """Run job(connection) in the writer's thread; the future has its result once it is committed.

        The future raises what the job raised, StoreFullError, or StoreUnavailableError.
        """
        future: Future[T] = Future()
        with self._closed:
            if not self._accepting:
                raise StoreUnavailableError("the store is closing")
            self._jobs.put((job, future))
        return future

    def waiting(self) -> int:
        """Jobs handed in and not yet begun."""
        return self._jobs.qsize()

    def close(self) -> None:
        """Finish every job handed in so far, then close the file."""
        with self._closed:
            if self._accepting:
                self._accepting = False
                self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (group := self._next_group()) is not None:
            self._commit(group)
        self._connection.close()

    def _next_group(self) -> list[tuple[Job[Any], Future[Any]]] | None:
        """What waits, at most MOST_JOBS_PER_COMMIT; blocks for the first; None when closed and empty."""
        first = self._jobs.get()
        if first is None:
            return None
        group = [first]
        while len(group) < MOST_JOBS_PER_COMMIT:
            try:
                item = self._jobs.get_nowait()
            except queue.Empty:
                break
            if item is None:
                self._jobs.put(None)  # nothing can come after it; leave it for the next round
                break
            group.append(item)
        return [item for item in group if item[1].set_running_or_notify_cancel()]

    def _commit(self, group: list[tuple[Job[Any], Future[Any]]]) -> None:
        done: list[tuple[Future[Any], Any]] = []
        failed: list[tuple[Future[Any], BaseException]] = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for job, future in group:
                try:
                    done.append((future, self._in_savepoint(job)))
                except StoreError:
                    raise
                except Exception as error:  # noqa: BLE001 - any fault of one job is that job's answer alone
                    failed.append((future, error))
            self._connection.execute("COMMIT")
        except (sqlite3.Error, StoreError) as error:
            self._give_up(group, _store_error(error))
            return
        self.state.error = None
        self.state.commits += 1
        self.state.jobs += len(done)
        for future, result in done:
            future.set_result(result)
        for future, fault in failed:
            future.set_exception(fault)

    def _in_savepoint(self, job: Job[T]) -> T:
        self._connection.execute("SAVEPOINT job")
        try:
            result = job(self._connection)
        except BaseException as error:
            if isinstance(error, sqlite3.Error) and _primary_code(error) in _STORE_ERRORS:
                raise _store_error(error) from error
            self._connection.execute("ROLLBACK TO job")
            self._connection.execute("RELEASE job")
            self._on_rollback()
            raise
        self._connection.execute("RELEASE job")
        return result

    def _give_up(self, group: list[tuple[Job[Any], Future[Any]]], error: StoreError) -> None:
        """The whole transaction is lost: say so to every job of the group."""
        if self._connection.in_transaction:  # after SQLITE_FULL the file may have rolled back by itself
            self._connection.execute("ROLLBACK")
        self._on_rollback()
        self.state.failed_commits += 1
        self.state.error = error
        for _, future in group:
            future.set_exception(error)


def _primary_code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & SQLITE_PRIMARY


def _store_error(error: sqlite3.Error | StoreError) -> StoreError:
    if isinstance(error, StoreError):
        return error
    if _primary_code(error) == sqlite3.SQLITE_FULL:
        return StoreFullError("no space left for the store")
    return StoreUnavailableError(f"the store cannot be written: {error}")
