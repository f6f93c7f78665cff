"""What a new server fetches before it has joined: the script, the authority to trust, the agent's package.

None of it is secret, and none of it asks for a token; what makes it trustworthy is the pinned key in the line.
"""

import asyncio
from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec
from aiohttp import web

from collector.api.operation import Access, Operation, Parameters, parameters_of
from collector.config import Enroll
from collector.joining.line import SCRIPT_PATH, certificates
from collector.problem import error_response


class PackageParameters(Parameters, frozen=True, kw_only=True):
    """As dpkg names them: ?python=3.11&architecture=amd64."""

    python: Annotated[str, msgspec.Meta(pattern=r"^3\.[0-9]{1,2}$")]
    architecture: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]{1,16}$")]


class Joining:
    """GET /v1/install.sh, /v1/ca.pem and /v1/packages/agent."""

    def __init__(self, settings: Enroll) -> None:
        self._settings = settings
        self._script = (resources.files("collector.joining") / "install.sh").read_bytes()

    def operations(self) -> list[Operation]:
        """For the API."""
        return [
            Operation(
                method="GET",
                path=SCRIPT_PATH,
                summary="The script that the joining line runs",
                handler=self.get_script,
                media="text/x-shellscript",
                refusals={},
                access=Access.ANYBODY,
            ),
            Operation(
                method="GET",
                path="/v1/ca.pem",
                summary="The authority of this collector's certificate",
                handler=self.get_authority,
                media="application/x-pem-file",
                refusals={404: "the certificate is publicly trusted", 500: "enroll.ca_file cannot be used"},
                access=Access.ANYBODY,
            ),
            Operation(
                method="GET",
                path="/v1/packages/agent",
                summary="The newest Debian package of the agent for a server",
                handler=self.get_package,
                parameters=PackageParameters,
                media="application/vnd.debian.binary-package",
                refusals={404: "there is none for it"},
                access=Access.ANYBODY,
            ),
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
        asked = parameters_of(request, PackageParameters)
        pattern = f"lightfloor-agent_*+py{asked.python}_{asked.architecture}.deb"
        package = await asyncio.to_thread(_newest, self._settings.packages, pattern)
        if package is None:
            return error_response(404, f"no {pattern} in enroll.packages")
        return web.FileResponse(package, headers={"Content-Type": "application/vnd.debian.binary-package"})


def _newest(directory: str | None, pattern: str) -> Path | None:
    """The file that was put there last."""
    found = Path(directory).glob(pattern) if directory is not None else ()
    return max(found, key=lambda file: file.stat().st_mtime_ns, default=None)
