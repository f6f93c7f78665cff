"""One operation of the API: its parameters, body and answer as types, from which requests are read and described.

To add one: write `async def handler(parameters)` that returns a value of the answer's type, and give `get(...)` of it from an
`operations()` method that collector/app.py lists. What changes something is an Operation whose handler takes the request.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from collector.api.answer import json_answer
from collector.problem import ProblemError

P = TypeVar("P", bound="Parameters")
B = TypeVar("B")

JSON = "application/json"
MOST_ROWS = 10_000


class Parameters(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What a request may say in its path and query. Fields are text or numbers; unknown ones are refused."""


class Paging(Parameters, frozen=True, kw_only=True):
    """Parameters of an operation whose answer is a list. The header Link names the next page where there is one."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_ROWS, description="rows of one page")] = 1000
    offset: Annotated[int, msgspec.Meta(ge=0, le=10**9, description="rows before the page")] = 0


class Access(Enum):
    """Who may ask. Nobody but WEB is held to the web configuration."""

    WEB = "whoever the web configuration lets in"
    NODE = "an agent, by its node's bearer token"
    OPERATOR = "an operator, by a bearer token"
    ANYBODY = "anybody: nothing that it gives is secret"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path.

    parameters, body, answer: types that msgspec has a JSON schema of; body None: there is none. media: of the answer.
    refusals: status → when it is given, beside 400 for parameters and 401 where authentication is asked for.
    handler: the aiohttp handler, which does as is described here.
    """

    method: str
    path: str
    summary: str
    handler: Handler
    parameters: type[Parameters] = Parameters
    body: Any = None
    body_media: str = JSON
    answer: Any = None
    media: str = JSON
    status: int = 200
    refusals: dict[int, str]
    access: Access = Access.WEB

    def route(self) -> web.RouteDef:
        """For web.Application.add_routes."""
        if self.method == "GET":
            return web.get(self.path, self.handler)  # HEAD comes with it
        return web.route(self.method, self.path, self.handler)


def get(
    path: str,
    summary: str,
    parameters: type[P],
    answer: Any,
    handler: Callable[[P], Awaitable[Any]],
    refusals: dict[int, str] | None = None,
) -> Operation:
    """An answer from the parameters. With Paging among them, the list that the handler returns is cut into pages."""

    async def handle(request: web.Request) -> web.Response:
        asked = parameters_of(request, parameters)
        value = await handler(asked)
        if not isinstance(asked, Paging):
            return await json_answer(request, value)
        end = asked.offset + asked.limit
        response = await json_answer(request, value[asked.offset : end])
        if end < len(value):
            following = urlencode({**request.query, "offset": end})
            response.headers["Link"] = f'<{request.rel_url.raw_path}?{following}>; rel="next"'
        return response

    return Operation(
        method="GET",
        path=path,
        summary=summary,
        handler=handle,
        parameters=parameters,
        answer=answer,
        refusals=refusals or {},
    )


def parameters_of(request: web.Request, kind: type[P]) -> P:
    """The request's path and query as its parameters. Raises ProblemError, 400, for what is wrong with them."""
    asked = [*request.match_info.items(), *request.query.items()]
    values = dict(asked)
    if len(values) < len(asked):
        raise ProblemError(400, "each parameter is given once")
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ProblemError(400, _plain(error)) from error


async def body_of(request: web.Request, kind: type[B]) -> B:
    """The request's JSON body. Raises ProblemError, 415 or 422.

    The Content-Type has to be JSON's, so that a foreign web page cannot post in its visitor's name.
    """
    if request.content_type != JSON:
        raise ProblemError(415, f"Content-Type: {JSON} is needed")
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProblemError(422, f"body: {_plain(error)}") from error


def _plain(error: Exception) -> str:
    """msgspec's words with the name of the parameter or the key path first."""
    message, _, path = str(error).partition(" - at `$.")
    unknown = re.fullmatch("Object contains unknown field `(.*)`", message, re.DOTALL)
    if unknown:
        return f"unknown name {unknown[1]!r}"
    return f"{path.removesuffix('`')}: {message}" if path else message
