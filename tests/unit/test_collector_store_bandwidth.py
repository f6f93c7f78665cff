"""A lease is on disk before anybody acts on it, and so are its bytes after a restart."""

from collector.plan.progress import LeaseRecord
from collector.store.bandwidth import KEPT_SECONDS, leases_since, settle_lease, store_lease
from collector.store.schema import open_reader, open_writer

NOW = 1_800_000_000


def lease(lease_id, at_s=NOW):
    return LeaseRecord(lease_id, "iperf3", "a", "b", at_s, None, None, 1000)


def test_leases_survive_with_outcome_and_bytes(tmp_path):
    """Settled and open ones, oldest first; those that no month needs are forgotten."""
    connection = open_writer(tmp_path / "s.db")
    for each in (lease("0", NOW - KEPT_SECONDS - 1), lease("2"), lease("1", NOW - 10)):
        store_lease(connection, each)
    store_lease(connection, lease("3", NOW + 1))
    settle_lease(connection, "1", "ok", "", 700)
    connection.close()
    found = leases_since(open_reader(tmp_path / "s.db"), 0)
    assert [(each.id, each.outcome, each.bytes) for each in found] == [
        ("1", "ok", 700), ("2", None, 1000), ("3", None, 1000),
    ]  # fmt: skip
    assert leases_since(open_reader(tmp_path / "s.db"), NOW)[0].id == "2"
