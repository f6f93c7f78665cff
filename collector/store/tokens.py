"""Who may write as which node: SHA-256 of a 256-bit random token; one per node, two while one is being replaced.

A plain hash is right here: a random 256-bit token cannot be guessed or looked up in a table, so there is nothing
for a slow password hash to slow down.
"""

import hashlib
import hmac
import secrets
import sqlite3
from dataclasses import dataclass

from collector.store.batches import node_id

TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class Enrolment:
    """One valid token. expires_s: when it ends because a newer one replaces it, None for the newest; Unix seconds."""

    node: str
    created_s: int
    expires_s: int | None
    last_batch_s: int | None


def enroll(connection: sqlite3.Connection, node: str, now_s: int, overlap_seconds: int = 0) -> str:
    """A new token for the node; the only time that it is ever seen. Commits.

    What the node had before stays good for overlap_seconds, so that an agent can change over without a gap.
    """
    token = secrets.token_urlsafe(TOKEN_BYTES)
    until_s = now_s + overlap_seconds
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        number = node_id(connection, node)
        connection.execute(
            "UPDATE token SET expires_s = min(coalesce(expires_s, ?1), ?1) WHERE node = ?2", (until_s, number)
        )
        connection.execute("DELETE FROM token WHERE expires_s <= ?", (now_s,))
        connection.execute(
            "INSERT INTO token (sha256, node, created_s) VALUES (?, ?, ?)", (_hash(token), number, now_s)
        )
    return token


def revoke(connection: sqlite3.Connection, node: str) -> bool:
    """Take every token of the node away; False when it had none. Commits."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        deleted = connection.execute(
            "DELETE FROM token WHERE node = (SELECT id FROM node WHERE name = ?)", (node,)
        )
    return deleted.rowcount > 0


def enrolments(connection: sqlite3.Connection, now_s: int) -> list[Enrolment]:
    """Every token that is good now, by node, the newest of each first."""
    rows = connection.execute(
        "SELECT name, created_s, expires_s, last_batch_s FROM token JOIN node ON node.id = token.node"
        " WHERE expires_s IS NULL OR expires_s > ? ORDER BY name, expires_s IS NOT NULL, created_s DESC",
        (now_s,),
    )
    return [Enrolment(*row) for row in rows]


def node_of_token(connection: sqlite3.Connection, token: str, now_s: int) -> str | None:
    """The node that holds this token; None for an unknown or expired one.

    Found by its hash, which tells a guesser nothing, then compared in constant time.
    """
    digest = _hash(token)
    row = connection.execute(
        "SELECT node.name, token.sha256 FROM token JOIN node ON node.id = token.node"
        " WHERE token.sha256 = ? AND (expires_s IS NULL OR expires_s > ?)",
        (digest, now_s),
    ).fetchone()
    if row is None or not hmac.compare_digest(row[1], digest):
        return None
    return str(row[0])


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
