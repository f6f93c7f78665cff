"""Who may announce maintenance over the API: SHA-256 of a random token, as for nodes (tokens.py says why plain).

Operators and nodes have tables of their own: a token taken from a measured server excludes nothing from its verdict.
"""

import hashlib
import hmac
import secrets
import sqlite3

from collector.store.tokens import TOKEN_BYTES


def admit(connection: sqlite3.Connection, operator: str, now_s: int) -> str:
    """A new token for the operator, replacing the one it had; the only time that it is ever seen. Commits."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            "INSERT OR REPLACE INTO operator VALUES (?, ?, ?)", (operator, _hash(token), now_s)
        )
    return token


def dismiss(connection: sqlite3.Connection, operator: str) -> bool:
    """Take the operator's token away; False when it had none. Commits."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        deleted = connection.execute("DELETE FROM operator WHERE name = ?", (operator,))
    return deleted.rowcount > 0


def operator_of_token(connection: sqlite3.Connection, token: str) -> str | None:
    """The operator that holds this token; None for an unknown one."""
    digest = _hash(token)
    row = connection.execute("SELECT name, sha256 FROM operator WHERE sha256 = ?", (digest,)).fetchone()
    if row is None or not hmac.compare_digest(row[1], digest):
        return None
    return str(row[0])


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
