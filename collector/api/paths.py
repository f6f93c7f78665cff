"""GET /v1/sla and GET /v1/paths/…: how every path stands, and one path over time."""

from typing import Annotated

import msgspec

from agent.wire.series import Name
from collector.api.operation import Operation, Paging, Parameters, get
from collector.live import LiveFleet, LiveStanding
from collector.period import parse_period
from collector.problem import ProblemError
from collector.questions import Questions
from collector.standing import PathStanding, standing_of_period
from collector.store.tiers import Period
from collector.timeline import PathTimeline, timeline_of_path

Time = Annotated[
    str,
    msgspec.Meta(
        description="ISO 8601, UTC where it has no offset; or how long ago: -90m, -24h, -30d, -4w; or now",
        extra_json_schema={"pattern": r"^(now|-[0-9]{1,6}[mhdw]|[0-9]{4}-[0-9]{2}-[0-9]{2}.*)$"},
    ),
]
"""Text that collector.period.parse_time takes; it has better words for what is wrong than a pattern."""


class SlaParameters(Paging, frozen=True, kw_only=True):
    """GET /v1/sla; by default what the page shows: 24 hours, judged at most a minute ago."""

    start: Time | None = msgspec.field(default=None, name="from")
    end: Time | None = msgspec.field(default=None, name="to")


class PathParameters(Parameters, frozen=True, kw_only=True):
    """GET /v1/paths/{source}/{destination}; by default the last 24 hours."""

    source: Name
    destination: Name
    start: Time | None = msgspec.field(default=None, name="from")
    end: Time | None = msgspec.field(default=None, name="to")


class PathsApi:
    """Answers from the store, by the fleet file in force."""

    def __init__(self, questions: Questions, fleet: LiveFleet, standing: LiveStanding) -> None:
        self._questions = questions
        self._fleet = fleet
        self._standing = standing

    def operations(self) -> list[Operation]:
        """For the API."""
        return [
            get(
                "/v1/sla",
                "How every path stands over a period, as `sla --json`",
                SlaParameters,
                list[PathStanding],
                self.sla,
            ),
            get(
                "/v1/paths/{source}/{destination}",
                "One path over time: what its page shows",
                PathParameters,
                PathTimeline,
                self.path,
                {404: "no such path is in the fleet file or was measured in the period"},
            ),
        ]

    async def sla(self, asked: SlaParameters) -> tuple[PathStanding, ...]:
        """Rows in order of source, destination, probe and family. Raises ProblemError.

        Without a period nothing is judged anew: whoever polls gets the same answer, and its pages fit each other.
        """
        judged = self._standing.latest
        if asked.start is None and asked.end is None and judged is not None:
            return judged.standing.rows
        period, fleet = period_of(asked.start, asked.end, self._questions.now_s()), self._fleet.current
        standing = await self._questions.ask(lambda connection: standing_of_period(connection, fleet, period))
        return standing.rows

    async def path(self, asked: PathParameters) -> PathTimeline:
        """Raises ProblemError, also for a path of nodes that nobody knows."""
        period, fleet = period_of(asked.start, asked.end, self._questions.now_s()), self._fleet.current
        ends = asked.source, asked.destination
        timeline = await self._questions.ask(
            lambda connection: timeline_of_path(connection, fleet, period, *ends)
        )
        if not timeline.standing and not {*ends} <= fleet.nodes.keys():
            raise ProblemError(
                404,
                f"no path from {ends[0]} to {ends[1]} is in the fleet file or was measured in this period",
            )
        return timeline


def period_of(start: str | None, end: str | None, now_s: int) -> Period:
    """The period that is asked about. Raises ProblemError, 400."""
    try:
        return parse_period(start, end, now_s)
    except ValueError as error:
        raise ProblemError(400, str(error)) from error
