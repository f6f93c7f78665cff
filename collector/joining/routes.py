"""What a new server fetches before it has joined: the script, the authority to trust, the agent's package.

None of it is secret, and none of it asks for a token; what makes it trustworthy is the pinned key in the line.
"""

import asyncio
import re
from importlib import resources
from pathlib import Path

from aiohttp import web

from collector.config import Enroll
from collector.joining.line import SCRIPT_PATH, certificates
from collector.problem import error_response

_PYTHON = re.compile(r"3\.[0-9]{1,2}")
_ARCHITECTURE = re.compile(r"[a-z0-9]{1,16}")


class Joining:
    """GET /v1/install.sh, /v1/ca.pem and /v1/packages/agent."""

    def __init__(self, settings: Enroll) -> None:
        self._settings = settings
        self._script = (resources.files("collector.joining") / "install.sh").read_bytes()

    def routes(self) -> list[web.RouteDef]:
        """For web.Application.add_routes."""
        return [
            web.get(SCRIPT_PATH, self.get_script),
            web.get("/v1/ca.pem", self.get_authority),
            web.get("/v1/packages/agent", self.get_package),
        ]

    async def get_script(self, _request: web.Request) -> web.Response:
        """The same for every node: what differs is in the line."""
        return web.Response(body=self._script, content_type="text/x-shellscript")

    async def get_authority(self, _request: web.Request) -> web.Response:
        """enroll.ca_file as it is now, certificates only; 404 where the server's certificate is publicly trusted."""
        file = self._settings.ca_file
        if file is None:
            return error_response(404, "no authority of its own: this collector states no enroll.ca_file")
        try:
            pem = certificates(await asyncio.to_thread(Path(file).read_bytes))
        except (OSError, ValueError) as error:
            return error_response(500, f"enroll.ca_file {file}: {error}")
        return web.Response(body=pem, content_type="application/x-pem-file")

    async def get_package(self, request: web.Request) -> web.StreamResponse:
        """The newest file of enroll.packages for ?python=3.11&architecture=amd64."""
        python, architecture = (request.query.get(name, "") for name in ("python", "architecture"))
        if not _PYTHON.fullmatch(python) or not _ARCHITECTURE.fullmatch(architecture):
            return error_response(400, "?python=3.11&architecture=amd64 is expected, as dpkg names it")
        pattern = f"lightfloor-agent_*+py{python}_{architecture}.deb"
        package = await asyncio.to_thread(_newest, self._settings.packages, pattern)
        if package is None:
            return error_response(404, f"no {pattern} in enroll.packages")
        return web.FileResponse(package, headers={"Content-Type": "application/vnd.debian.binary-package"})


def _newest(directory: str | None, pattern: str) -> Path | None:
    """The file that was put there last."""
    found = Path(directory).glob(pattern) if directory is not None else ()
    return max(found, key=lambda file: file.stat().st_mtime_ns, default=None)
