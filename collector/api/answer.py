"""A value as the JSON answer to a request: entity tag, gzip where it is taken, 304 where the asker has it already."""

import asyncio
import gzip
import hashlib
from typing import Any

import msgspec
from aiohttp import web

COMPRESSED_FROM_BYTES = 1024
GZIP_LEVEL = 4


async def json_answer(request: web.Request, value: Any, status: int = 200) -> web.Response:
    """Encoded and compressed in a thread: the whole mesh is megabytes.

    The tag is weak (RFC 9110 section 8.8.1): it stands for the value, compressed or not.
    """
    known = {each.value for each in request.if_none_match or ()} if status == 200 else set()
    compress = takes_gzip(request.headers.get("Accept-Encoding", ""))
    body, tag, compressed = await asyncio.to_thread(_encoded, value, known, compress)
    headers = {"ETag": f'W/"{tag}"', "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if body is None:
        return web.Response(status=304, headers=headers)
    if compressed:
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


def _encoded(value: Any, known: set[str], compress: bool) -> tuple[bytes | None, str, bool]:
    """The body, its tag, and whether it is compressed; no body where its tag is known to the asker."""
    body = msgspec.json.encode(value)
    tag = hashlib.sha256(body).hexdigest()[:32]
    if known & {tag, "*"}:
        return None, tag, False
    if not compress or len(body) < COMPRESSED_FROM_BYTES:
        return body, tag, False
    return gzip.compress(body, GZIP_LEVEL, mtime=0), tag, True


def takes_gzip(accept_encoding: str) -> bool:
    """Whether this Accept-Encoding (RFC 9110 section 12.5.3) allows gzip: named, or by `*`, and not with q=0."""
    allowed: dict[str, bool] = {}
    for part in accept_encoding.lower().split(","):
        coding, *parameters = (piece.strip() for piece in part.split(";"))
        weight = next((p[2:].strip() for p in parameters if p.startswith("q=")), "1")
        allowed[coding] = weight.strip("0.") != ""
    return allowed.get("gzip", allowed.get("x-gzip", allowed.get("*", False)))
