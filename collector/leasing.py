"""GET and POST /v1/leases: gives bandwidth tests to pairs of nodes that wait for one.

A node is there while its request waits. When both ends of a path that is due are there, idle and within their
budgets, the bytes are reserved durably, the server's request is answered, then, when its server listens, the
client's. What the plan allows is decided in collector.plan; here are the requests, the clock and the store.
"""

import asyncio
import logging
import math
import secrets
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Literal

import msgspec
from aiohttp import web

from agent.wire.lease import MOST_WAIT_SECONDS, Lease, LeaseAnswer, LeaseId, LeaseReport, Terms
from agent.wire.series import Family
from collector.api.operation import Access, Operation, Parameters, parameters_of
from collector.bearer import UNKNOWN, node_of_request
from collector.fleet import Fleet
from collector.fleet_file import Node
from collector.plan.budget import Budget, most_bytes, wire_bytes
from collector.plan.leases import START_SECONDS, LeaseState, LeaseTable, longest_seconds
from collector.plan.matching import Pair, choose
from collector.plan.progress import LeaseRecord, Progress
from collector.plan.sweep import Sweep, sweep_of
from collector.problem import error_response
from collector.store.bandwidth import KEPT_SECONDS, leases_since, settle_lease, store_lease
from collector.store.database import Database
from collector.store.schema import StoreError

LOG = logging.getLogger("collector.leasing")

TICK_SECONDS = 1.0
DUE_SECONDS = 5.0
_LONGEST_TERMS = Terms("iperf3", 60, 1_000)


class WaitParameters(Parameters, frozen=True, kw_only=True):
    """GET /v1/leases."""

    wait: Annotated[float, msgspec.Meta(ge=0, description="seconds; more than 15 are 15")] = 0.0


class LeaseParameters(Parameters, frozen=True, kw_only=True):
    """/v1/leases/{id}."""

    id: LeaseId


@dataclass(slots=True)
class _Asking:
    """One node's waiting request."""

    since_s: float
    answer: "asyncio.Future[Lease]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


@dataclass(slots=True)
class _Told:
    """What the ends of a lease have said so far."""

    outcome: str | None = None
    reason: str = ""
    payload_bytes: int | None = None


