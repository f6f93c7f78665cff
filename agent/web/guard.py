"""Who may ask: the web configuration in force, and the aiohttp middleware that holds requests to it."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from agent.web.config import WebConfig
from agent.web.credentials import BusyError, Credentials, basic_credentials
from agent.web.tls import expiry_s, server_context
from agent.wire.settings import ConfigError

if TYPE_CHECKING:
    import ssl

_LOG = logging.getLogger("agent.web")
_CHALLENGE = 'Basic realm="lightfloor", charset="UTF-8"'

Signature = tuple[tuple[int, int, int] | None, ...]


class Guard:
    """One server's web configuration, read again when its files change.

    problem: what is wrong with the files as they are now, None when they are in force. certificate_expires_s: of the one
    that is shown, Unix seconds, None without. load: reads them; raises ConfigError.
    path: of the file, where there is one. insist: a required client certificate is required by the handshake, as fits
    where no request is exempt.
    """

    def __init__(
        self,
        load: Callable[[], WebConfig] = WebConfig,
        path: Path | None = None,
        *,
        insist: bool = True,
    ) -> None:
        """Raises ConfigError."""
        self._load = load
        self._path = path
        self._insist = insist
        self._credentials = Credentials()
        self._files: tuple[Path, ...] = () if path is None else (path,)
        self._seen: Signature = ()
        self.problem: str | None = None
        self.config = WebConfig()
        self.context: ssl.SSLContext | None = None
        self.certificate_expires_s: int | None = None
        self._read()

    @property
    def where(self) -> str:
        """Names the configuration in errors."""
        return "[server]" if self._path is None else str(self._path)

    def has_changed(self) -> bool:
        """Whether the file, or one that it names, is another than when it was last read."""
        return self._signature() != self._seen

    def reload(self) -> str | None:
        """Read it again where it changed; None when it is right, else what is wrong: the one before stays in force."""
        if not self.has_changed():
            return self.problem
        try:
            self._read()
        except ConfigError as error:
            self.problem = str(error)
            _LOG.error(
                "web configuration refused, the one before stays in force", extra={"reason": str(error)}
            )
            return self.problem
        self.problem = None
        _LOG.info("web configuration loaded", extra={"tls": self.context is not None})
        return None

    def install(
        self, application: web.Application, is_exempt: Callable[[web.Request], bool] = lambda _: False
    ) -> None:
        """Hold every request of the application to it; its other middlewares stay outside.

        is_exempt: requests that need neither password nor client certificate, because their handler asks for another
        proof, or nothing that it gives is secret.
        """
        application.middlewares.append(self._middleware(is_exempt))
        application.on_response_prepare.append(self._add_headers)

    def close(self) -> None:
        """Let its thread end."""
        self._credentials.close()

    def _read(self) -> None:
        """States are taken before contents: what changes in between is seen as a change, and read once more."""
        self._seen = self._signature()
        config = self._load()
        own = () if self._path is None else (self._path,)
        if self._files != (*own, *config.files):
            self._files = (*own, *config.files)
            self._seen = self._signature()
        tls = config.tls_server_config
        self.context = None if tls is None else server_context(tls, self.where, insist=self._insist)
        self.certificate_expires_s = None if tls is None else expiry_s(tls.cert_file)
        self.config = config

    def _signature(self) -> Signature:
        return tuple(map(_state_of, self._files))

    def _middleware(self, is_exempt: Callable[[web.Request], bool]) -> Middleware:
        @web.middleware
        async def hold(request: web.Request, handler: Handler) -> web.StreamResponse:
            if not is_exempt(request):
                self._check_certificate(request)
                await self._check_password(request)
            return await handler(request)

        return hold

    def _check_certificate(self, request: web.Request) -> None:
        tls = self.config.tls_server_config
        if tls is None or tls.client_auth_type != "RequireAndVerifyClientCert":
            return
        certificate = request.get_extra_info("peercert")
        if not certificate:
            raise web.HTTPForbidden(reason="a client certificate is needed")
        if tls.client_allowed_sans and not names_of(certificate) & {*tls.client_allowed_sans}:
            raise web.HTTPForbidden(reason="this client certificate is not for a name that is allowed")

    async def _check_password(self, request: web.Request) -> None:
        users = self.config.basic_auth_users
        if not users:
            return
        given = basic_credentials(request.headers.get("Authorization", ""))
        try:
            right = given is not None and await self._credentials.check(users, *given)
        except BusyError:
            raise web.HTTPTooManyRequests(
                reason="too many passwords at once", headers={"Retry-After": "1"}
            ) from None
        if not right:
            raise web.HTTPUnauthorized(
                reason="a name and its password are needed", headers={"WWW-Authenticate": _CHALLENGE}
            )

    async def _add_headers(self, _request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(self.config.http_server_config.headers.given())


def names_of(certificate: dict[str, Any]) -> set[str]:
    """The subject's alternative names: DNS names, IP and mail addresses, URIs (RFC 5280 section 4.2.1.6)."""
    return {value for _, value in certificate.get("subjectAltName", ()) if isinstance(value, str)}


def _state_of(path: Path) -> tuple[int, int, int] | None:
    """Another file, or another content, has another one; None where it cannot be seen."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
