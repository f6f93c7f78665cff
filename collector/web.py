"""Pages for people. Nothing here needs JavaScript; each page names its JSON twin in collector.api."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from importlib import resources
from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from agent import __version__
from agent.advice.finding import LANGUAGES, WORST_FIRST, Finding, Severity, change_text, undo_text
from agent.wire.series import TimeSource
from collector import chart
from collector.advice.causes import named
from collector.advice.fleet import remarks_of
from collector.budget import PathBudget, State
from collector.incident_pages import IncidentPages, marks_of
from collector.incidents.listing import line_of
from collector.incidents.live import LiveIncidents
from collector.incidents.record import incidents_of_path
from collector.live import LiveFleet, LiveStanding
from collector.live_advice import LiveAdvice
from collector.matrix import MARKS, MEANINGS, SEVERITY, TONE_STEPS, matrix_of
from collector.period import DEFAULT_SECONDS, parse_period, trailing, utc
from collector.questions import Questions
from collector.standing import PathStanding
from collector.store.nodes import NodeStatus
from collector.store.schema import MINUTE_S
from collector.store.tiers import Period
from collector.timeline import PathTimeline, timeline_of_path

TIME_SOURCES = {
    TimeSource.TCP_INFO: "timed by the source's kernel from SYN to SYN-ACK (TCP_INFO)",
    TimeSource.KERNEL: "timed by kernel timestamps at the source's socket",
    TimeSource.USER: "timed in the agent's own process around a system call",
    TimeSource.NONE: "with no clock: nothing was timed",
}

ASSETS = {"style.css": "text/css", "icon.svg": "image/svg+xml"}
SILENT_SECONDS = 300
"""A node without a batch for this long is listed as silent: agents send one every minute."""
DENSE_NODES = 24
"""From so many nodes on, cells are small and column heads turned."""
MOST_FINDINGS = 200
"""On one page; the API has all of them."""
RANGES = {"1h": 3600, "24h": 86400, "7d": 7 * 86400, "30d": 30 * 86400}


class Pages:
    """The page of the mesh, of a path, of findings, of the incidents and of one incident."""

    def __init__(
        self,
        questions: Questions,
        fleet: LiveFleet,
        standing: LiveStanding,
        advice: LiveAdvice,
        incidents: LiveIncidents,
    ) -> None:
        self._questions = questions
        self._fleet = fleet
        self._standing = standing
        self._advice = advice
        self._incidents = incidents
        self._templates = Environment(
            loader=PackageLoader("collector"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(FILTERS)
        self._templates.globals.update(
            marks=MARKS,
            meanings=MEANINGS,
            version=__version__,
            geometry=chart,
            ranges=RANGES,
            change_text=change_text,
            undo_text=undo_text,
            named=named,
        )
        folder = resources.files("collector") / "templates"
        self._assets = {name: (folder / name).read_bytes() for name in ASSETS}

    def routes(self) -> list[web.RouteDef]:
        """For web.Application.add_routes."""
        return [
            web.get("/", self.get_mesh),
            web.get("/path/{source}/{destination}", self.get_path),
            web.get("/findings", self.get_findings),
            *IncidentPages(self._questions, self._fleet, self._page, self._period_of).routes(),
            web.get("/assets/{name}", self.get_asset),
        ]

    async def get_mesh(self, request: web.Request) -> web.Response:
        """The matrix of the last 24 hours."""
        snapshot = self._standing.latest
        if snapshot is None:
            return await self._page("starting.html.jinja", status=503)
        fleet = self._fleet.current
        probe, family = request.query.get("probe"), request.query.get("family")
        matrix = matrix_of(snapshot.standing.rows, fleet, probe, family)
        quiet = [node for node in snapshot.nodes if _is_silent(node, snapshot.wall_s)]
        known = {node.name for node in snapshot.nodes if node.last_batch_s is not None}
        return await self._page(
            "mesh.html.jinja",
            matrix=matrix,
            snapshot=snapshot,
            probe=probe,
            family=family,
            silent=quiet,
            advised=_by_severity(self._advice.latest.findings) if self._advice.latest else {},
            burning=[budget for budget in snapshot.budgets if budget.burning],
            unheard=[
                budget
                for budget in snapshot.budgets
                if budget.state is State.SILENT and budget.source in known - {node.name for node in quiet}
            ],
            never=sorted({*fleet.agents} - known),
            dense=len(matrix.heads) >= DENSE_NODES,
            severity=SEVERITY,
            tone_steps=TONE_STEPS,
            incidents=[line_of(each) for each in self._incidents.latest.incidents],
        )

    async def get_path(self, request: web.Request) -> web.Response:
        """One path over a period, by default the last 24 hours."""
        try:
            period, chosen = self._period_of(request)
        except ValueError as error:
            return await self._page("wrong.html.jinja", status=400, problem=str(error))
        source, destination = request.match_info["source"], request.match_info["destination"]
        fleet = self._fleet.current
        timeline = await self._questions.ask(
            lambda connection: timeline_of_path(connection, fleet, period, source, destination)
        )
        own = await self._questions.ask(
            lambda connection: incidents_of_path(connection, fleet, period, source, destination)
        )
        nodes = fleet.nodes
        if not timeline.standing and not {source, destination} <= nodes.keys():
            problem = (
                f"no path from {source} to {destination} is in the fleet file or was measured in this period"
            )
            return await self._page("wrong.html.jinja", status=404, problem=problem)
        return await self._page(
            "path.html.jinja",
            path=timeline,
            charts=_charts(timeline),
            advised=self._advised(source, destination),
            budgets=self._budgets(source, destination),
            outcomes=[_outcomes(timeline, row) for row in timeline.standing],
            time_sources=TIME_SOURCES,
            chosen=chosen,
            query=urlencode({"from": timeline.period_start, "to": timeline.period_end}),
            sites={name: nodes[name] for name in (source, destination) if name in nodes},
            incidents=[line_of(each) for each in own],
            marks_of_incidents=marks_of(own, timeline),
        )

    async def get_findings(self, request: web.Request) -> web.Response:
        """What is advised now, of one node with ?node=; ?lang=zh in Chinese."""
        snapshot = self._advice.latest
        if snapshot is None:
            return await self._page("starting.html.jinja", status=503)
        node, language = request.query.get("node"), request.query.get("lang", "en")
        if language not in LANGUAGES:
            problem = f"lang is one of {', '.join(LANGUAGES)}, not {language!r}"
            return await self._page("wrong.html.jinja", status=400, problem=problem)
        findings = [finding for finding in snapshot.findings if node in (None, finding.node)]
        shown = findings if node else [each for each in findings if each.severity is not Severity.INFO]
        return await self._page(
            "findings.html.jinja",
            snapshot=snapshot,
            findings=shown[:MOST_FINDINGS],
            hidden=len(shown[MOST_FINDINGS:]),
            remarks={} if node else remarks_of(findings),
            stories=[story for story in snapshot.stories if node in (None, story.node)][:MOST_FINDINGS],
            counts=_by_severity(findings),
            node=node,
            language=language,
        )

    def _budgets(self, source: str, destination: str) -> list[PathBudget]:
        """As last judged: a minute ago at most."""
        latest = self._standing.latest
        return (
            [b for b in latest.budgets if (b.source, b.destination) == (source, destination)]
            if latest
            else []
        )

    def _advised(self, source: str, destination: str) -> list[Finding]:
        """What the latest advice has on this path, at its source."""
        latest = self._advice.latest
        found = latest.findings if latest else ()
        return [each for each in found if each.node == source and destination in each.subjects]

    async def get_asset(self, request: web.Request) -> web.Response:
        """The style sheet and the icon."""
        name = request.match_info["name"]
        if name not in ASSETS:
            raise web.HTTPNotFound
        headers = {"Cache-Control": "max-age=3600"}
        return web.Response(body=self._assets[name], content_type=ASSETS[name], headers=headers)

    def _period_of(self, request: web.Request) -> tuple[Period, str | None]:
        """?range= names one of RANGES, ?from= and ?to= any period; and the range that was chosen, if one was."""
        start, end, chosen = (request.query.get(name) for name in ("from", "to", "range"))
        now_s = self._questions.now_s()
        if start or end:
            return parse_period(start, end, now_s), None
        chosen = chosen or "24h"
        if chosen not in RANGES:
            raise ValueError(f"range is one of {', '.join(RANGES)}, not {chosen!r}")
        minute = now_s // MINUTE_S * MINUTE_S
        if RANGES[chosen] < DEFAULT_SECONDS:
            return Period(minute - RANGES[chosen], minute), chosen
        return trailing(minute, RANGES[chosen]), chosen

    async def _page(self, name: str, status: int = 200, **values: Any) -> web.Response:
        """Rendered in a thread: a hundred nodes make ten thousand cells."""
        template = self._templates.get_template(name)
        text = await asyncio.to_thread(template.render, **values)
        response = web.Response(text=text, content_type="text/html", status=status)
        response.headers["Cache-Control"] = "no-cache"
        response.enable_compression()
        return response


def _charts(path: PathTimeline) -> list[chart.Chart | None]:
    """One for each of the path's series, with the limits of the standing that belongs to it."""
    start_s, end_s = (
        int(datetime.fromisoformat(at).timestamp()) for at in (path.period_start, path.period_end)
    )
    limits = {(row.probe, row.family): row for row in path.standing}
    charts = []
    for series in path.series:
        row = limits.get((series.probe, series.family))
        floor, limit = (row.floor_seconds, row.limit_seconds) if row else (None, None)
        charts.append(chart.chart_of(series.points, start_s, end_s, path.step_seconds, floor, limit))
    return charts


