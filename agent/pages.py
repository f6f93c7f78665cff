"""The agent's HTTP server: /metrics by content negotiation, health, the configuration, reload, and a page for people."""

import asyncio
import gzip
import html
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder, generate_latest, gzip_accepted

from agent import __version__, host_exposition, kernel_exposition, protobuf
from agent.clock import NS
from agent.config import Config, without_secrets
from agent.exporter import AgentCollector, View


@dataclass(frozen=True, slots=True)
class Controls:
    """What a request may see and ask of the running agent. reload: None when done, else what is wrong."""

    config: Callable[[], Config]
    reload: Callable[[], Awaitable[str | None]]


class Pages:
    """What one agent serves."""

    def __init__(self, view: View, telemetry_path: str, controls: Controls) -> None:
        self._view = view
        self._telemetry_path = telemetry_path
        self._controls = controls
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(AgentCollector(view))
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)

    def application(self) -> web.Application:
        """With every path."""
        app = web.Application(client_max_size=4096)
        app.add_routes(
            [
                web.get("/", self.get_landing),
                web.get(self._telemetry_path, self.get_metrics),
                web.get("/config", self.get_config),
                web.get("/-/healthy", self.get_healthy),
                web.get("/-/ready", self.get_ready),
                web.post("/-/reload", self.post_reload),
            ]
        )
        return app

    async def get_metrics(self, request: web.Request) -> web.Response:
        """Text 0.0.4, OpenMetrics or protobuf, as the scraper asks; gzip where it takes it."""
        view, accept = self._view, request.headers.get("Accept", "")
        if protobuf.is_preferred(accept):
            text = (_rendered(view, openmetrics=False) + generate_latest(self._registry)).decode()
            native = view.exposition.buckets(view.ledger.totals, view.runner.delays)
            body = await asyncio.to_thread(protobuf.delimited, text, native)
            content_type = protobuf.CONTENT_TYPE
        else:
            encode, content_type = choose_encoder(accept)
            openmetrics = content_type.startswith("application/openmetrics-text")
            body = _rendered(view, openmetrics=openmetrics) + encode(self._registry)
        headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
        if gzip_accepted(request.headers.get("Accept-Encoding", "")):
            body = await asyncio.to_thread(gzip.compress, body, 1)
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=body, headers=headers)

    async def get_healthy(self, _request: web.Request) -> web.Response:
        """200 while the loop turns."""
        return web.Response(text="Healthy\n")

    async def get_ready(self, _request: web.Request) -> web.Response:
        """503 until there is a result."""
        if not self._view.ready:
            return web.Response(status=503, text="No result yet\n")
        return web.Response(text="Ready\n")

    async def get_landing(self, _request: web.Request) -> web.Response:
        """For people."""
        return web.Response(text=_landing_page(self._view, self._telemetry_path), content_type="text/html")

    async def get_config(self, _request: web.Request) -> web.Response:
        """The configuration in force as JSON, without secrets."""
        shown = msgspec.json.format(msgspec.json.encode(without_secrets(self._controls.config())), indent=2)
        return web.Response(body=shown + b"\n", content_type="application/json")

    async def post_reload(self, _request: web.Request) -> web.Response:
        """As SIGHUP; 400 with the reason when the files are wrong and nothing changed."""
        problem = await self._controls.reload()
        if problem is not None:
            return web.Response(status=400, text=f"{problem}\n")
        return web.Response(text="Reloaded\n")


def _rendered(view: View, *, openmetrics: bool) -> bytes:
    """Every family but those of the registry."""
    page = view.exposition.render(
        view.ledger.totals, view.assignment.peers, view.runner.delays, openmetrics=openmetrics
    )
    if view.passive is None:
        return page
    page += kernel_exposition.render(
        view.passive.tcp,
        view.passive.sockets,
        {peer.name for peer in view.assignment.peers},
        [group.name for group in view.passive.own_groups],
        openmetrics=openmetrics,
    )
    if view.passive.host is not None:
        page += host_exposition.render(view.passive.host, openmetrics=openmetrics)
    return page


_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Lightfloor agent {node}</title>
<meta name="viewport" content="width=device-width">
<style>body{{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}}
table{{border-collapse:collapse}}td,th{{padding:.15rem .9rem .15rem 0;text-align:left;font-variant-numeric:tabular-nums}}</style>
<h1>Lightfloor agent {node}</h1><p>Version {version}, {peers} peers.
<a href="{telemetry}">Metrics</a> · <a href="/config">Configuration</a> · <a href="/-/healthy">Health</a> · <a href="/-/ready">Readiness</a></p>
<h2>Paths</h2>{paths}<h2>Latest probes without an answer</h2>{misses}</html>"""


def _landing_page(view: View, telemetry_path: str) -> str:
    paths = []
    for series, tally in sorted(view.ledger.totals.items()):
        p50, p99 = tally.rtt.quantile_ns(0.5), tally.rtt.quantile_ns(0.99)
        ended = ", ".join(f"{count} {outcome}" for outcome, count in tally.outcomes.items()) or "none yet"
        paths.append((series.destination, series.probe, series.family, _ms(p50), _ms(p99), ended))
    misses = [
        (datetime.fromtimestamp(miss.wall_ns / NS, UTC).strftime("%Y-%m-%d %H:%M:%SZ"), miss.series.destination,
         miss.series.probe, miss.series.family, miss.sample.outcome, miss.sample.detail)
        for miss in reversed(view.runner.misses)
    ]  # fmt: skip
    return _PAGE.format(
        node=html.escape(view.assignment.node),
        version=__version__,
        peers=len(view.assignment.peers),
        telemetry=html.escape(telemetry_path),
        paths=_table(("to", "probe", "family", "P50", "P99", "outcomes since start"), paths),
        misses=_table(("time", "to", "probe", "family", "outcome", "why"), misses),
    )


def _ms(value_ns: float | None) -> str:
    return "–" if value_ns is None else f"{value_ns / 1e6:.3f} ms"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    def line(cells: Iterable[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f"<table>{line(head, 'th')}{body}</table>" if body else "<p>None.</p>"
