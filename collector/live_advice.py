"""Advice for the whole fleet, made anew at an interval; the page, the API and /metrics show the latest."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from agent.advice.advise import Advice
from agent.advice.finding import Finding
from collector.advice.diagnosis import Story
from collector.advice.fleet import findings_of
from collector.advising import advice_of_period, findings_on_changes
from collector.live import LiveFleet
from collector.period import trailing
from collector.store.database import Database
from collector.store.schema import MINUTE_S
from collector.store.tiers import Period

EFFECTS_SECONDS = 3600
"""Effects are of whole hours, and each reads weeks of eighty paths."""


@dataclass(frozen=True, slots=True)
class AdviceSnapshot:
    """What was advised at wall_s by what was measured in the period. findings, stories: gravest first."""

    wall_s: int
    took_seconds: float
    period: Period
    nodes: tuple[Advice, ...]
    findings: tuple[Finding, ...]
    stories: tuple[Story, ...]


class LiveAdvice:
    """By the last 24 hours. latest: None until first made."""

    def __init__(self, database: Database, fleet: LiveFleet, wall_s: Callable[[], float]) -> None:
        self._database = database
        self._fleet = fleet
        self._wall_s = wall_s
        self._effects: tuple[Finding, ...] = ()
        self._effects_wall_s: int | None = None
        self.latest: AdviceSnapshot | None = None

    async def refresh(self) -> None:
        """Advise by everything up to this minute. Raises sqlite3.Error."""
        now_s = int(self._wall_s())
        fleet = self._fleet.current
        period = trailing(now_s // MINUTE_S * MINUTE_S)
        began = time.monotonic()
        if self._effects_wall_s is None or now_s - self._effects_wall_s >= EFFECTS_SECONDS:
            self._effects = await self._database.read(
                lambda connection: tuple(findings_on_changes(connection, fleet, now_s))
            )
            self._effects_wall_s = now_s
        effects = self._effects
        advice = await self._database.read(
            lambda connection: advice_of_period(connection, fleet, period, effects)
        )
        took_seconds = time.monotonic() - began
        self.latest = AdviceSnapshot(
            now_s,
            took_seconds,
            advice.period,
            advice.nodes,
            tuple(findings_of(advice.nodes)),
            advice.stories,
        )
