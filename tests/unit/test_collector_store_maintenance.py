"""The record of announced work: what was added and removed, by whom and when."""

import pytest

from collector.maintenance import Announcement
from collector.store.maintenance import (
    UnknownMaintenanceError,
    announce,
    announcements_in,
    sync_calendar,
    withdraw,
)
from collector.store.operators import admit, dismiss, operator_of_token
from collector.store.schema import open_writer
from collector.store.tiers import Period
from collector.store.tokens import enroll, node_of_token

HOUR_S = 3600
ALWAYS = Period(0, 10**9)


@pytest.fixture
def store(tmp_path):
    connection = open_writer(tmp_path / "store.db")
    yield connection
    connection.close()


def work(start_s, hours=1, **more):
    return Announcement(
        start_s=start_s, end_s=start_s + hours * HOUR_S, reason="router", origin="command", **more
    )


def test_what_is_announced_is_read_back_with_who_and_when(store):
    """Scope, reason and record survive; only what touches the period is read."""
    added = announce(store, work(HOUR_S, nodes=("ams", "fra"), sites=("x",)), 5000, "ada")
    announce(store, work(9 * HOUR_S), 5000, "ada")
    (found,) = announcements_in(store, Period(0, 2 * HOUR_S))
    assert found == added
    assert (found.nodes, found.sites, found.added_s, found.added_by, found.late) == (
        ("ams", "fra"), ("x",), 5000, "ada", True,
    )  # fmt: skip
    assert announcements_in(store, Period(2 * HOUR_S, 9 * HOUR_S)) == []


def test_what_is_removed_stays_on_record(store):
    """It counts no more, is listed where asked for, and cannot be removed twice."""
    added = announce(store, work(0), 10, "ada")
    withdraw(store, added.id, 20, "bob")
    assert announcements_in(store) == []
    (kept,) = announcements_in(store, removed=True)
    assert (kept.added_by, kept.removed_s, kept.removed_by) == ("ada", 20, "bob")
    for number in (added.id, 999):
        with pytest.raises(UnknownMaintenanceError):
            withdraw(store, number, 30, "eve")


@pytest.mark.parametrize("hours", [0, -1, 31 * 24 + 1])
def test_an_impossible_length_is_refused(store, hours):
    """No end before the start, and no slip of the pen that excludes a year."""
    with pytest.raises(ValueError, match=r"the end|longer than 31 days"):
        announce(store, work(10 * HOUR_S, hours), 10, "ada")


def test_a_calendar_taken_in_again_changes_only_what_changed(store):
    """Its events are as the file has them now; other events, and what lies before the covered time, stay."""
    announce(store, work(0, uid="old"), 1, "ada")
    announce(store, work(0, hours=2, uid="one"), 1, "ada")
    covered = Period(HOUR_S, 100 * HOUR_S)
    windows = [work(at * HOUR_S, uid="one") for at in (10, 20, 30)]
    first = sync_calendar(store, {"one"}, windows, covered, 10, "ada")
    again = sync_calendar(store, {"one"}, windows, covered, 11, "bob")
    moved = sync_calendar(store, {"one"}, [*windows[:2], work(31 * HOUR_S, uid="one")], covered, 12, "bob")
    cancelled = sync_calendar(store, {"one"}, [], covered, 13, "bob")
    counts = [(each.added, each.removed, each.kept) for each in (first, again, moved, cancelled)]
    assert counts == [(3, 0, 0), (0, 0, 3), (1, 1, 2), (0, 3, 0)]
    assert [each.uid for each in announcements_in(store, ALWAYS)] == ["old", "one"]


def test_operators_and_nodes_do_not_share_tokens(store):
    """A measured server's token announces nothing, an operator's writes no batch; a replaced or revoked one is nobody's."""
    node = enroll(store, "ams", 1)
    first = admit(store, "ada", 1)
    assert (operator_of_token(store, first), operator_of_token(store, node)) == ("ada", None)
    assert node_of_token(store, first, 3) is None
    second = admit(store, "ada", 2)
    assert (operator_of_token(store, first), operator_of_token(store, second)) == (None, "ada")
    assert (dismiss(store, "ada"), dismiss(store, "ada")) == (True, False)
    assert operator_of_token(store, second) is None
    assert first.encode() not in b"".join(row[0] for row in store.execute("SELECT sha256 FROM operator"))
