"""Who may write as which node: SHA-256 of a 256-bit random token, one per node.

A plain hash is right here: a random 256-bit token cannot be guessed or looked up in a table, so there is nothing
for a slow password hash to slow down.
"""

import hashlib
import hmac
import secrets
import sqlite3

from collector.store.batches import node_id

TOKEN_BYTES = 32


def enroll(connection: sqlite3.Connection, node: str, now_s: int) -> str:
    """A new token for the node, replacing the one it had; the only time that it is ever seen. Commits."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            "INSERT OR REPLACE INTO token (node, sha256, created_s) VALUES (?, ?, ?)",
            (node_id(connection, node), _hash(token), now_s),
        )
    return token


def revoke(connection: sqlite3.Connection, node: str) -> bool:
    """Take the node's token away; False when it had none. Commits."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        deleted = connection.execute(
            "DELETE FROM token WHERE node = (SELECT id FROM node WHERE name = ?)", (node,)
        )
    return deleted.rowcount > 0


def node_of_token(connection: sqlite3.Connection, token: str) -> str | None:
    """The node that holds this token; None for an unknown one.

    Found by its hash, which tells a guesser nothing, then compared in constant time.
    """
    digest = _hash(token)
    row = connection.execute(
        "SELECT node.name, token.sha256 FROM token JOIN node ON node.id = token.node WHERE token.sha256 = ?",
        (digest,),
    ).fetchone()
    if row is None or not hmac.compare_digest(row[1], digest):
        return None
    return str(row[0])


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
