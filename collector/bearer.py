"""Which node asks: by the token of its request."""

from aiohttp import web

from collector.store.database import Database

UNKNOWN = "a valid `Authorization: Bearer TOKEN` is needed; `enroll NODE` makes one"


def node_of_request(request: web.Request, database: Database) -> str | None:
    """The enrolled node, None for a request without a token that is known here."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return database.node_of_token(token.strip()) if scheme.lower() == "bearer" and token else None
