import sqlite3

import pytest

from agent.wire.series import Outcome
from collector.measured import loss_design_effect
from collector.store.batches import BatchStore
from collector.store.query import load
from collector.store.schema import (
    COARSE_COLUMNS,
    MIGRATIONS,
    MINUTE_COLUMNS,
    MOST_SAMPLES_PER_MINUTE,
    MOST_SUM_NS_PER_MINUTE,
    TIER_SECONDS,
    StoreError,
    open_reader,
    open_writer,
)
from collector.store.tiers import Period
from tests.batches import DAY, MS, batch, window


def _schema(connection):
    return connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()


def test_every_tier_has_the_columns_the_program_writes(tmp_path):
    """Tables, columns and outcomes of the wire agree; a new outcome needs a migration."""
    connection = open_writer(tmp_path / "store.db")
    for tier in TIER_SECONDS:
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({tier})")]
        assert sorted(columns) == sorted(MINUTE_COLUMNS if tier == "minute" else COARSE_COLUMNS)
    connection.close()


def test_hours_from_before_the_sums_of_losses_do_not_claim_that_losses_are_spread(tmp_path):
    """What an older program merged holds no such sums: clustering is then unknown, alone and beside newer hours."""
    at = next(i for i, script in enumerate(MIGRATIONS) if "lost_squared" in script)
    path = tmp_path / "store.db"
    connection = open_writer(path, MIGRATIONS[:at])
    columns = [column for column in COARSE_COLUMNS if "sent" not in column and "lost" not in column]
    old = dict.fromkeys(columns, 0) | {
        "start_s": DAY - 3600,
        "series": 1,
        "quality": None,
        "histogram": b"",
        "min_ns": None,
        "max_ns": None,
    }
    old |= {"ok": 240, "timeout": 120, "minutes": 60, "measured": 60, "available": 60}
    connection.execute(
        f"INSERT INTO hour ({', '.join(old)}) VALUES ({', '.join('?' * len(old))})", (*old.values(),)
    )
    connection.close()
    connection = open_writer(path)
    windows = [window(start_s=DAY + 60 * i, values_ns=[MS] * 4, lost=2) for i in range(60)]
    BatchStore().store(connection, batch(windows), DAY + 3600)
    effects = []
    for period in (Period(DAY - 3600, DAY), Period(DAY - 3600, DAY + 3600), Period(DAY, DAY + 3600)):
        (totals,) = load(connection, period)[1].values()
        sent, lost = sum(totals.clean.outcomes.values()), totals.clean.outcomes[Outcome.TIMEOUT]
        effects.append(loss_design_effect(sent, lost, totals.clean.counts))
    connection.close()
    assert effects == [None, None, 1.0]


def test_an_older_file_is_brought_forward_with_its_rows(tmp_path):
    """A file of any earlier version ends with the same tables as a new one and keeps what it held."""
    newer = (*MIGRATIONS, "CREATE TABLE extra (a);\n-- with data\nINSERT INTO extra VALUES ('x;y');\n")
    old = tmp_path / "old.db"
    connection = open_writer(old)
    connection.execute("INSERT INTO node (name) VALUES ('ams')")
    connection.close()
    forward = open_writer(old, newer)
    fresh = open_writer(tmp_path / "fresh.db", newer)
    assert _schema(forward) == _schema(fresh)
    assert forward.execute("SELECT name FROM node").fetchall() == [("ams",)]
    assert forward.execute("SELECT a FROM extra").fetchall() == [("x;y",)]
    forward.close()
    fresh.close()


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path):
    """Half a migration is never kept."""
    path = tmp_path / "store.db"
    open_writer(path).close()
    with pytest.raises(StoreError, match="no such table"):
        open_writer(path, (*MIGRATIONS, "CREATE TABLE extra (a);\nINSERT INTO nowhere VALUES (1);"))
    connection = open_writer(path)
    assert "extra" not in [name for name, _ in _schema(connection)]
    connection.close()


def test_a_newer_file_is_refused_in_one_line(tmp_path):
    """An older program neither reads nor changes a file that it does not understand."""
    path = tmp_path / "store.db"
    open_writer(path, (*MIGRATIONS, "CREATE TABLE extra (a);")).close()
    for opened in (open_writer, open_reader):
        with pytest.raises(
            StoreError, match=rf"written by a newer program \(schema {len(MIGRATIONS) + 1}\)"
        ) as raised:
            opened(path)
        assert "\n" not in str(raised.value)


def test_something_else_is_not_taken_for_a_store(tmp_path):
    """Another program's database and a text file are each refused by name."""
    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE t (a)")
    connection.commit()
    connection.close()
    text = tmp_path / "text.db"
    text.write_text("not a database\n" * 100)
    for path in (other, text):
        for opened in (open_writer, open_reader):
            with pytest.raises(StoreError, match=path.name):
                opened(path)


def test_reading_before_there_is_a_store_says_what_makes_one(tmp_path):
    """A reader never creates a file."""
    with pytest.raises(StoreError, match="there is no store"):
        open_reader(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_cannot_write(tmp_path):
    """Questions cannot change the store."""
    path = tmp_path / "store.db"
    open_writer(path).close()
    reader = open_reader(path)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("DELETE FROM node")
    reader.close()


def test_the_store_is_durable_and_bounded(tmp_path):
    """Commits are synced, and the bounds in the file are the ones the program states."""
    connection = open_writer(tmp_path / "store.db")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    minute = dict(_schema(connection))["minute"]
    assert f"CHECK (count <= {MOST_SAMPLES_PER_MINUTE})" in minute
    assert f"CHECK (sum_ns BETWEEN 0 AND {MOST_SUM_NS_PER_MINUTE})" in minute
    connection.close()
