import sqlite3
import threading

import pytest

from collector.store.schema import open_writer
from collector.store.writer import StoreFullError, StoreUnavailableError, Writer


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


def add(name):
    return lambda connection: connection.execute("INSERT INTO node (name) VALUES (?)", (name,)).lastrowid


def names(path):
    connection = sqlite3.connect(path)
    found = {name for (name,) in connection.execute("SELECT name FROM node")}
    connection.close()
    return found


def hold(writer):
    """Keep the writer busy until the returned event is set, so that what follows waits together."""
    entered, release = threading.Event(), threading.Event()
    writer.submit(lambda _: (entered.set(), release.wait(10)))
    entered.wait(10)
    return release


def test_jobs_that_wait_together_share_a_commit(path):
    """Many small batches cost one sync, not one each."""
    writer = Writer(open_writer(path))
    release = hold(writer)
    futures = [writer.submit(add(f"n{i}")) for i in range(50)]
    release.set()
    assert len({future.result(10) for future in futures}) == 50
    writer.close()
    assert writer.state.commits == 2
    assert len(names(path)) == 50


def test_a_job_is_answered_only_when_its_work_is_in_the_file(path):
    """Whoever has the answer can find the row with another connection."""
    writer = Writer(open_writer(path))
    for i in range(20):
        writer.submit(add(f"n{i}")).result(10)
        assert f"n{i}" in names(path)
    writer.close()


def test_a_job_that_fails_takes_only_its_own_work_with_it(path):
    """Neighbours in the same transaction are stored; the failed one leaves nothing and is told why."""
    undone = []
    writer = Writer(open_writer(path), lambda: undone.append(1))

    def fail(connection):
        add("half")(connection)
        raise ValueError("no")

    release = hold(writer)
    before, bad, after = writer.submit(add("before")), writer.submit(fail), writer.submit(add("after"))
    release.set()
    before.result(10)
    after.result(10)
    with pytest.raises(ValueError, match="no"):
        bad.result(10)
    writer.close()
    assert names(path) == {"before", "after"}
    assert undone == [1]


def test_no_space_is_told_to_every_job_of_the_group_and_passes(path):
    """When the file cannot grow nothing is kept and everyone hears it; with space again the writer just goes on."""
    connection = open_writer(path)
    writer = Writer(connection)
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    release = hold(writer)
    futures = [writer.submit(add("x" * 5000 + str(i))) for i in range(3)]
    release.set()
    for future in futures:
        with pytest.raises(StoreFullError, match="no space"):
            future.result(10)
    assert isinstance(writer.state.error, StoreFullError)
    connection.execute("PRAGMA max_page_count = 100000")
    writer.submit(add("fits")).result(10)
    assert writer.state.error is None
    assert writer.state.failed_commits == 1
    writer.close()
    assert names(path) == {"fits"}


def test_closing_finishes_what_was_handed_in(path):
    """A clean stop loses nothing that was accepted, and accepts nothing after."""
    writer = Writer(open_writer(path))
    release = hold(writer)
    futures = [writer.submit(add(f"n{i}")) for i in range(200)]
    threading.Timer(0.05, release.set).start()
    writer.close()
    assert all(future.done() for future in futures)
    assert len(names(path)) == 200
    with pytest.raises(StoreUnavailableError, match="closing"):
        writer.submit(add("late"))
    writer.close()


def test_a_cancelled_job_does_not_run(path):
    """A client that went away before its turn costs nothing."""
    writer = Writer(open_writer(path))
    release = hold(writer)
    gone = writer.submit(add("gone"))
    gone.cancel()
    release.set()
    writer.submit(add("here")).result(10)
    writer.close()
    assert names(path) == {"here"}
