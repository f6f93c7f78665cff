"""POST /v1/batches and GET /v1/assignment: what agents ask of the collector.

A batch is authenticated, bounded, decompressed, decoded and stored, in this order; the first step that fails
answers with its status and one line of JSON. 200 means durable. 4xx except 408, 425 and 429 means: never send this
again as it is. Everything else means: keep it and try again.
"""

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn

import msgspec
from aiohttp import web

from agent.wire.assignment import Assignment
from agent.wire.batch import Batch, ForeignWindowError, MalformedError, WireError, decode
from collector import decompress
from collector.api.operation import Access, Operation
from collector.bearer import UNKNOWN, node_of_request
from collector.problem import error_response
from collector.store.batches import AheadError, BatchRefusedError, Stored
from collector.store.database import Database
from collector.store.writer import StoreFullError, StoreUnavailableError

LOG = logging.getLogger("collector.ingest")

BODY_SECONDS = 30.0
INLINE_BYTES = 16384
"""A plain body up to this size is decoded on the event loop, in well under a millisecond; others in a thread."""
MOST_IN_FLIGHT_PER_NODE = 2
MOST_IN_FLIGHT = 64
RETRY_SECONDS = 1
NO_SPACE_RETRY_SECONDS = 30
CLOCK_RETRY_SECONDS = 60

BATCH_REFUSALS = {
    403: "the batch is of another node",
    408: "the body took too long",
    413: "the body is too long, as it is or decompressed",
    415: "the encoding is not known",
    422: "the batch is wrong; detail says where",
    425: "its windows are ahead of the collector's clock: try again when one of the clocks was put right",
    429: "the node has batches in flight already",
    503: "busy, or the store fails: try again",
    507: "no space left",
}

AssignmentOf = Callable[[str], Assignment | None]
"""Node name → what it is to measure; None for a node that is not in the fleet."""


@dataclass(slots=True)
class IngestCounters:
    """Running totals since the start, for metrics."""

    responses: Counter[int] = field(default_factory=Counter)
    batches: Counter[Stored] = field(default_factory=Counter)
    windows: int = 0
    received_bytes: int = 0


