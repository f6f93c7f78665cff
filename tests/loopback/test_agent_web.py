"""A server behind a web configuration: who gets in, over what, and what happens when its files change."""

import asyncio
import base64
import contextlib
import logging
import ssl
from collections import Counter
from datetime import UTC, datetime

import aiohttp
import bcrypt
import pytest
import trustme
from aiohttp import web

from agent.web.config import read_web_config
from agent.web.guard import Guard
from agent.wire.settings import ConfigError
from exporter_view import view_of_one_peer
from prometheus_server import PrometheusServer, installed
from web_servers import exporting, listening

PASSWORD = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
USERS = f"basic_auth_users: {{prometheus: {PASSWORD}}}\n"


class Site:
    """Certificates of two authorities, a web configuration, and a client."""

    def __init__(self, folder):
        self.folder = folder
        self.file = folder / "web.yml"
        self.servers, self.clients = trustme.CA(), trustme.CA()
        self.issue()
        self.clients.cert_pem.write_to_path(folder / "clients.pem")

    def issue(self):
        """A new certificate, in place of the one before."""
        issued = self.servers.issue_cert("127.0.0.1", "localhost")
        issued.private_key_and_cert_chain_pem.write_to_path(self.folder / "cert.new")
        (self.folder / "cert.new").replace(self.folder / "cert.pem")

    def write(self, tls="", more=""):
        """The file, with TLS and these further settings of it; without TLS for None."""
        own = "" if tls is None else f"tls_server_config: {{cert_file: cert.pem, key_file: cert.pem{tls}}}\n"
        self.file.write_text(own + more)
        return self

    def guard(self, insist=True):
        return Guard(lambda: read_web_config(self.file), self.file, insist=insist)

    def trusting(self, name=None):
        """A client's context; name: of its certificate."""
        context = ssl.create_default_context()
        self.servers.configure_trust(context)
        if name is not None:
            self.clients.issue_cert(name).configure_cert(context)
        return context


def basic(password):
    return {"Authorization": "Basic " + base64.b64encode(f"prometheus:{password}".encode()).decode()}


def hello():
    async def answer(_request):
        return web.Response(text="hello")

    application = web.Application()
    application.add_routes([web.get("/", answer), web.get("/token", answer)])
    return application


@contextlib.asynccontextmanager
async def served(guard, is_exempt=lambda _: False):
    server = await listening(hello(), guard, is_exempt=is_exempt)
    try:
        async with aiohttp.ClientSession() as session:
            yield server, session
    finally:
        await server.close()


async def get(session, server, path="/", context=None, **options):
    """Status, headers and body; ssl errors come through."""
    scheme = "http" if context is None else "https"
    url = f"{scheme}://127.0.0.1:{server.addresses[0][1]}{path}"
    async with session.get(url, ssl=context if context is not None else True, **options) as response:
        return response.status, response.headers, await response.text()


async def test_passwords_are_asked_for_everywhere(tmp_path):
    """401 with a challenge without the right one, also for what is not there; headers are on every answer."""
    site = Site(tmp_path).write(None, USERS + "http_server_config: {headers: {X-Frame-Options: deny}}\n")
    async with served(site.guard()) as (server, session):
        for path in ("/", "/nothing"):
            status, headers, body = await get(session, server, path)
            assert (status, headers["X-Frame-Options"]) == (401, "deny")
            assert headers["WWW-Authenticate"].startswith("Basic realm=")
            assert "hello" not in body
        wrong = basic("guess")
        assert (await get(session, server, headers=wrong))[0] == 401
        right = basic("secret")
        assert (await get(session, server, headers=right))[::2] == (200, "hello")
        assert (await get(session, server, "/nothing", headers=right))[0] == 404


