"""GET /v1/incidents, /v1/incidents/ID and /v1/steps: what went wrong, each with its one cause."""

from typing import Annotated, Literal

import msgspec

from collector.api.operation import Operation, Paging, Parameters, get
from collector.api.paths import Time, period_of
from collector.incidents.incident import Incident
from collector.incidents.listing import IncidentLine, line_of
from collector.incidents.record import Found, stored_in_period
from collector.incidents.steps import Step, steps_of_period
from collector.live import LiveFleet
from collector.problem import ProblemError
from collector.questions import Questions
from collector.store.tiers import Period


class IncidentsParameters(Paging, frozen=True, kw_only=True):
    """By default what touches the last 24 hours. excused: what announced work explains, in place of incidents."""

    start: Time | None = msgspec.field(default=None, name="from")
    end: Time | None = msgspec.field(default=None, name="to")
    excused: Literal["0", "1"] = "0"


class StepsParameters(Parameters, frozen=True, kw_only=True):
    """By default the last 24 hours."""

    start: Time | None = msgspec.field(default=None, name="from")
    end: Time | None = msgspec.field(default=None, name="to")


class IncidentParameters(Parameters, frozen=True, kw_only=True):
    """One incident, by its id or by that of one of its occurrences."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class IncidentsApi:
    """Answers from what the collector has judged and stored."""

    def __init__(self, questions: Questions, fleet: LiveFleet) -> None:
        self._questions = questions
        self._fleet = fleet

    def operations(self) -> list[Operation]:
        """For the API."""
        return [
            get(
                "/v1/incidents",
                "What went wrong in a period",
                IncidentsParameters,
                list[IncidentLine],
                self.within,
            ),
            get(
                "/v1/incidents/{id}",
                "All that is known of one incident; times in Unix seconds",
                IncidentParameters,
                Incident,
                self.one,
                {404: "there is no such incident"},
            ),
            get(
                "/v1/steps",
                "Where the fastest round trips became longer or shorter: routes that changed, machines that moved",
                StepsParameters,
                list[Step],
                self.steps,
            ),
        ]

    async def within(self, asked: IncidentsParameters) -> list[IncidentLine]:
        """In order of start. Raises ProblemError."""
        period = period_of(asked.start, asked.end, self._questions.now_s())
        found = await self._found(period)
        return [line_of(each) for each in (found.excused if asked.excused == "1" else found.incidents)]

    async def one(self, asked: IncidentParameters) -> Incident:
        """Raises ProblemError."""
        found = await self._found(Period(0, 2**40))
        incident = found.named(asked.id)
        if incident is None:
            raise ProblemError(404, f"no incident is called {asked.id}; GET /v1/incidents lists")
        return incident

    async def steps(self, asked: StepsParameters) -> list[Step]:
        """In order of time. Raises ProblemError."""
        period, fleet = period_of(asked.start, asked.end, self._questions.now_s()), self._fleet.current
        return await self._questions.ask(lambda connection: steps_of_period(connection, fleet, period))

    async def _found(self, period: Period) -> Found:
        fleet = self._fleet.current
        return await self._questions.ask(lambda connection: stored_in_period(connection, fleet, period))
