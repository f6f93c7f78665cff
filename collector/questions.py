"""Questions to the store that read a lot: a few at once, and further ones wait."""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import TypeVar

from collector.store.database import Database

T = TypeVar("T")

MOST_AT_ONCE = 2
"""Fewer than the store has readers, so that what runs at an interval is never behind a crowd of visitors."""


class Questions:
    """Shared by the pages and the API. Make it inside the loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turn = asyncio.Semaphore(MOST_AT_ONCE)

    def now_s(self) -> int:
        """The collector's clock, Unix seconds."""
        return int(self._database.now_s())

    async def ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """question(connection) in a reader's thread. Raises sqlite3.Error."""
        async with self._turn:
            return await self._database.read(question)