def _outcomes(path: PathTimeline, row: PathStanding) -> dict[str, int]:
    """How the probes of one row ended, over all its points, most frequent first."""
    total: Counter[str] = Counter()
    for series in path.series:
        if (series.probe, series.family, series.time_source) == (row.probe, row.family, row.time_source):
            for point in series.points:
                total.update(point.outcomes)
    return dict(total.most_common())


def _by_severity(findings: Iterable[Finding]) -> dict[str, int]:
    """How many of each severity there are, worst first."""
    counts = Counter(finding.severity for finding in findings)
    return {severity.value: counts[severity] for severity in WORST_FIRST if counts[severity]}


def _is_silent(node: NodeStatus, now_s: int) -> bool:
    return node.enrolled and node.last_batch_s is not None and now_s - node.last_batch_s > SILENT_SECONDS


def _ms(seconds: float | None) -> str:
    return "–" if seconds is None else chart.milliseconds(seconds)


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _percent(ratio: float | None) -> str:
    if ratio is None:
        return "–"
    return "0 %" if ratio == 0 else f"{100 * ratio:.3g} %"


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _minute(at: str | int | None) -> str:
    """A time in UTC to the minute."""
    if at is None:
        return "never"
    moment = datetime.fromtimestamp(at, UTC) if isinstance(at, int) else datetime.fromisoformat(at)
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _words(name: str) -> str:
    return name.replace("_", " ").lower()


FILTERS: dict[str, Callable[..., str]] = {
    "ms": _ms,
    "number": _number,
    "percent": _percent,
    "count": _count,
    "minute": _minute,
    "words": _words,
    "minute_of_query": utc,
}