async def test_plain_http_to_a_tls_port_fails_cleanly(tmp_path, caplog):
    """The client's request fails at once, the log stays quiet, and the next client is served."""
    caplog.set_level(logging.INFO)
    site = Site(tmp_path).write()
    async with served(site.guard()) as (server, session):
        with pytest.raises(aiohttp.ClientError):
            async with asyncio.timeout(5):
                await get(session, server)
        assert (await get(session, server, context=site.trusting()))[2] == "hello"
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_required_client_certificate_is_required_by_the_handshake(tmp_path):
    """None, or one of another authority, is no connection; names are held to client_allowed_sans."""
    required = ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: clients.pem"
    site = Site(tmp_path).write(required + ", client_allowed_sans: [scraper.example]")
    async with served(site.guard()) as (server, session):
        with pytest.raises((aiohttp.ClientError, OSError)):
            await get(session, server, context=site.trusting())
        stranger = site.trusting()
        trustme.CA().issue_cert("scraper.example").configure_cert(stranger)
        with pytest.raises((aiohttp.ClientError, OSError)):
            await get(session, server, context=stranger)
        assert (await get(session, server, context=site.trusting("scraper.example")))[0] == 200
        assert (await get(session, server, context=site.trusting("other.example")))[0] == 403


async def test_who_brings_a_token_of_its_own_needs_neither(tmp_path):
    """Such requests reach their handler without certificate and password; all others need both."""
    required = ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: clients.pem"
    site = Site(tmp_path).write(required, USERS)
    async with served(site.guard(insist=False), lambda request: request.path == "/token") as (
        server,
        session,
    ):
        assert (await get(session, server, "/token", site.trusting()))[0] == 200
        right = basic("secret")
        assert (await get(session, server, "/", site.trusting(), headers=right))[0] == 403
        assert (await get(session, server, "/", site.trusting("a.example")))[0] == 401
        assert (await get(session, server, "/", site.trusting("a.example"), headers=right))[0] == 200


async def test_tls_below_the_minimum_is_no_connection(tmp_path):
    """A client that speaks TLS 1.2 at most does not reach a server of 1.3."""
    site = Site(tmp_path).write(", min_version: TLS13")
    async with served(site.guard()) as (server, session):
        old = site.trusting()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((aiohttp.ClientError, OSError)):
            await get(session, server, context=old)
        assert (await get(session, server, context=site.trusting()))[0] == 200


async def serial_of(server, site):
    """The serial number of the certificate that a new connection is shown."""
    _reader, writer = await asyncio.open_connection(
        *server.addresses[0], ssl=site.trusting(), server_hostname="localhost"
    )
    found = writer.get_extra_info("ssl_object").getpeercert()["serialNumber"]
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return found


async def test_a_new_certificate_is_taken_up_and_no_connection_lost(tmp_path):
    """After a change on disk new connections see the new certificate; one that is open goes on being answered."""
    site = Site(tmp_path).write()
    guard = site.guard()
    async with served(guard) as (server, session):
        assert not guard.has_changed()
        before = await serial_of(server, site)
        reader, writer = await asyncio.open_connection(
            *server.addresses[0], ssl=site.trusting(), server_hostname="localhost"
        )
        site.issue()
        assert guard.has_changed()
        assert await server.reload() is None
        assert await serial_of(server, site) != before
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).endswith(b"hello")
        writer.close()
        assert not guard.has_changed()
        assert (await get(session, server, context=site.trusting()))[0] == 200


async def test_no_request_is_lost_while_certificates_change(tmp_path):
    """New connections all the time, from several clients, and forty changes meanwhile: every one is answered."""
    site = Site(tmp_path).write()
    ended, over = Counter(), asyncio.Event()

    async def client(server, context):
        while not over.is_set():
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
                ended[(await get(session, server, context=context))[0]] += 1

    async with served(site.guard()) as (server, _), asyncio.timeout(30):
        clients = [asyncio.create_task(client(server, site.trusting())) for _ in range(4)]
        for _ in range(40):
            await asyncio.sleep(0.02)
            site.issue()
            assert await server.reload() is None
        over.set()
        await asyncio.gather(*clients)
    assert ended.keys() == {200}


async def test_a_change_is_noticed_without_being_told(tmp_path, monkeypatch):
    """A running server looks at its files by itself: a renewed certificate and a new password count soon after."""
    monkeypatch.setattr("agent.web.server.CHECK_SECONDS", 0.02)
    site = Site(tmp_path).write()
    async with served(site.guard()) as (server, session):
        watching = asyncio.create_task(server.run())
        before = await serial_of(server, site)
        site.issue()
        async with asyncio.timeout(10):
            while await serial_of(server, site) == before:
                await asyncio.sleep(0.02)
        site.write("", USERS)
        async with asyncio.timeout(10):
            while (await get(session, server, context=site.trusting()))[0] != 401:
                await asyncio.sleep(0.02)
        watching.cancel()


