"""The API's operations as routes, and GET /v1/openapi.json, which describes them."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from agent import __version__
from collector.api.openapi import PATH, document
from collector.api.operation import Operation, Parameters, get


def api_routes(operations: Sequence[Operation]) -> list[web.RouteDef]:
    """For web.Application.add_routes. The document is made once: it changes with the version only."""

    async def described(_asked: Parameters) -> dict[str, Any]:
        return made

    own = get(PATH, "This document", Parameters, dict[str, Any], described)
    made = document([*operations, own], __version__)
    return [each.route() for each in (*operations, own)]
