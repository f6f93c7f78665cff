"""Tables of the store, how an older file is brought forward, and how the file is opened.

Three tiers of the same row, keyed (start, series, spoiled). Time comes first in the key, so that live data is
appended, a period is one sequential scan, and retention deletes from one end. Rows of minutes with a quality
flag (spoiled = 1) stay apart in every tier: they are listed, but never enter a verdict.

An outcome is a column, so that SQL adds them and a zero costs no byte. min_ns, max_ns, limit_low_ns and
limit_high_ns are NULL where there is none; the two limits differ only if the limit changed inside the row.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from agent.wire.series import Outcome
from collector.measured import MinuteCounts
from collector.store.buckets import merge_encoded
from collector.store.quality import merge_same_minute

OUTCOME_COLUMNS: tuple[str, ...] = tuple(outcome.value for outcome in Outcome)
MINUTE_COLUMNS: tuple[str, ...] = (
    "start_s",
    "series",
    "spoiled",
    "count",
    "sum_ns",
    "min_ns",
    "max_ns",
    "judged",
    "over_limit",
    "limit_low_ns",
    "limit_high_ns",
    *OUTCOME_COLUMNS,
    "quality",
    "histogram",
)
COUNT_COLUMNS: tuple[str, ...] = MinuteCounts.__struct_fields__
COARSE_COLUMNS: tuple[str, ...] = (*MINUTE_COLUMNS[:-2], "minutes", *COUNT_COLUMNS, "quality", "histogram")
"""Hours and days also carry how many minutes they hold and the sums over them; of a minute both follow from its row."""

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86400
BLOCK_S = 300
"""What incidents are found in; divides an hour."""
TIER_SECONDS = {"minute": MINUTE_S, "hour": HOUR_S, "day": DAY_S}

MOST_SAMPLES_PER_MINUTE = 2**21
"""A day then holds at most 1440 × 2**21 < 2**32 samples: a bucket's count always fits its 32 bits (buckets.py)."""
MOST_SUM_NS_PER_MINUTE = 2**50
"""A day's sum then stays below 2**61."""

BUSY_TIMEOUT_SECONDS = 10.0


class StoreError(Exception):
    """The store cannot be used; the message says why, in one line."""


def _migrations() -> tuple[str, ...]:
    folder = resources.files("collector.store") / "migrations"
    return tuple(file.read_text() for file in sorted(folder.iterdir(), key=lambda file: file.name))


MIGRATIONS = _migrations()
"""migrations/*.sql in order of name: the i-th brings a file from version i to i + 1."""


def open_writer(path: Path, migrations: Sequence[str] = MIGRATIONS) -> sqlite3.Connection:
    """The file, created or brought forward to this version, for the one thread that writes.

    Raises StoreError when it cannot be opened, is no store, or was written by a newer program.
    """
    try:
        connection = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
        )
        with _closed_on_error(connection):
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # a commit that was answered survives a power cut
            connection.execute("PRAGMA cache_size = -65536")
            connection.execute("PRAGMA wal_autocheckpoint = 4000")
            connection.execute("PRAGMA journal_size_limit = 67108864")
            connection.create_function("merge_buckets", 2, merge_encoded, deterministic=True)
            connection.create_function("merge_quality", 2, merge_same_minute, deterministic=True)
            _migrate(connection, path, migrations)
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from error
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """The file for reading only, usable while another process writes. Raises StoreError."""
    if not path.exists():
        raise StoreError(f"{path}: there is no store; `lightfloor-collector serve` creates it")
    try:
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=ro",
            uri=True,
            timeout=BUSY_TIMEOUT_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        with _closed_on_error(connection):
            version = _version(connection, path)
            if version != len(MIGRATIONS):
                raise StoreError(_wrong_version(path, version))
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from error
    return connection


@contextmanager
def _closed_on_error(connection: sqlite3.Connection) -> Iterator[None]:
    """Closing also undoes an open transaction."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


def _migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    version = _version(connection, path)
    if version > len(migrations):
        raise StoreError(_wrong_version(path, version))
    if version == 0:
        connection.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID")
    for script in migrations[version:]:
        for statement in _statements(script):
            connection.execute(statement)
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('schema_version', ?)", (len(migrations),))
    connection.execute("COMMIT")


def _statements(script: str) -> Iterator[str]:
    """A script's statements one by one: executescript would commit the open transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """Schema version of the file: 0 for an empty one. Raises StoreError for a database of something else."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return 0
    row = None
    if "meta" in tables:
        row = connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
    if row is None:
        raise StoreError(f"{path}: this SQLite file is not a Lightfloor store")
    return int(row[0])


def _wrong_version(path: Path, version: int) -> str:
    mine = len(MIGRATIONS)
    if version > mine:
        return f"{path}: written by a newer program (schema {version}); this one reads up to schema {mine}"
    return f"{path}: schema {version} is older than this program's {mine}; `lightfloor-collector serve` brings it forward"