class Ingest:
    """The two handlers. Bounds hold per request; in-flight limits hold a fast or broken node off the others."""

    def __init__(
        self, database: Database, assignment_of: AssignmentOf, *, body_bytes: int, decompressed_bytes: int
    ) -> None:
        self.counters = IngestCounters()
        self._database = database
        self._assignment_of = assignment_of
        self._body_bytes = body_bytes
        self._decompressed_bytes = decompressed_bytes
        self._in_flight: Counter[str] = Counter()

    def operations(self) -> list[Operation]:
        """For the API; the handlers bound and answer for themselves, and these describe them."""
        return [
            Operation(
                method="POST",
                path="/v1/batches",
                summary="Store an agent's closed windows, exactly once; gzip and zstd are taken",
                handler=self.post_batch,
                body=Batch,
                answer=dict[str, Stored],
                refusals=BATCH_REFUSALS,
                access=Access.NODE,
            ),
            Operation(
                method="GET",
                path="/v1/assignment",
                summary="What the asking node is to measure",
                handler=self.get_assignment,
                answer=Assignment,
                refusals={
                    304: "the same as with the ETag of If-None-Match",
                    404: "the node is not in the fleet file",
                },
                access=Access.NODE,
            ),
        ]

    async def post_batch(self, request: web.Request) -> web.Response:
        """Store one batch; see the module for what each status asks of the agent."""
        response = await self._answer(request)
        self.counters.responses[response.status] += 1
        return response

    async def get_assignment(self, request: web.Request) -> web.Response:
        """The node's Assignment with a strong ETag; 304 when the agent has it already."""
        try:
            node = self._authenticate(request)
        except _RefusedError as refused:
            return refused.response
        assignment = self._assignment_of(node)
        if assignment is None:
            return error_response(404, f"node {node} is not in this collector's fleet file")
        body = msgspec.json.encode(assignment)
        etag = hashlib.sha256(body).hexdigest()[:32]
        headers = {"ETag": f'"{etag}"', "Cache-Control": "no-cache"}
        known = request.if_none_match
        if known and any(tag.value in (etag, "*") for tag in known):
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, content_type="application/json", headers=headers)

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            node = self._authenticate(request)
            self._enter(node)
        except _RefusedError as refused:
            return refused.response
        try:
            batch = await self._receive(request, node)
            stored = await self._store(batch)
        except _RefusedError as refused:
            LOG.warning(
                "batch refused", extra={"node": node, "status": refused.status, "reason": refused.reason}
            )
            return refused.response
        finally:
            self._leave(node)
        self.counters.batches[stored] += 1
        if stored is Stored.STORED:
            self.counters.windows += len(batch.windows)
        return web.json_response({"result": stored.value})

    def _authenticate(self, request: web.Request) -> str:
        node = node_of_request(request, self._database)
        if node is None:
            _refuse(401, UNKNOWN)
        return node

    def _enter(self, node: str) -> None:
        if self._in_flight[node] >= MOST_IN_FLIGHT_PER_NODE:
            _refuse(
                429, f"node {node} already has {MOST_IN_FLIGHT_PER_NODE} batches in flight", RETRY_SECONDS
            )
        if self._in_flight.total() >= MOST_IN_FLIGHT:
            _refuse(503, "too many batches in flight", RETRY_SECONDS)
        self._in_flight[node] += 1

    def _leave(self, node: str) -> None:
        self._in_flight[node] -= 1
        if not self._in_flight[node]:
            del self._in_flight[node]

    async def _receive(self, request: web.Request, node: str) -> Batch:
        encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
        body = await self._read_body(request)
        self.counters.received_bytes += len(body)
        if encoding == "identity" and len(body) <= INLINE_BYTES:
            return self._decode(body, encoding, node)
        return await asyncio.to_thread(self._decode, body, encoding, node)

    async def _read_body(self, request: web.Request) -> bytes:
        if (request.content_length or 0) > self._body_bytes:
            _refuse(413, f"more than {self._body_bytes} bytes")
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for chunk in request.content.iter_any():
                    body += chunk
                    if len(body) > self._body_bytes:
                        _refuse(413, f"more than {self._body_bytes} bytes")
        except TimeoutError:
            _refuse(408, f"the body took longer than {BODY_SECONDS:g} s")
        except web.RequestPayloadError as error:
            _refuse(400, f"the body ended early: {error}")
        return bytes(body)

    def _decode(self, body: bytes, encoding: str, node: str) -> Batch:
        try:
            batch = decode(decompress.decompress(body, encoding, self._decompressed_bytes))
        except decompress.UnsupportedError as error:
            _refuse(415, str(error))
        except decompress.TooLargeError as error:
            _refuse(413, str(error))
        except (decompress.MalformedError, MalformedError) as error:
            _refuse(400, str(error))
        except ForeignWindowError as error:
            _refuse(403, str(error))
        except WireError as error:
            _refuse(422, str(error))
        if batch.node != node:
            _refuse(403, f"this token belongs to node {node}; the batch is of {batch.node}")
        return batch

    async def _store(self, batch: Batch) -> Stored:
        try:
            return await self._database.store_batch(batch)
        except BatchRefusedError as error:
            _refuse(422, str(error))
        except AheadError as error:
            _refuse(425, str(error), CLOCK_RETRY_SECONDS)
        except StoreFullError as error:
            _refuse(507, str(error), NO_SPACE_RETRY_SECONDS)
        except StoreUnavailableError as error:
            _refuse(503, str(error), RETRY_SECONDS)


class _RefusedError(Exception):
    def __init__(self, status: int, reason: str, retry_seconds: int | None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.retry_seconds = retry_seconds

    @property
    def response(self) -> web.Response:
        return error_response(self.status, self.reason, self.retry_seconds)


def _refuse(status: int, reason: str, retry_seconds: int | None = None) -> NoReturn:
    raise _RefusedError(status, reason, retry_seconds)
