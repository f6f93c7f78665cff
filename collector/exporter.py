"""The collector's own /metrics: how every path stands, and how the collector itself does.

The path families are rendered once for each judgement, straight to text: prometheus-client needs about 10 µs a
line and there are a dozen lines a path. They are gauges, whose lines are the same in both formats.
"""

import asyncio
import gzip
from collections.abc import Callable, Iterable, Iterator

from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agent import __version__
from agent.web.guard import Guard
from collector.budget_exposition import path_labels, render_budgets
from collector.ingest import Ingest
from collector.leasing import LeaseDesk
from collector.live import LiveFleet, LiveStanding, Snapshot
from collector.live_advice import LiveAdvice
from collector.standing import PathStanding
from collector.store.database import Database
from collector.store.writer import StoreFullError

OPENMETRICS_END = b"# EOF\n"


PATH_GAUGES: tuple[tuple[str, str, Callable[[PathStanding], float | None]], ...] = (
    ("p50_seconds", "Median round trip.", lambda row: row.p50_seconds),
    ("p99_seconds", "99th percentile of the round trip.", lambda row: row.p99_seconds),
    ("floor_seconds", "Round trip of light in fibre over the great circle.", lambda row: row.floor_seconds),
    ("limit_seconds", "Round trip that the SLA allows.", lambda row: row.limit_seconds),
    ("ratio_to_floor", "P99 divided by the floor.", lambda row: row.ratio_to_floor),
    ("static_inflation", "Own minimum divided by the floor: the route.", lambda row: row.static_inflation),
    ("dynamic_inflation", "P99 divided by the own minimum: queueing.", lambda row: row.dynamic_inflation),
    (
        "objective_ratio",
        "Share of round trips that the SLA wants within the limit.",
        lambda row: None if row.sla_class is None else row.sla_class.objective,
    ),
    ("samples", "Round trips measured.", lambda row: row.samples),
    ("judged", "Round trips compared with a limit.", lambda row: row.proof.samples),
    ("over_limit", "Of these, the ones above it.", lambda row: row.over_limit),
    ("loss_ratio", "Probes lost divided by probes answered or lost.", lambda row: row.loss_ratio),
    ("availability_ratio", "Minutes with an answer divided by minutes probed.", lambda row: row.availability),
    (
        "excluded_seconds",
        "Time left out because the source host spoiled it.",
        lambda row: row.excluded_minutes * 60,
    ),
    ("maintenance_seconds", "Time left out as announced work.", lambda row: row.maintenance_minutes * 60),
)
"""Suffix after lightfloor_sla_, help, value; None gives no line."""


def render_paths(snapshot: Snapshot) -> bytes:
    """Every lightfloor_sla_ family as exposition text."""
    rows = list(_one_clock(snapshot.standing.rows))
    labels = [path_labels(row) for row in rows]
    lines: list[str] = []
    for suffix, text, value in PATH_GAUGES:
        name = f"lightfloor_sla_{suffix}"
        lines.append(f"# HELP {name} {text}\n# TYPE {name} gauge\n")
        for own, row in zip(labels, rows, strict=True):
            number = value(row)
            if number is not None:
                lines.append(f"{name}{{{own}}} {number!r}\n")
    name = "lightfloor_sla_verdict"
    lines.append(
        f"# HELP {name} 1 for the verdict that the path has; other verdicts are absent.\n# TYPE {name} gauge\n"
    )
    lines.extend(
        f'{name}{{{own},verdict="{row.verdict}"}} 1\n' for own, row in zip(labels, rows, strict=True)
    )
    lines.append(render_budgets(snapshot.budgets))
    return "".join(lines).encode()


def _one_clock(rows: Iterable[PathStanding]) -> Iterator[PathStanding]:
    """Of series that differ in nothing but their clock, the one with most samples: labels do not tell them apart."""
    best: dict[tuple[str, str, str, str], PathStanding] = {}
    for row in rows:
        key = (row.source, row.destination, row.probe, row.family)
        if key not in best or row.samples > best[key].samples:
            best[key] = row
    return iter(best.values())


