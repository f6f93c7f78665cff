"""The agent's HTTP session with its collector."""

import socket
import ssl
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult

from agent.net.resolve import getaddrinfo
from agent.wire.lease import LeaseAnswer, LeaseReport

_MAX_ASSIGNMENT_BYTES = 16_000_000


@dataclass(frozen=True, slots=True)
class Glance:
    """One answer to GET /v1/assignment, whatever it is. date_s: the collector's clock, seconds since the epoch."""

    status: int
    body: bytes
    date_s: float | None
    took_seconds: float


class Collector:
    """An HTTP session with the collector. The token is read from its file at each request, so it can be rotated.

    Redirects are not followed: a POST would arrive as a GET, and its 200 would mean nothing.
    Raises OSError from the constructor when ca_file cannot be used.
    """

    def __init__(self, url: str, token_file: Path, ca_file: str | None, timeout_seconds: float) -> None:
        self._base = url.rstrip("/")
        self._token_file = token_file
        tls = _tls_context(ca_file) if url.startswith("https:") else True
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls, limit=2, resolver=_Names()),
            timeout=aiohttp.ClientTimeout(total=timeout_seconds),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def post_batch(self, body: bytes) -> tuple[int, str]:
        """Send one compressed batch: status and the collector's words. Raises OSError, ValueError or TimeoutError."""
        headers = {**self._authorization(), "Content-Type": "application/json", "Content-Encoding": "gzip"}
        async with self._session.post(
            f"{self._base}/v1/batches", data=body, headers=headers, allow_redirects=False
        ) as response:
            return response.status, (await response.content.read(1000)).decode("utf-8", "replace").strip()

    async def get_assignment(self, etag: str | None) -> tuple[bytes, str | None] | None:
        """The node's assignment and its ETag, None when it is still the one of etag.

        Raises OSError, TimeoutError, or ValueError for a status other than 200 and 304 or too long an answer.
        """
        headers = self._authorization()
        if etag:
            headers["If-None-Match"] = etag
        async with self._session.get(
            f"{self._base}/v1/assignment", headers=headers, allow_redirects=False
        ) as response:
            if response.status == 304:
                return None
            if response.status != 200:
                raise ValueError(f"the collector answered {response.status} to GET /v1/assignment")
            return await _whole_body(response), response.headers.get("ETag")

    async def glance(self) -> Glance:
        """What the collector says to this node's token. Raises OSError, TimeoutError, ValueError for too long an answer."""
        began = time.monotonic()
        async with self._session.get(
            f"{self._base}/v1/assignment", headers=self._authorization(), allow_redirects=False
        ) as response:
            body = await _whole_body(response)
            return Glance(
                response.status, body, _seconds(response.headers.get("Date")), time.monotonic() - began
            )

    async def get_lease(self, wait_seconds: float) -> LeaseAnswer:
        """This node's part in a bandwidth test, or none after wait_seconds at the latest.

        Raises OSError, TimeoutError, or ValueError for another status than 200 or an answer that is none.
        """
        async with self._session.get(
            f"{self._base}/v1/leases",
            params={"wait": f"{wait_seconds:g}"},
            headers=self._authorization(),
            allow_redirects=False,
        ) as response:
            if response.status != 200:
                raise ValueError(f"the collector answered {response.status} to GET /v1/leases")
            try:
                return msgspec.json.decode(await _whole_body(response), type=LeaseAnswer)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                raise ValueError(f"the collector's lease: {error}") from error

    async def is_live(self, lease: str) -> bool:
        """Whether this node's server is still needed. Raises as get_lease."""
        async with self._session.get(
            f"{self._base}/v1/leases/{lease}", headers=self._authorization(), allow_redirects=False
        ) as response:
            if response.status not in (200, 410):
                raise ValueError(f"the collector answered {response.status} to GET /v1/leases")
            return response.status == 200

    async def post_report(self, lease: str, report: LeaseReport) -> bool:
        """Tell of a lease; False when the collector says that it is over. Raises as get_lease."""
        async with self._session.post(
            f"{self._base}/v1/leases/{lease}",
            data=msgspec.json.encode(report),
            headers={**self._authorization(), "Content-Type": "application/json"},
            allow_redirects=False,
        ) as response:
            if response.status not in (200, 410):
                raise ValueError(f"the collector answered {response.status} to POST /v1/leases")
            return response.status == 200

    def _authorization(self) -> dict[str, str]:
        token = self._token_file.read_text(encoding="ascii").strip()
        return {"Authorization": f"Bearer {token}"}


def _seconds(date: str | None) -> float | None:
    """An HTTP date (RFC 9110 section 5.6.7) in seconds since the epoch; None for none or nonsense."""
    try:
        return None if date is None else parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None


async def _whole_body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for piece in response.content.iter_chunked(65536):
        body += piece
        if len(body) > _MAX_ASSIGNMENT_BYTES:
            raise ValueError(f"the collector's assignment is longer than {_MAX_ASSIGNMENT_BYTES} bytes")
    return bytes(body)


def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise OSError(error.errno, f"collector.ca_file {ca_file}: {error.strerror or error}") from error


class _Names(AbstractResolver):
    """The collector's name, looked up as everything else's (see agent.net.resolve.getaddrinfo)."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await getaddrinfo(host, port, family)
        return [
            ResolveResult(
                hostname=host,
                host=address[0],
                port=port,
                family=kind,
                proto=proto,
                flags=socket.AI_NUMERICHOST,
            )
            for kind, _, proto, _, address in found
        ]

    async def close(self) -> None:
        """Nothing is kept."""
