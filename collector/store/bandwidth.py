"""Leases of bandwidth tests in the store: what survives a restart are the bytes and when a path was last tested."""

import sqlite3

from collector.plan.progress import LeaseRecord

KEPT_SECONDS = 62 * 86400
"""Two of the longest months: a month's budget needs one."""


def store_lease(connection: sqlite3.Connection, lease: LeaseRecord) -> None:
    """Keep a lease before it is given to anybody; forget those that no budget needs any more."""
    connection.execute(
        "INSERT INTO bandwidth_lease (id, kind, client, server, leased_s, outcome, reason, bytes)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            lease.id,
            lease.kind,
            lease.client,
            lease.server,
            lease.leased_s,
            lease.outcome,
            lease.reason,
            lease.bytes,
        ),
    )
    connection.execute("DELETE FROM bandwidth_lease WHERE leased_s < ?", (lease.leased_s - KEPT_SECONDS,))


def settle_lease(
    connection: sqlite3.Connection, lease_id: str, outcome: str, reason: str, size_bytes: int
) -> None:
    """How it ended, and what it moved."""
    connection.execute(
        "UPDATE bandwidth_lease SET outcome = ?, reason = ?, bytes = ? WHERE id = ?",
        (outcome, reason, size_bytes, lease_id),
    )


def leases_since(connection: sqlite3.Connection, since_s: int) -> list[LeaseRecord]:
    """Leases from that time on, oldest first."""
    rows = connection.execute(
        "SELECT id, kind, client, server, leased_s, outcome, reason, bytes FROM bandwidth_lease"
        " WHERE leased_s >= ? ORDER BY leased_s, id",
        (since_s,),
    )
    return [LeaseRecord(*row) for row in rows]
