"""GET /v1/audit: which stated locations cannot be true, by what was measured."""

import sqlite3

import msgspec

from collector.api.operation import Operation, Parameters, get
from collector.api.paths import Time, period_of
from collector.audit import Audit, audit, pairs_measured
from collector.fleet import Fleet
from collector.live import LiveFleet
from collector.questions import Questions
from collector.standing import standing_of_period
from collector.store.tiers import Period


class AuditParameters(Parameters, frozen=True, kw_only=True):
    """By default the last 30 days."""

    start: Time = msgspec.field(default="-30d", name="from")
    end: Time | None = msgspec.field(default=None, name="to")


class AuditApi:
    """As the command `audit`, of the fleet file in force."""

    def __init__(self, questions: Questions, fleet: LiveFleet) -> None:
        self._questions = questions
        self._fleet = fleet

    def operations(self) -> list[Operation]:
        """For the API."""
        return [
            get(
                "/v1/audit",
                "Servers that are not where they are said to be",
                AuditParameters,
                Audit,
                self.audit,
            )
        ]

    async def audit(self, asked: AuditParameters) -> Audit:
        """pairs 0 where nothing was measured between nodes with known places. Raises ProblemError."""
        period, fleet = period_of(asked.start, asked.end, self._questions.now_s()), self._fleet.current
        return await self._questions.ask(lambda connection: _audited(connection, fleet, period))


def _audited(connection: sqlite3.Connection, fleet: Fleet, period: Period) -> Audit:
    """In the reader's thread: a large fleet's audit is seconds of arithmetic."""
    return audit(*pairs_measured(fleet, standing_of_period(connection, fleet, period).rows))
