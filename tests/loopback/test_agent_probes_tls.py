"""TLS against real servers on the loopback."""

import asyncio
import contextlib
import datetime as dt
import ssl

import pytest
import trustme

from agent.net.network import SystemNetwork
from agent.probes import tls
from agent.sample import Burst, Target
from agent.wire.series import Family, Outcome

NAME = "node.example"
ADDRESSES = {Family.IPV4: "127.0.0.1", Family.IPV6: "::1"}


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def ca_file(authority, tmp_path):
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


def server_context(certificate, **options):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    for name, value in options.items():
        setattr(context, name, value)
    return context


@contextlib.asynccontextmanager
async def serving(context=None, *, family=Family.IPV4, greeting=None):
    """A port that speaks TLS with the context, or writes the greeting and nothing else."""
    open_ends = []

    async def meet(reader, writer) -> None:
        open_ends.append(writer)
        if greeting is not None:
            writer.write(greeting)
        with contextlib.suppress(OSError, ssl.SSLError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(meet, ADDRESSES[family], 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in open_ends:
            writer.transport.abort()


class Looks:
    """Looks at one target with the probe's memory between them."""

    def __init__(self, port, *, family=Family.IPV4, timeout_seconds=5.0, **options) -> None:
        self.target = Target("x", family, ADDRESSES[family], port, host=NAME)
        self.options = tls.Options(**options)
        self.timeout_seconds, self.memory, self.events = timeout_seconds, {}, []

    async def look(self, port=None):
        samples, network = [], SystemNetwork()
        options = self.options if port is None else tls.Options(port=port, ca_file=self.options.ca_file)
        try:
            await tls.run(
                Burst(
                    options, self.timeout_seconds, [self.target], network,
                    lambda _target, sample: samples.append(sample),
                    lambda _target, kind, detail: self.events.append((kind, detail)), self.memory,
                )
            )  # fmt: skip
        finally:
            network.close()
        (sample,) = samples
        return sample


@pytest.mark.parametrize("family", list(Family))
async def test_a_good_server_shows_everything(authority, ca_file, family):
    """Times of both handshakes, protocol, key, days left, resumption, chain and name."""
    certificate = authority.issue_cert(NAME)
    async with serving(server_context(certificate), family=family) as port:
        sample = await Looks(port, family=family, ca_file=ca_file).look()
    found = sample.result
    assert (sample.outcome, sample.rtt_ns) == (Outcome.OK, None)
    assert found["tcp_handshake_ns"] > 0
    assert found["tls_handshake_ns"] > 0
    assert (found["protocol"], found["cipher"][:4]) == ("TLSv1.3", "TLS_")
    assert (found["chain_ok"], found["hostname_ok"], found["reason"]) == (True, True, "")
    assert found["resumed"] is True
    assert found["certificate_days_left"] > 1
    assert found["issuer"]


@pytest.mark.parametrize(
    ("kind", "shown"), [(trustme.KeyType.ECDSA, ("ECDSA", 256)), (trustme.KeyType.RSA, ("RSA", 2048))]
)
async def test_the_key_is_named(authority, ca_file, kind, shown):
    """Type and size of the certificate's key."""
    async with serving(server_context(authority.issue_cert(NAME, key_type=kind))) as port:
        found = (await Looks(port, ca_file=ca_file).look()).result
    assert (found["key_type"], found["key_bits"]) == shown


async def test_an_old_protocol_is_measured(authority, ca_file):
    """TLS 1.2 alone works, and resumes."""
    context = server_context(authority.issue_cert(NAME), maximum_version=ssl.TLSVersion.TLSv1_2)
    async with serving(context) as port:
        found = (await Looks(port, ca_file=ca_file).look()).result
    assert (found["protocol"], found["resumed"]) == ("TLSv1.2", True)


async def test_a_server_without_sessions_is_not_resumed(authority, ca_file):
    """No ticket, no resumption: False or unknown, never True."""
    context = server_context(authority.issue_cert(NAME), num_tickets=0)
    async with serving(context) as port:
        found = (await Looks(port, ca_file=ca_file).look()).result
    assert not found["resumed"]


async def test_an_expired_certificate_is_reported_not_fatal(authority, ca_file):
    """The look succeeds, the chain does not verify, the days left are negative."""
    old = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    async with serving(server_context(authority.issue_cert(NAME, not_after=old))) as port:
        sample = await Looks(port, ca_file=ca_file).look()
    assert sample.outcome is Outcome.OK
    assert (sample.result["chain_ok"], sample.result["hostname_ok"]) == (False, True)
    assert "expired" in sample.result["reason"]
    assert sample.result["certificate_days_left"] < 0


async def test_a_wrong_name_is_reported_not_fatal(authority, ca_file):
    """The chain verifies, the name does not, and the reason has both names."""
    async with serving(server_context(authority.issue_cert("other.example"))) as port:
        found = (await Looks(port, ca_file=ca_file).look()).result
    assert (found["chain_ok"], found["hostname_ok"]) == (True, False)
    assert "other.example" in found["reason"]
    assert NAME in found["reason"]


async def test_an_unknown_authority_is_reported_not_fatal(authority):
    """Against the host's own authorities this chain ends nowhere."""
    async with serving(server_context(authority.issue_cert(NAME))) as port:
        sample = await Looks(port).look()
    assert sample.outcome is Outcome.OK
    assert sample.result["chain_ok"] is False
    assert sample.result["reason"]


async def test_a_missing_ca_file_is_this_hosts_failure(authority):
    """Named with the file, and no loss of the path."""
    async with serving(server_context(authority.issue_cert(NAME))) as port:
        sample = await Looks(port, ca_file="/nonexistent.pem").look()
    assert sample.outcome is Outcome.FAILED
    assert "/nonexistent.pem" in sample.detail


async def test_garbage_is_no_tls():
    """A server that speaks something else answered, but not this."""
    async with serving(greeting=b"SSH-2.0-nothing\r\n" * 10) as port:
        sample = await Looks(port).look()
    assert (sample.outcome, sample.result) == (Outcome.INVALID, None)
    assert sample.detail.startswith("no TLS")


async def test_silence_after_tcp_is_a_timeout():
    """Connected, and then nothing."""
    async with serving() as port:
        sample = await Looks(port, timeout_seconds=0.3).look()
    assert sample.outcome is Outcome.TIMEOUT
    assert "TLS" in sample.detail


async def test_a_closed_port_is_refused():
    """As the tcp probe says it."""
    async with serving() as port:
        pass
    assert (await Looks(port).look()).outcome is Outcome.REFUSED


async def test_the_first_key_and_each_new_one_are_events(authority, ca_file):
    """What the peer shows is compared with the last look, the first time with none."""
    looks = Looks(0, ca_file=ca_file)
    for kind in (trustme.KeyType.ECDSA, trustme.KeyType.ECDSA, trustme.KeyType.RSA):
        async with serving(server_context(authority.issue_cert(NAME, key_type=kind))) as port:
            await looks.look(port)
    assert [kind for kind, _ in looks.events] == ["tls", "tls"]
    (_, first), (_, then) = looks.events
    assert (first["before"], first["after"]["key_type"]) == (None, "ECDSA")
    assert (then["before"]["key_type"], then["after"]["key_type"]) == ("ECDSA", "RSA")
