"""GET /v1/budget: error budget, burn rates and silence of every path, now."""

from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec

from agent.wire.series import Name
from collector.api.operation import Operation, Paging, get
from collector.budget import PathBudget
from collector.budgets import budgets_now
from collector.live import LiveFleet
from collector.period import zone_named
from collector.problem import ProblemError
from collector.questions import Questions


class BudgetParameters(Paging, frozen=True, kw_only=True):
    """Of all paths, or of one where source and destination are given."""

    tz: (
        Annotated[str, msgspec.Meta(max_length=64, description="IANA time zone of the calendar month")] | None
    ) = None
    source: Name | None = None
    destination: Name | None = None


class BudgetApi:
    """zone: of the calendar month where the request names none."""

    def __init__(self, questions: Questions, fleet: LiveFleet, zone: ZoneInfo) -> None:
        self._questions = questions
        self._fleet = fleet
        self._zone = zone

    def operations(self) -> list[Operation]:
        """For the API."""
        return [
            get(
                "/v1/budget",
                "Error budget (30 days, calendar month), burn rates and silence of every path, now",
                BudgetParameters,
                list[PathBudget],
                self.budgets,
            )
        ]

    async def budgets(self, asked: BudgetParameters) -> tuple[PathBudget, ...]:
        """In order of source, destination, probe and family. Raises ProblemError."""
        if (asked.source is None) != (asked.destination is None):
            raise ProblemError(400, "source and destination are given together or not at all")
        path = (asked.source, asked.destination) if asked.source and asked.destination else None
        try:
            zone = self._zone if asked.tz is None else zone_named(asked.tz)
        except ValueError as error:
            raise ProblemError(400, f"tz: {error}") from error
        fleet, now_s = self._fleet.current, self._questions.now_s()
        return await self._questions.ask(lambda connection: budgets_now(connection, fleet, now_s, zone, path))
