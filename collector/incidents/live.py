"""The running collector's incidents: what waits is judged at an interval and kept; pages and metrics read the latest."""

import sqlite3
from collections.abc import Callable

from collector.incidents.record import Found, Judgement, judge_pending, save, stored_in_period
from collector.incidents.watch import Watch
from collector.live import LiveFleet
from collector.store.database import Database
from collector.store.incidents import latest_judged_s, pending_blocks
from collector.store.schema import BLOCK_S, DAY_S
from collector.store.tiers import Period

GRACE_SECONDS = 90
"""A block is judged this long after it ended: most agents have sent its last minute by then."""
MOST_BLOCKS = 24
"""Judged in one go, so that a long backlog is worked off in small transactions."""
SHOWN_SECONDS = DAY_S


class LiveIncidents:
    """latest: of the last 24 hours, and what still lasts. judged_until_s: end of the latest judged block, Unix seconds."""

    def __init__(self, database: Database, fleet: LiveFleet, wall_s: Callable[[], float]) -> None:
        self._database = database
        self._fleet = fleet
        self._wall_s = wall_s
        self._watch = Watch()
        self.latest = Found((), ())
        self.judged_until_s: int | None = None

    async def refresh(self) -> None:
        """Judge every block that has ended, and show what came of it as it comes. Raises sqlite3.Error, StoreError."""
        more = True
        while more:
            judged, more = await self._judge_some()
            if judged or self.judged_until_s is None:
                await self._show()

    async def _show(self) -> None:
        now_s, fleet = int(self._wall_s()), self._fleet.current
        period = Period(max(0, now_s - SHOWN_SECONDS), now_s + BLOCK_S)
        self.latest = await self._database.read(
            lambda connection: stored_in_period(connection, fleet, period)
        )
        judged_s = await self._database.read(latest_judged_s)
        self.judged_until_s = None if judged_s is None else judged_s + BLOCK_S

    async def _judge_some(self) -> tuple[bool, bool]:
        """Whether something was judged, and whether more waits."""
        end_s = int(self._wall_s()) - GRACE_SECONDS - BLOCK_S + 1
        fleet = self._fleet.current

        def judged(connection: sqlite3.Connection) -> tuple[Judgement, bool] | None:
            pending = pending_blocks(connection, Period(0, max(1, end_s)))
            some = dict(list(pending.items())[:MOST_BLOCKS])
            if not some:
                return None
            return judge_pending(connection, self._watch, fleet, some), len(some) < len(pending)

        found = await self._database.read(judged)
        if found is None:
            return False, False
        judgement, more = found
        await self._database.write(lambda connection: save(connection, judgement))
        return True, more
