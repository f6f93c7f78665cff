"""Names are looked up in the background; a probe finds the latest address, and a broken resolver is no broken path."""

import asyncio
import socket
import threading

import pytest

from agent.net.resolve import Resolver, is_literal, lookup
from agent.wire.series import Family

V4, V6 = Family.IPV4, Family.IPV6


class ScriptedDns:
    """In place of the C library's resolver: what each name answers, changed by the test as it goes."""

    def __init__(self, monkeypatch):
        self.answers = {}
        self.asked = []
        self.at_once = self.most_at_once = 0
        self.gate = threading.Event()
        self.gate.set()
        monkeypatch.setattr(socket, "getaddrinfo", self)

    def __call__(self, host, port, family=0, kind=0, *_):
        self.asked.append(host)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.gate.wait(10)
        self.at_once -= 1
        answer = self.answers.get(host, ["192.0.2.99"])
        if isinstance(answer, Exception):
            raise answer
        return [(family, kind, 6, "", (address, port)) for address in answer]


@pytest.fixture
def dns(monkeypatch):
    made = ScriptedDns(monkeypatch)
    yield made
    made.gate.set()


@pytest.mark.parametrize(
    ("host", "family", "literal"),
    [
        ("192.0.2.1", V4, True),
        ("192.0.2.1", V6, False),
        ("::1", V6, True),
        ("fe80::1%eth0", V6, True),
        ("a.b", V4, False),
    ],
)
def test_literals(host, family, literal):
    """An address of its own family needs no look-up."""
    assert is_literal(host, family) is literal


async def test_the_systems_resolver_answers():
    """localhost, from /etc/hosts."""
    assert "127.0.0.1" in await lookup("localhost", V4)


@pytest.mark.parametrize("host", ["a" * 64, "a..b", ".", "\udc80", "no such host"])
async def test_what_is_no_name_is_an_oserror(host):
    """Never another exception, whatever stands in a file."""
    with pytest.raises(OSError, match=r".+"):
        await lookup(host, V4)


async def test_a_name_that_fails_keeps_its_last_address(dns):
    """The error is there to be shown, the address to be probed; a name never known has none."""
    resolver = Resolver(0.02)
    dns.answers = {"bad": socket.gaierror(-2, "Name or service not known")}
    await resolver.want([("good", V4), ("bad", V4), ("192.0.2.5", V4)])
    assert resolver.address("192.0.2.5", V4) == "192.0.2.5"
    assert resolver.address("good", V4) == "192.0.2.99"
    assert resolver.address("bad", V4) is None
    assert resolver.error("bad", V4) == "Name or service not known"
    task = asyncio.create_task(resolver.keep_fresh())
    dns.answers = {"good": socket.gaierror(-3, "Temporary failure"), "bad": ["192.0.2.7"]}
    while not (resolver.error("good", V4) and resolver.address("bad", V4)):
        await asyncio.sleep(0.005)
    task.cancel()
    assert resolver.address("good", V4) == "192.0.2.99"
    assert resolver.error("good", V4) == "Temporary failure"
    assert resolver.error("bad", V4) == ""
    assert "192.0.2.5" not in dns.asked


async def test_a_name_with_many_addresses_stays_at_the_one_in_use(dns):
    """A rotating answer does not make a path jump between hosts; one that is gone does."""
    resolver = Resolver(0.01)
    dns.answers = {"pool": ["192.0.2.1", "192.0.2.2"]}
    await resolver.want([("pool", V4)])
    dns.answers = {"pool": ["192.0.2.2", "192.0.2.1"]}
    task = asyncio.create_task(resolver.keep_fresh())
    asked = len(dns.asked)
    while len(dns.asked) < asked + 3:
        await asyncio.sleep(0.005)
    assert resolver.address("pool", V4) == "192.0.2.1"
    dns.answers = {"pool": ["192.0.2.2"]}
    while resolver.address("pool", V4) != "192.0.2.2":
        await asyncio.sleep(0.005)
    task.cancel()


async def test_a_deaf_resolver_is_not_waited_for_and_not_flooded(dns, monkeypatch):
    """`want` returns though nothing answers; at most a few threads hang, and no name is asked twice at once."""
    monkeypatch.setattr("agent.net.resolve._PATIENCE_SECONDS", 0.05)
    dns.gate.clear()
    resolver = Resolver(0.01)
    names = [(f"n{n}", V4) for n in range(50)]
    await resolver.want(names)
    task = asyncio.create_task(resolver.keep_fresh())
    await resolver.want(names)
    await asyncio.sleep(0.1)
    assert resolver.address("n0", V4) is None
    assert resolver.error("n0", V4) == "not looked up yet"
    assert dns.most_at_once <= 8
    assert len(dns.asked) <= 8
    dns.gate.set()
    while any(resolver.address(host, V4) is None for host, _ in names):
        await asyncio.sleep(0.005)
    task.cancel()


async def test_names_no_longer_wanted_are_forgotten(dns):
    """They are neither looked up nor remembered."""
    resolver = Resolver(60)
    await resolver.want([("old", V4)])
    await resolver.want([("new", V4)])
    assert resolver.address("old", V4) is None
    assert resolver.address("new", V4) == "192.0.2.99"
