"""What changes while the server runs and everything else reads: the fleet, and how every path stands now."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from agent.wire.assignment import Assignment
from agent.wire.settings import ConfigError
from collector.budget import PathBudget
from collector.budgets import budgets_now
from collector.fleet import Fleet, read_fleet
from collector.period import trailing
from collector.standing import Standing, standing_of_period
from collector.store.database import Database
from collector.store.nodes import NodeStatus, node_statuses
from collector.store.rollup import oldest_due_s
from collector.store.schema import MINUTE_S

LOG = logging.getLogger("collector.live")


class LiveFleet:
    """The fleet file's last good content. Raises ConfigError on construction only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.current: Fleet = read_fleet(path)
        self.last_reload_ok = True
        self.last_good_wall_s = time.time()

    async def reload(self) -> str | None:
        """Read the file again; None when it is right, else what is wrong with it: the fleet then stays as it was."""
        try:
            self.current = await asyncio.to_thread(read_fleet, self._path)
        except ConfigError as error:
            self.last_reload_ok = False
            LOG.error(  # noqa: TRY400 - a wrong file is no bug: the line says where, a traceback would not
                "fleet file refused, the one before stays in force", extra={"reason": error}
            )
            return str(error)
        self.last_reload_ok = True
        self.last_good_wall_s = time.time()
        LOG.info(
            "fleet file loaded", extra={"nodes": len(self.current.nodes), "paths": len(self.current.pairs)}
        )
        return None

    def assignment(self, node: str) -> Assignment | None:
        """What a node is to measure now; None for one that is not in the fleet."""
        if node not in self.current.nodes:
            return None
        return self.current.assignment(node, datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How things stood at wall_s. oldest_due_s: since when merging rows has been due, None when nothing waits."""

    wall_s: int
    took_seconds: float
    standing: Standing
    budgets: tuple[PathBudget, ...]
    nodes: tuple[NodeStatus, ...]
    oldest_due_s: int | None


class LiveStanding:
    """The last 24 hours and the budgets of every path, judged anew at an interval; pages and metrics read the latest.

    zone: of the budgets' calendar month.
    """

    def __init__(
        self, database: Database, fleet: LiveFleet, wall_s: Callable[[], float], zone: ZoneInfo
    ) -> None:
        self._database = database
        self._fleet = fleet
        self._zone = zone
        self._wall_s = wall_s
        self.latest: Snapshot | None = None

    async def refresh(self) -> None:
        """Judge everything up to this minute. Raises sqlite3.Error."""
        now_s = int(self._wall_s())
        fleet = self._fleet.current
        began = time.monotonic()
        period = trailing(now_s // MINUTE_S * MINUTE_S)
        standing = await self._database.read(lambda connection: standing_of_period(connection, fleet, period))
        budgets = await self._database.read(
            lambda connection: budgets_now(connection, fleet, now_s, self._zone)
        )
        nodes = await self._database.read(node_statuses)
        due_s = await self._database.read(lambda connection: oldest_due_s(connection, now_s))
        self.latest = Snapshot(now_s, time.monotonic() - began, standing, budgets, tuple(nodes), due_s)