class Exporter:
    """GET /metrics. Everything is rendered in a thread; path families once for each new judgement."""

    def __init__(
        self,
        database: Database,
        fleet: LiveFleet,
        standing: LiveStanding,
        ingest: Ingest,
        leases: LeaseDesk,
        advice: LiveAdvice,
        guard: Guard,
    ) -> None:
        self._standing = standing
        self._registry = CollectorRegistry()
        self._registry.register(_OwnMetrics(database, fleet, standing, ingest, leases, advice, guard))
        ProcessCollector(registry=self._registry)
        self._rendered: tuple[Snapshot, bytes] | None = None

    def add(self, families: Collector) -> None:
        """Families that another part of the collector brings."""
        self._registry.register(families)

    def routes(self) -> list[web.RouteDef]:
        """For web.Application.add_routes."""
        return [web.get("/metrics", self.get_metrics)]

    async def get_metrics(self, request: web.Request) -> web.Response:
        """Text format 0.0.4 or OpenMetrics, as the scraper asks; gzip where it takes it."""
        compress = "gzip" in request.headers.get("Accept-Encoding", "")
        body, content_type = await asyncio.to_thread(
            self._render, request.headers.get("Accept", ""), compress
        )
        headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
        if compress:
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=body, headers=headers)

    def _render(self, accept: str, compress: bool) -> tuple[bytes, str]:
        encode, content_type = choose_encoder(accept)
        own: bytes = encode(self._registry)
        end = OPENMETRICS_END if own.endswith(OPENMETRICS_END) else b""
        body = own.removesuffix(OPENMETRICS_END) + self._paths() + end
        return (gzip.compress(body, 1) if compress else body), content_type

    def _paths(self) -> bytes:
        snapshot = self._standing.latest
        if snapshot is None:
            return b""
        if self._rendered is None or self._rendered[0] is not snapshot:
            self._rendered = (snapshot, render_paths(snapshot))
        return self._rendered[1]


