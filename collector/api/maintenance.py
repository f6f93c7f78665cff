"""GET, POST and DELETE /v1/maintenance: announced work over the API.

Reading is as open as the pages, which list the same. Announcing takes time out of a verdict, so it needs an operator's
token; what is added or removed stays on record with the operator's name.
"""

import math
from typing import Annotated, Literal

import msgspec
from aiohttp import web

from collector.api.answer import json_answer
from collector.api.operation import Access, Operation, Paging, Parameters, body_of, get, parameters_of
from collector.api.paths import Time, period_of
from collector.bearer import UNKNOWN_OPERATOR, operator_of_request
from collector.contract import Instant
from collector.fleet_file import Text
from collector.live import LiveFleet
from collector.maintenance import (
    API,
    Announcement,
    Listed,
    check_length,
    check_scope,
    listed,
    listing,
)
from collector.period import utc
from collector.problem import ProblemError
from collector.store.database import Database
from collector.store.maintenance import UnknownMaintenanceError, announce, announcements_in, withdraw
from collector.store.schema import DAY_S, StoreError

AHEAD_SECONDS = 30 * DAY_S
NO_SCOPE = "say what it covers: providers, sites or nodes, or whole_fleet"
UNAUTHORISED = {401: "an operator's token is needed", 503: "the store cannot be written just now"}
Names = Annotated[
    tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=64)], ...], msgspec.Meta(max_length=50)
]


class NewMaintenance(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Work from start until just before end, at most 31 days. Scope: paths with an end in any of the lists, or all."""

    start: Instant
    end: Instant
    reason: Text
    providers: Names = ()
    sites: Names = ()
    nodes: Names = ()
    whole_fleet: bool = False


class ListParameters(Paging, frozen=True, kw_only=True):
    """By default what touches the last and the next 30 days. removed: also what was removed."""

    start: Time = msgspec.field(default="-30d", name="from")
    end: Time | None = msgspec.field(default=None, name="to")
    removed: Literal["0", "1"] = "0"


class OneParameters(Parameters, frozen=True, kw_only=True):
    """One announcement that is in force."""

    id: Annotated[int, msgspec.Meta(ge=1, le=2**53)]


class MaintenanceApi:
    """Reads and writes the record in the store; the fleet file's own windows are listed and cannot be removed here."""

    def __init__(self, database: Database, fleet: LiveFleet) -> None:
        self._database = database
        self._fleet = fleet

    def operations(self) -> list[Operation]:
        """For the API."""
        one = "/v1/maintenance/{id}"
        return [
            get("/v1/maintenance", "Announced work", ListParameters, list[Listed], self.within),
            Operation(
                method="POST",
                path="/v1/maintenance",
                summary="Announce work: its time does not count",
                handler=self.post_new,
                body=NewMaintenance,
                answer=Listed,
                status=201,
                refusals={
                    **UNAUTHORISED,
                    413: "the body is too long",
                    415: "the body is not JSON",
                    422: "the body is wrong; detail says where",
                },
                access=Access.OPERATOR,
            ),
            Operation(
                method="DELETE",
                path=one,
                summary="Let the time count after all; the record stays",
                handler=self.delete_one,
                parameters=OneParameters,
                answer=Listed,
                refusals={**UNAUTHORISED, 404: "nothing is in force under this id"},
                access=Access.OPERATOR,
            ),
        ]

    async def within(self, asked: ListParameters) -> list[Listed]:
        """In order of time. Raises ProblemError."""
        now_s = int(self._database.now_s())
        period = period_of(asked.start, utc(now_s + AHEAD_SECONDS) if asked.end is None else asked.end, now_s)
        removed = asked.removed == "1"
        kept = await self._database.read(lambda c: announcements_in(c, period, removed=removed))
        return listing(self._fleet.current.maintenance, kept, period)

    async def post_new(self, request: web.Request) -> web.Response:
        """201 with the window and its id. Raises ProblemError."""
        operator = self._operator(request)
        parameters_of(request, Parameters)
        new = self._checked(await body_of(request, NewMaintenance))
        now_s = int(self._database.now_s())
        try:
            added = await self._database.write(lambda c: announce(c, new, now_s, operator))
        except StoreError as error:
            raise ProblemError(503, str(error)) from error
        return await json_answer(request, listed(added), 201)

    async def delete_one(self, request: web.Request) -> web.Response:
        """The window, now removed. Raises ProblemError."""
        operator = self._operator(request)
        number = parameters_of(request, OneParameters).id
        now_s = int(self._database.now_s())
        try:
            gone = await self._database.write(lambda c: withdraw(c, number, now_s, operator))
        except UnknownMaintenanceError as error:
            raise ProblemError(
                404, f"no maintenance {number} is in force; GET /v1/maintenance lists"
            ) from error
        except StoreError as error:
            raise ProblemError(503, str(error)) from error
        return await json_answer(request, listed(gone))

    def _operator(self, request: web.Request) -> str:
        operator = operator_of_request(request, self._database)
        if operator is None:
            raise ProblemError(401, UNKNOWN_OPERATOR)
        return operator

    def _checked(self, given: NewMaintenance) -> Announcement:
        new = Announcement(
            start_s=int(given.start.timestamp()),
            end_s=math.ceil(given.end.timestamp()),
            reason=" ".join(given.reason.split()),
            providers=given.providers,
            sites=given.sites,
            nodes=given.nodes,
            origin=API,
        )
        fleet = self._fleet.current
        try:
            if new.whole_fleet != given.whole_fleet:
                raise ProblemError(422, NO_SCOPE)
            if not new.reason:
                raise ProblemError(422, "reason: a line of text")
            check_length(new.start_s, new.end_s)
            check_scope(new, {"providers": fleet.providers, "sites": fleet.sites, "nodes": fleet.nodes})
        except ValueError as error:
            raise ProblemError(422, str(error)) from error
        return new
