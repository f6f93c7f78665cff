"""Which node or operator asks: by the token of its request."""

from aiohttp import web

from collector.store.database import Database

UNKNOWN = "a valid `Authorization: Bearer TOKEN` is needed; `enroll NODE` makes one"


UNKNOWN_OPERATOR = (
    "a valid `Authorization: Bearer TOKEN` of an operator is needed; `maintenance operator NAME` makes one"
)


def node_of_request(request: web.Request, database: Database) -> str | None:
    """The enrolled node, None for a request without a token that is known here."""
    token = _token(request)
    return database.node_of_token(token) if token else None


def operator_of_request(request: web.Request, database: Database) -> str | None:
    """The operator, None for a request without an operator's token: a node's is none."""
    token = _token(request)
    return database.operator_of_token(token) if token else None


def _token(request: web.Request) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
