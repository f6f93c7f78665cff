"""How the collector says no: problem details for HTTP APIs (RFC 9457), the same for every path."""

from http import HTTPStatus

import msgspec
from aiohttp import web

MEDIA_TYPE = "application/problem+json"


class Problem(msgspec.Struct, frozen=True):
    """title: of the status; detail: what is wrong and what would be right, in one line."""

    title: str
    status: int
    detail: str


class ProblemError(Exception):
    """A request that is answered with this status and these words."""

    def __init__(self, status: int, detail: str) -> None:
        self.status = status
        super().__init__(detail)


def error_response(status: int, detail: str, retry_seconds: int | None = None) -> web.Response:
    """The answer that says what is wrong."""
    body = msgspec.json.encode(Problem(HTTPStatus(status).phrase, status, detail))
    response = web.Response(body=body, status=status, content_type=MEDIA_TYPE)
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    if retry_seconds is not None:
        response.headers["Retry-After"] = str(retry_seconds)
    return response
