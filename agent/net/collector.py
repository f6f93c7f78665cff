"""The agent's HTTP session with its collector."""

import ssl
from pathlib import Path

import aiohttp

_MAX_ASSIGNMENT_BYTES = 16_000_000


class Collector:
    """An HTTP session with the collector. The token is read from its file at each request, so it can be rotated."""

    def __init__(self, url: str, token_file: Path, ca_file: str | None, timeout_seconds: float) -> None:
        self._base = url.rstrip("/")
        self._token_file = token_file
        tls = ssl.create_default_context(cafile=ca_file) if url.startswith("https:") else True
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls, limit=2),
            timeout=aiohttp.ClientTimeout(total=timeout_seconds),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def post_batch(self, body: bytes) -> tuple[int, str]:
        """Send one compressed batch: status and the collector's words. Raises OSError, ValueError or TimeoutError."""
        headers = {**self._authorization(), "Content-Type": "application/json", "Content-Encoding": "gzip"}
        async with self._session.post(f"{self._base}/v1/batches", data=body, headers=headers) as response:
            return response.status, (await response.content.read(1000)).decode("utf-8", "replace").strip()

    async def get_assignment(self, etag: str | None) -> tuple[bytes, str | None] | None:
        """The node's assignment and its ETag, None when it is still the one of etag.

        Raises OSError, TimeoutError, or ValueError for a status other than 200 and 304.
        """
        headers = self._authorization()
        if etag:
            headers["If-None-Match"] = etag
        async with self._session.get(f"{self._base}/v1/assignment", headers=headers) as response:
            if response.status == 304:
                return None
            if response.status != 200:
                raise ValueError(f"the collector answered {response.status} to GET /v1/assignment")
            body = await response.content.read(_MAX_ASSIGNMENT_BYTES)
            return body, response.headers.get("ETag")

    def _authorization(self) -> dict[str, str]:
        token = self._token_file.read_text(encoding="ascii").strip()
        return {"Authorization": f"Bearer {token}"}