class LeaseDesk:
    """fleet: the fleet file's content now; run() must run for leases to be given."""

    def __init__(self, database: Database, fleet: Callable[[], Fleet], wall_s: Callable[[], float]) -> None:
        self.outcomes: Counter[str] = Counter()
        self._database = database
        self._fleet = fleet
        self._wall_s = wall_s
        self._table = LeaseTable(math.inf)  # until run() has read what an earlier process leased
        self._progress = Progress()
        self._asking: dict[str, _Asking] = {}
        self._told: dict[str, _Told] = {}
        self._changed = asyncio.Event()
        self._due_lists: dict[str, tuple[Sweep, float, list[Pair]]] = {}
        self._planned: tuple[Fleet, Sweep | None] | None = None

    def operations(self) -> list[Operation]:
        """For the API; agents alone ask these."""
        over = {410: "the lease is over, or not this node's"}
        return [
            Operation(
                method="GET",
                path="/v1/leases",
                summary="Wait for a bandwidth test",
                handler=self.get_lease,
                parameters=WaitParameters,
                answer=LeaseAnswer,
                refusals={},
                access=Access.NODE,
            ),
            Operation(
                method="GET",
                path="/v1/leases/{id}",
                summary="Whether a test's server is still needed",
                handler=self.get_state,
                parameters=LeaseParameters,
                answer=dict[str, str],
                refusals=over,
                access=Access.NODE,
            ),
            Operation(
                method="POST",
                path="/v1/leases/{id}",
                summary="Tell how a test goes",
                handler=self.post_report,
                parameters=LeaseParameters,
                body=LeaseReport,
                answer=dict[str, str],
                refusals={**over, 413: "the body is too long", 422: "the report is wrong; detail says where"},
                access=Access.NODE,
            ),
        ]

    def budget_use(self) -> list[tuple[str, int, int, Budget]]:
        """Node, bytes of this day and of this month (UTC) that tests moved or hold reserved, and what they may move."""
        sweep, now_s = self._sweep(), int(self._wall_s())
        if sweep is None:
            return []
        usage = self._progress.usage
        return [(node, *usage.used(node, now_s), budget) for node, budget in sweep.budgets.items()]

    async def get_lease(self, request: web.Request) -> web.Response:
        """A LeaseAnswer, at once or when there is a lease, at the latest after `wait` seconds (0 to 15)."""
        node = node_of_request(request, self._database)
        if node is None:
            return error_response(401, UNKNOWN)
        wait = min(parameters_of(request, WaitParameters).wait, MOST_WAIT_SECONDS)
        asking = _Asking(time.monotonic())
        self._asking[node] = asking
        self._changed.set()
        lease = None
        try:
            with suppress(TimeoutError):
                lease = await asyncio.wait_for(asking.answer, wait)
        finally:
            if self._asking.get(node) is asking:
                del self._asking[node]
        answer = LeaseAnswer(time.monotonic() - asking.since_s, lease)
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

    async def post_report(self, request: web.Request) -> web.Response:
        """200 when the report counts; 410 for a lease that is over or not this node's: run nothing for it."""
        node = node_of_request(request, self._database)
        if node is None:
            return error_response(401, UNKNOWN)
        lease_id = parameters_of(request, LeaseParameters).id
        try:
            report = msgspec.json.decode(await request.read(), type=LeaseReport)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return error_response(422, str(error))
        if not self._take(lease_id, node, report):
            return error_response(410, "this lease is over")
        self._changed.set()
        return web.json_response({"result": "taken"})

    async def get_state(self, request: web.Request) -> web.Response:
        """200 while this node's server is needed, 410 after: qperf's does not end with its client."""
        node = node_of_request(request, self._database)
        if node is None:
            return error_response(401, UNKNOWN)
        if not self._table.is_live(parameters_of(request, LeaseParameters).id, node, time.monotonic()):
            return error_response(410, "this lease is over")
        return web.json_response({"result": "live"})

    def _take(self, lease_id: str, node: str, report: LeaseReport) -> bool:
        now = time.monotonic()
        if report.state == "ready":
            return self._table.ready(lease_id, node, report.port or 0, now)
        lease = self._table.ended(lease_id, node, now)
        if lease is None:
            return False
        told = self._told.setdefault(lease_id, _Told())
        if report.state == "refused":
            told.outcome, told.reason, told.payload_bytes = "refused", f"{node}: {report.reason}", 0
        elif node == lease.client:
            told.outcome = report.outcome or "failed"
            told.reason, told.payload_bytes = report.reason, report.bytes
        elif report.reason:
            told.outcome, told.reason = "failed", f"{node}: {report.reason}"
        return True

    async def run(self) -> None:
        """Give leases for ever, beginning with what the store remembers of earlier ones."""
        await self._resume()
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), TICK_SECONDS)
            self._changed.clear()
            try:
                await self._settle_ended()
                self._answer_clients()
                await self._offer_due()
            except StoreError as error:
                LOG.error("no bandwidth test is leased", extra={"error": str(error)})  # noqa: TRY400 - the store's own state, not a bug
                await asyncio.sleep(TICK_SECONDS)
            except Exception:
                LOG.exception("background work failed", extra={"work": "leases"})
                await asyncio.sleep(TICK_SECONDS)

    async def _resume(self) -> None:
        """Nodes may still work on leases of an earlier process: while such a one can live, nothing is leased."""
        now_s = int(self._wall_s())
        earlier = await self._database.read(lambda connection: leases_since(connection, now_s - KEPT_SECONDS))
        for lease in earlier:
            self._progress.remember(lease, self._interval_seconds())
        longest = longest_seconds(_LONGEST_TERMS)
        may_live = any(lease.outcome is None and lease.leased_s > now_s - longest for lease in earlier)
        self._table = LeaseTable(time.monotonic() + (longest if may_live else 0.0))

    def _sweep(self) -> Sweep | None:
        fleet = self._fleet()
        if self._planned is None or self._planned[0] is not fleet:
            self._planned = (fleet, sweep_of(fleet))
        return self._planned[1]

    def _interval_seconds(self) -> float:
        sweep = self._sweep()
        return 0.0 if sweep is None else sweep.interval_seconds

    async def _settle_ended(self) -> None:
        for lease in self._table.take_over(time.monotonic()):
            told = self._told.pop(lease.id, _Told())
            outcome = told.outcome or "expired"
            size = _settled_bytes(lease, outcome, told.payload_bytes)
            self._progress.settle(lease.id, outcome, size, self._interval_seconds())
            self.outcomes[outcome] += 1
            LOG.info(
                "bandwidth test ended",
                extra={
                    "client": lease.client,
                    "server": lease.server,
                    "kind": lease.terms.kind,
                    "outcome": outcome,
                    "reason": told.reason,
                },
            )
            args = (lease.id, outcome, told.reason, size)
            await self._database.write(lambda connection, args=args: settle_lease(connection, *args))  # type: ignore[misc]  # default binds the loop's value

    def _answer_clients(self) -> None:
        for node, asking in list(self._asking.items()):
            now = time.monotonic()
            lease = self._table.waiting_for_client(node, now)
            if lease is not None and not asking.answer.done():
                self._table.hand_over(lease, now)
                until = lease.client_until_s or now
                self._answer(asking, lease, "client", until - now)

    async def _offer_due(self) -> None:
        sweep = self._sweep()
        if sweep is None:
            return
        now = time.monotonic()
        idle = {node for node, asking in self._asking.items() if not asking.answer.done()}
        idle = {node for node in idle if self._table.may_lease(node, now)}
        for terms in sweep.terms:
            if len(idle) < 2:
                return
            may_run = partial(self._may_run, terms, sweep)
            for pair in list(choose(self._due(sweep, terms.kind), idle, may_run)):
                idle -= set(pair)
                await self._offer(pair, terms)

    def _due(self, sweep: Sweep, kind: str) -> list[Pair]:
        """Paths that were due a moment ago: a large fleet's are not sorted at every request."""
        known = self._due_lists.get(kind)
        now = time.monotonic()
        if known is None or known[0] is not sweep or now - known[1] > DUE_SECONDS:
            known = (sweep, now, self._progress.due(sweep.pairs, kind, int(self._wall_s())))
            self._due_lists[kind] = known
        return known[2]

    def _may_run(self, terms: Terms, sweep: Sweep, pair: Pair) -> bool:
        now_s = int(self._wall_s())
        return self._progress.is_due(pair, terms.kind, now_s) and self._affords(pair, terms, sweep)

    def _affords(self, pair: Pair, terms: Terms, sweep: Sweep) -> bool:
        now_s, wanted = int(self._wall_s()), most_bytes(terms)
        return all(
            self._progress.usage.refusal(node, sweep.budgets[node], wanted, now_s) is None for node in pair
        )

    async def _offer(self, pair: Pair, terms: Terms) -> None:
        """Hold both nodes, reserve the bytes durably, then tell the server if it still asks."""
        client, server = pair
        lease = self._table.offer(secrets.token_hex(16), client, server, terms, time.monotonic())
        stored = LeaseRecord(
            lease.id, terms.kind, client, server, int(self._wall_s()), None, None, most_bytes(terms)
        )
        self._progress.remember(stored, self._interval_seconds())
        await self._database.write(lambda connection: store_lease(connection, stored))
        asking = self._asking.get(server)
        until = lease.server_until_s
        if asking is not None and until is not None and not asking.answer.done():
            self._answer(asking, lease, "server", until - time.monotonic())

    def _answer(
        self, asking: _Asking, lease: LeaseState, role: Literal["client", "server"], seconds_left: float
    ) -> None:
        """Tell one end; a lease whose node has left the fleet meanwhile is told to nobody and expires."""
        nodes = self._fleet().nodes
        if not {lease.client, lease.server} <= nodes.keys():
            return
        ends = (nodes[lease.client], nodes[lease.server])
        own, peer = ends if role == "client" else ends[::-1]
        family = min(own.families & peer.families)
        part = Lease(
            id=lease.id,
            role=role,
            peer=peer.name,
            family=family,
            own_address=_address(own, family),
            peer_address=_address(peer, family),
            terms=lease.terms,
            seconds_left=seconds_left,
            start_seconds=START_SECONDS,
            port=lease.port if role == "client" else None,
        )
        asking.answer.set_result(part)


def _address(node: Node, family: Family) -> str:
    return (node.ipv4 if family is Family.IPV4 else node.ipv6) or ""


def _settled_bytes(lease: LeaseState, outcome: str, payload_bytes: int | None) -> int:
    """What the test moved; all that was reserved where nobody can tell, as of qperf's latency test."""
    if outcome == "refused":
        return 0
    if payload_bytes is None or lease.terms.kind == "qperf":
        return most_bytes(lease.terms)
    return wire_bytes(payload_bytes)
