"""The composition root of `serve`: the only module that knows every part of the running collector."""

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from agent import __version__
from agent.web.guard import Guard
from agent.web.listen import inherited_sockets, listening_socket
from agent.web.server import WebServer
from collector import systemd
from collector.api.audit import AuditApi
from collector.api.budget import BudgetApi
from collector.api.findings import FindingsApi
from collector.api.incidents import IncidentsApi
from collector.api.maintenance import MaintenanceApi
from collector.api.nodes import NodesApi
from collector.api.operation import Access, Operation
from collector.api.paths import PathsApi
from collector.api.reports import ReportsApi
from collector.api.routes import api_routes
from collector.config import CollectorConfig, Server
from collector.discovery import Discovery
from collector.exporter import Exporter
from collector.incidents.live import LiveIncidents
from collector.incidents.metrics import IncidentMetrics
from collector.ingest import Ingest
from collector.joining.routes import Joining
from collector.leasing import LeaseDesk
from collector.live import LiveFleet, LiveStanding
from collector.live_advice import LiveAdvice
from collector.logs import AccessLogger
from collector.problem import ProblemError, error_response
from collector.questions import Questions
from collector.store.database import Database
from collector.store.retention import Retention
from collector.store.schema import DAY_S
from collector.web import Pages

LOG = logging.getLogger("collector.app")

JUDGE_SECONDS = 60.0
ADVISE_SECONDS = 600.0
"""Facts and settings change rarely, and every rule looks at a day."""
EXPIRE_SECONDS = 3600.0
SHUTDOWN_SECONDS = 5.0
SMALL_BODY_BYTES = 65_536
"""For every request but a batch, which bounds its own body."""

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True, slots=True)
class Parts:
    """What runs, joined together."""

    database: Database
    fleet: LiveFleet
    standing: LiveStanding
    advice: LiveAdvice
    incidents: LiveIncidents
    leases: LeaseDesk
    application: web.Application
    server: WebServer

    async def reload(self) -> str | None:
        """Read the fleet file and the web configuration again; None, or what is wrong with either."""
        fleet_problem = await self.fleet.reload()
        if fleet_problem is None:
            await self.standing.refresh()
        return fleet_problem or await self.server.reload()


async def serve(config: CollectorConfig, *, systemd_socket: bool = False) -> None:
    """Run until SIGTERM or SIGINT. Raises ConfigError, StoreError, OSError before it listens."""
    stop, hangup = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number, event in ((signal.SIGTERM, stop), (signal.SIGINT, stop), (signal.SIGHUP, hangup)):
        loop.add_signal_handler(number, event.set)
    async with running(config, systemd_socket=systemd_socket) as (parts, addresses):
        reloading = asyncio.create_task(_reload_at_each(hangup, parts))
        LOG.info("collector started", extra={"version": __version__, "addresses": ", ".join(addresses)})
        systemd.notify("READY=1")
        await stop.wait()
        reloading.cancel()
        systemd.notify("STOPPING=1")
        LOG.info("collector stopping")


@asynccontextmanager
async def running(
    config: CollectorConfig, *, systemd_socket: bool = False
) -> AsyncIterator[tuple[Parts, list[str]]]:
    """The whole collector, listening; yields its parts and where it listens. Stops in order on the way out."""
    parts = assemble(config)
    runner = web.AppRunner(
        parts.application,
        auto_decompress=False,  # a batch's body is bounded before and after decompression: ingest.py
        access_log_class=AccessLogger,
        shutdown_timeout=SHUTDOWN_SECONDS,
    )
    tasks: list[asyncio.Task[None]] = []
    try:
        await parts.server.start(runner, inherited_sockets() if systemd_socket else _sockets(config.server))
        addresses = [f"{host}:{port}" for host, port in parts.server.addresses]
        tasks += [asyncio.create_task(work) for work in _background(parts)]
        yield parts, addresses
    finally:
        await parts.server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(parts.database.close)


def assemble(config: CollectorConfig) -> Parts:
    """Every part, not yet listening. Raises ConfigError, StoreError."""
    fleet = LiveFleet(Path(config.fleet.path))
    web_file = config.server.web_config_file
    guard = Guard(config.server.web_config, None if web_file is None else Path(web_file), insist=False)
    days = config.store.retention_days
    keep = Retention(days.minute * DAY_S, days.hour * DAY_S, days.day * DAY_S)
    database = Database(Path(config.store.path), keep, time.time)
    standing = LiveStanding(database, fleet, time.time, ZoneInfo(config.budget.time_zone))
    incidents = LiveIncidents(database, fleet, time.time)
    ingest = Ingest(
        database,
        fleet.assignment,
        body_bytes=config.limits.body_bytes,
        decompressed_bytes=config.limits.decompressed_bytes,
    )
    leases = LeaseDesk(database, lambda: fleet.current, time.time)
    advice = LiveAdvice(database, fleet, time.time)
    exporter = Exporter(database, fleet, standing, ingest, leases, advice, guard)
    exporter.add(IncidentMetrics(incidents))
    questions = Questions(database)
    pages = Pages(questions, fleet, standing, advice, incidents)
    operations = [
        *ingest.operations(),
        *leases.operations(),
        *_operations(config, database, fleet, questions, standing, advice),
    ]
    application = web.Application(middlewares=[_errors, _headers], client_max_size=SMALL_BODY_BYTES)
    guard.install(application, _exempt(operations))
    parts = Parts(database, fleet, standing, advice, incidents, leases, application, WebServer(guard))
    application.add_routes(
        [
            *exporter.routes(),
            *pages.routes(),
            *_health(parts, config),
            *api_routes(operations),
        ]
    )
    return parts


