"""The pages of the incidents, and their marks on the page of a path."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from urllib.parse import urlencode

from aiohttp import web

from collector import chart
from collector.incidents.incident import Incident
from collector.incidents.listing import line_of
from collector.incidents.record import Found, stored_in_period
from collector.incidents.steps import steps_of_period
from collector.incidents.words import also_words, cause_words, magnitude_words, step_in_a_line
from collector.live import LiveFleet
from collector.period import utc
from collector.questions import Questions
from collector.store.schema import DAY_S
from collector.store.tiers import Period
from collector.timeline import PathTimeline

EVER = Period(0, 2**40)
LONGEST_FOR_STEPS_S = 8 * DAY_S
"""Steps are sought anew for each view: a month of them is a question for the command."""


class IncidentPages:
    """What went wrong in a period, and all that is known of one incident.

    page: renders a template by name; period_of: what a request asks about, as on the other pages, or ValueError.
    """

    def __init__(
        self,
        questions: Questions,
        fleet: LiveFleet,
        page: Callable[..., Awaitable[web.Response]],
        period_of: Callable[[web.Request], tuple[Period, str | None]],
    ) -> None:
        self._questions = questions
        self._fleet = fleet
        self._page = page
        self._period_of = period_of

    def routes(self) -> list[web.RouteDef]:
        """For web.Application.add_routes."""
        return [web.get("/incidents", self.get_incidents), web.get("/incident/{name}", self.get_incident)]

    async def get_incidents(self, request: web.Request) -> web.Response:
        """By default the last 24 hours."""
        try:
            period, chosen = self._period_of(request)
        except ValueError as error:
            return await self._page("wrong.html.jinja", status=400, problem=str(error))
        found = await self._found(period)
        fleet, steps = self._fleet.current, []
        if period.end_s - period.start_s <= LONGEST_FOR_STEPS_S:
            steps = await self._questions.ask(lambda connection: steps_of_period(connection, fleet, period))
        return await self._page(
            "incidents.html.jinja",
            period=period,
            chosen=chosen,
            query=urlencode({"from": utc(period.start_s), "to": utc(period.end_s)}),
            incidents=[line_of(each) for each in found.incidents],
            excused=[line_of(each) for each in found.excused],
            steps=[(each.time, step_in_a_line(each)) for each in steps],
        )

    async def get_incident(self, request: web.Request) -> web.Response:
        """By its id, or that of one of its occurrences."""
        name = request.match_info["name"]
        found = await self._found(EVER)
        incident = found.named(name)
        if incident is None:
            return await self._page("wrong.html.jinja", status=404, problem=f"no incident is called {name}")
        return await self._page(
            "incident.html.jinja",
            incident=incident,
            line=line_of(incident),
            cause=cause_words(incident.cause),
            also=also_words(incident.cause),
            magnitude=magnitude_words(incident),
        )

    async def _found(self, period: Period) -> Found:
        fleet = self._fleet.current
        return await self._questions.ask(lambda connection: stored_in_period(connection, fleet, period))


def marks_of(incidents: Iterable[Incident], path: PathTimeline) -> tuple[chart.Bar, ...]:
    """Every occurrence on the time axis of the path's charts."""
    start_s, end_s = (
        int(datetime.fromisoformat(at).timestamp()) for at in (path.period_start, path.period_end)
    )
    spans = [
        (occurrence.start_s, occurrence.end_s, cause_words(each.cause))
        for each in incidents
        for occurrence in each.occurrences
    ]
    return chart.spans_of(spans, start_s, end_s)
