"""Names and passwords against bcrypt hashes, without stalling the event loop.

bcrypt is slow on purpose (15 ms at cost 8, 244 ms at cost 12) and every scrape brings the password anew. So it runs in
a thread of its own, and what was right once is remembered as a digest under a key of this process.
"""

import asyncio
import base64
import binascii
import hmac
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b

MOST_WAITING = 8
"""Checks at once; a flood of guesses is turned away before it fills the memory or delays the honest for long."""
MOST_BYTES = 72
"""bcrypt looks no further: a longer password is wrong, or its tail would not matter."""


class BusyError(Exception):
    """So many passwords are being checked that this one has to come again."""


class Credentials:
    """Checks passwords and remembers those that were right."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._right: dict[str, bytes] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bcrypt")
        self._waiting = 0

    async def check(self, users: Mapping[str, str], name: str, password: bytes) -> bool:
        """Whether this is the password of this user. users: name → bcrypt hash, not empty. Raises BusyError.

        A name that nobody has takes as long as one that somebody has: some other user's hash is worked on.
        """
        stated = users.get(name)
        digest = blake2b(f"{stated}\0".encode() + password, key=self._key).digest()
        if stated is not None and hmac.compare_digest(self._right.get(name, b""), digest):
            return True
        if self._waiting >= MOST_WAITING:
            raise BusyError
        self._waiting += 1
        try:
            hashed = stated or next(iter(users.values()))
            same = await asyncio.get_running_loop().run_in_executor(
                self._thread, _is_hash_of, hashed, password
            )
        finally:
            self._waiting -= 1
        if not same or stated is None:
            return False
        self._right[name] = digest
        return True

    def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _is_hash_of(hashed: str, password: bytes) -> bool:
    import bcrypt  # noqa: PLC0415 - only programs with passwords pay for it

    same = bcrypt.checkpw(password[:MOST_BYTES], hashed.encode())
    return same and len(password) <= MOST_BYTES


def basic_credentials(authorization: str) -> tuple[str, bytes] | None:
    """Name and password of a Basic Authorization header (RFC 7617), None for anything else."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (name.decode(), password) if colon else None
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