class _OwnMetrics:
    """Reads the state of the parts at each scrape; nothing else counts anything twice."""

    def __init__(
        self,
        database: Database,
        fleet: LiveFleet,
        standing: LiveStanding,
        ingest: Ingest,
        leases: LeaseDesk,
        advice: LiveAdvice,
        guard: Guard,
    ) -> None:
        self._database, self._fleet, self._standing, self._ingest = database, fleet, standing, ingest
        self._leases = leases
        self._advice = advice
        self._guard = guard

    def collect(self) -> Iterator[Metric]:
        build = GaugeMetricFamily("lightfloor_build_info", "1, with the version.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        yield self._of_fleet()
        yield from self._of_ingest()
        yield from self._of_leases()
        yield from self._of_store()
        yield from self._of_standing()
        yield from self._of_advice()
        yield _gauge(
            "lightfloor_config_last_reload_successful",
            "1 when fleet file and web configuration in force are those on disk as last read.",
            self._fleet.last_reload_ok and self._guard.problem is None,
        )
        expiry = GaugeMetricFamily(
            "lightfloor_web_certificate_expiry_timestamp_seconds",
            "When the certificate that the collector is served with expires; no sample without TLS.",
        )
        if self._guard.certificate_expires_s is not None:
            expiry.add_metric([], self._guard.certificate_expires_s)
        yield expiry
        yield _gauge(
            "lightfloor_config_last_reload_success_timestamp_seconds",
            "When the fleet file was last read well.",
            self._fleet.last_good_wall_s,
        )

    def _of_fleet(self) -> Metric:
        fleet = self._fleet.current
        info = GaugeMetricFamily(
            "lightfloor_node_info",
            "1, with what the fleet file says of a node; region is empty where its site has none.",
            labels=["node", "provider", "site", "region"],
        )
        for name, node in sorted(fleet.nodes.items()):
            info.add_metric([name, node.provider, node.site, fleet.sites[node.site].region or ""], 1)
        return info

    def _of_leases(self) -> Iterator[Metric]:
        tests = CounterMetricFamily(
            "lightfloor_bandwidth_tests",
            "Leased bandwidth tests by how they ended; expired: nobody told.",
            labels=["outcome"],
        )
        for outcome, count in sorted(self._leases.outcomes.items()):
            tests.add_metric([outcome], count)
        yield tests
        used = GaugeMetricFamily(
            "lightfloor_bandwidth_budget_used_bytes",
            "Traffic of leased tests so far, or reserved for them, both directions; day and month are UTC.",
            labels=["node", "period"],
        )
        limit = GaugeMetricFamily(
            "lightfloor_bandwidth_budget_limit_bytes", "What they may move.", labels=["node", "period"]
        )
        for node, day_bytes, month_bytes, budget in self._leases.budget_use():
            used.add_metric([node, "day"], day_bytes)
            used.add_metric([node, "month"], month_bytes)
            limit.add_metric([node, "day"], budget.day_bytes)
            limit.add_metric([node, "month"], budget.month_bytes)
        yield used
        yield limit

    def _of_advice(self) -> Iterator[Metric]:
        snapshot = self._advice.latest
        if snapshot is None:
            return
        active = GaugeMetricFamily(
            "lightfloor_finding_active",
            "1 for each finding that stands; others are absent.",
            labels=["node", "rule", "severity"],
        )
        for finding in snapshot.findings:
            active.add_metric([finding.node, finding.id, finding.severity.value], 1)
        yield active
        yield _gauge(
            "lightfloor_advice_computed_timestamp_seconds", "When advice was last made.", snapshot.wall_s
        )
        yield _gauge("lightfloor_advice_computing_seconds", "How long that took.", snapshot.took_seconds)

    def _of_ingest(self) -> Iterator[Metric]:
        counters = self._ingest.counters
        requests = CounterMetricFamily(
            "lightfloor_ingest_requests",
            "Posted batches by the status they were answered with.",
            labels=["status"],
        )
        for status, count in sorted(counters.responses.items()):
            requests.add_metric([str(status)], count)
        yield requests
        batches = CounterMetricFamily(
            "lightfloor_ingest_batches", "Batches taken, by whether they were new.", labels=["result"]
        )
        for result, count in sorted(counters.batches.items()):
            batches.add_metric([result.value], count)
        yield batches
        yield CounterMetricFamily("lightfloor_ingest_windows", "Windows stored.", value=counters.windows)
        yield CounterMetricFamily(
            "lightfloor_ingest_received_bytes",
            "Bodies of posted batches as they arrived.",
            value=counters.received_bytes,
        )

    def _of_store(self) -> Iterator[Metric]:
        state = self._database.writer_state
        yield _gauge(
            "lightfloor_store_size_bytes",
            "The store's file with its write-ahead log.",
            self._database.size_bytes(),
        )
        yield _gauge(
            "lightfloor_store_queue_jobs",
            "Batches and other work that wait for the writer.",
            self._database.waiting(),
        )
        yield CounterMetricFamily(
            "lightfloor_store_commits", "Transactions that are on disk.", value=state.commits
        )
        yield CounterMetricFamily(
            "lightfloor_store_failed_commits", "Transactions that were undone.", value=state.failed_commits
        )
        yield _gauge("lightfloor_store_writable", "0 when the last transaction failed.", state.error is None)
        yield _gauge(
            "lightfloor_store_full",
            "1 when it failed for want of space.",
            isinstance(state.error, StoreFullError),
        )

    def _of_standing(self) -> Iterator[Metric]:
        snapshot = self._standing.latest
        if snapshot is None:
            return
        lag = 0 if snapshot.oldest_due_s is None else max(0, snapshot.wall_s - snapshot.oldest_due_s)
        yield _gauge(
            "lightfloor_rollup_lag_seconds", "How long the oldest hour or day has waited to be merged.", lag
        )
        yield _gauge(
            "lightfloor_sla_period_seconds",
            "Length of the period that the lightfloor_sla_ families cover.",
            snapshot.standing.period.end_s - snapshot.standing.period.start_s,
        )
        yield _gauge(
            "lightfloor_sla_computed_timestamp_seconds", "When the paths were last judged.", snapshot.wall_s
        )
        yield _gauge("lightfloor_sla_computing_seconds", "How long that took.", snapshot.took_seconds)
        last = GaugeMetricFamily(
            "lightfloor_node_last_batch_timestamp_seconds", "When a node's last batch came.", labels=["node"]
        )
        for node in snapshot.nodes:
            if node.last_batch_s is not None:
                last.add_metric([node.name], node.last_batch_s)
        yield last


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))