@pytest.mark.parametrize("ends", [datetime(2040, 1, 2, tzinfo=UTC), datetime(2060, 1, 2, tzinfo=UTC)])
def test_the_certificate_that_is_shown_is_watched(tmp_path, ends):
    """Its end is known, also where the key stands first in the file; without TLS there is none."""
    issued = trustme.CA().issue_cert("127.0.0.1", not_after=ends)
    site = Site(tmp_path).write()
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "cert.pem")
    assert site.guard().certificate_expires_s == ends.timestamp()
    assert Guard().certificate_expires_s is None


async def test_a_wrong_change_is_refused_and_said_and_a_right_one_taken(tmp_path, caplog):
    """With a file that is wrong the configuration before it stays; the reload says what is wrong until it is right."""
    site = Site(tmp_path).write()
    async with served(site.guard()) as (server, session):
        before = await serial_of(server, site)
        (tmp_path / "cert.pem").write_text("no certificate")
        for _ in range(2):
            problem = await server.reload()
            assert "cert.pem" in problem
            assert "tls_server_config.cert_file" in problem
        assert await serial_of(server, site) == before
        assert len([r for r in caplog.records if r.levelno == logging.ERROR]) == 1
        site.issue()
        assert await server.reload() is None
        assert await serial_of(server, site) != before
        site.write(None, USERS)
        assert await server.reload() is None
        assert (await get(session, server))[0] == 401


@pytest.mark.debian
@pytest.mark.skipif(not installed(), reason="prometheus is not installed")
async def test_prometheus_scrapes_over_tls_with_certificate_and_password(tmp_path):
    """A real one with a client certificate and a password is served; its target is up."""
    required = (
        ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: clients.pem, min_version: TLS13"
    )
    site = Site(tmp_path).write(required, USERS)
    site.servers.cert_pem.write_to_path(tmp_path / "ca.pem")
    site.clients.issue_cert("scraper.example").private_key_and_cert_chain_pem.write_to_path(
        tmp_path / "scraper.pem"
    )
    view = view_of_one_peer(tmp_path)
    server = await exporting(view, guard=site.guard())
    own = str(tmp_path / "scraper.pem")
    scrape = {
        "scheme": "https",
        "tls_config": {"ca_file": str(tmp_path / "ca.pem"), "cert_file": own, "key_file": own},
        "basic_auth": {"username": "prometheus", "password": "secret"},
    }
    try:
        with PrometheusServer(tmp_path, server.addresses[0][1], **scrape) as prometheus:
            await asyncio.to_thread(prometheus.until, "up == 1 and on() lightfloor_build_info")
    finally:
        await server.close()
        view.responder.close()


@pytest.mark.parametrize(
    ("tls", "problem"),
    [
        (
            ", client_auth_type: VerifyClientCertIfGiven, client_ca_file: none.pem",
            "client_ca_file: .*cannot be read",
        ),
        (
            ", client_auth_type: VerifyClientCertIfGiven, client_ca_file: web.yml",
            "client_ca_file: .*no certificate",
        ),
    ],
)
def test_files_that_cannot_be_used_end_the_start(tmp_path, tls, problem):
    """The error names the key, the file and what is wrong with it."""
    with pytest.raises(ConfigError, match=problem):
        Site(tmp_path).write(tls).guard()


def test_an_encrypted_key_is_refused_without_asking(tmp_path):
    """No passphrase is waited for on a terminal that nobody sits at."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    site = Site(tmp_path).write()
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"x"),
    )
    (tmp_path / "cert.pem").write_bytes((tmp_path / "cert.pem").read_bytes() + key)
    (tmp_path / "key.pem").write_bytes(key)
    site.file.write_text("tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n")
    with pytest.raises(ConfigError, match="encrypted"):
        site.guard()