def _operations(
    config: CollectorConfig,
    database: Database,
    fleet: LiveFleet,
    questions: Questions,
    standing: LiveStanding,
    advice: LiveAdvice,
) -> Iterator[Operation]:
    """The API, but for what the agents ask."""
    reports = config.reports.directory
    yield from PathsApi(questions, fleet, standing).operations()
    yield from BudgetApi(questions, fleet, ZoneInfo(config.budget.time_zone)).operations()
    yield from MaintenanceApi(database, fleet).operations()
    yield from FindingsApi(advice).operations()
    yield from IncidentsApi(questions, fleet).operations()
    yield from NodesApi(questions, fleet).operations()
    yield from AuditApi(questions, fleet).operations()
    yield from ReportsApi(None if reports is None else Path(reports)).operations()
    yield from Discovery(fleet).operations()
    yield from Joining(config.enroll).operations()


def _exempt(operations: Iterable[Operation]) -> Callable[[web.Request], bool]:
    """Requests that ask for another proof than the web configuration's, or for none: agents' and operators' by token."""
    exempt = {(each.method, each.path) for each in operations if each.access is not Access.WEB}

    def is_exempt(request: web.Request) -> bool:
        resource = request.match_info.route.resource
        return resource is not None and (request.method, resource.canonical) in exempt

    return is_exempt


def _sockets(server: Server) -> list[socket.socket]:
    try:
        return [listening_socket(server.address or None, server.port)]
    except OSError as error:
        code = error.errno or 0
        reason = os.strerror(code) if code > 0 else str(error)
        raise OSError(code, f"cannot listen on {server.address}:{server.port}: {reason}") from error


def _background(parts: Parts) -> list[Coroutine[Any, Any, None]]:
    async def judge() -> None:
        await parts.database.roll_up_due()
        await parts.standing.refresh()

    async def advise() -> None:
        await parts.advice.refresh()

    async def watch() -> None:
        await parts.incidents.refresh()

    async def expire() -> None:
        await parts.database.delete_expired()

    async def pulse() -> None:
        systemd.notify("WATCHDOG=1")

    work = [
        parts.server.run(),
        _every(JUDGE_SECONDS, judge),
        _every(JUDGE_SECONDS, watch),
        _every(ADVISE_SECONDS, advise),
        _every(EXPIRE_SECONDS, expire),
        parts.leases.run(),
    ]
    seconds = systemd.watchdog_seconds()
    return work if seconds is None else [*work, _every(seconds, pulse)]


async def _every(seconds: float, job: Callable[[], Awaitable[None]]) -> None:
    """Run the job now and again; a job that fails is reported and tried again next time."""
    while True:
        try:
            await job()
        except Exception:
            LOG.exception("background work failed", extra={"work": job.__name__})
        await asyncio.sleep(seconds)


async def _reload_at_each(hangup: asyncio.Event, parts: Parts) -> None:
    while True:
        await hangup.wait()
        hangup.clear()
        systemd.notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        await parts.reload()
        systemd.notify("READY=1")


def _health(parts: Parts, config: CollectorConfig) -> list[web.RouteDef]:
    """config holds names of files and no secret."""
    shown = msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n"

    async def healthy(_: web.Request) -> web.Response:
        return web.Response(text="healthy\n")

    async def ready(_: web.Request) -> web.Response:
        if parts.standing.latest is None:
            return web.Response(status=503, text="no path has been judged yet\n")
        return web.Response(text="ready\n")

    async def reload(_: web.Request) -> web.Response:
        problem = await parts.reload()
        if problem is not None:
            return error_response(400, problem)
        return web.json_response({"result": "reloaded"})

    async def in_force(_: web.Request) -> web.Response:
        return web.Response(body=shown, content_type="application/json")

    return [
        web.get("/config", in_force),
        web.get("/-/healthy", healthy),
        web.get("/-/ready", ready),
        web.post("/-/reload", reload),
    ]


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A problem document for programs; a bug's traceback goes to the log and never to a client."""
    try:
        return await handler(request)
    except ProblemError as error:
        return error_response(error.status, str(error))
    except web.HTTPException as error:
        if error.status < 400 or not request.path.startswith(("/v1/", "/-/")):
            raise
        response = error_response(error.status, f"{request.method} {request.path}: {error.reason}")
        for name in ("Allow", "Retry-After", "WWW-Authenticate"):
            if name in error.headers:
                response.headers[name] = error.headers[name]
        return response
    except Exception:
        LOG.exception("request failed", extra={"method": request.method, "path": request.path})
        return error_response(500, "a bug of the collector; its log has the details")


@web.middleware
async def _headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    response = await handler(request)
    response.headers.update(HEADERS)
    return response
