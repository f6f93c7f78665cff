"""What peers probe accepts and closes, says nothing, and is no way to load this host."""

import asyncio
import os
import resource
import socket

import pytest

from agent.net.respond import Responder


@pytest.fixture
async def responder():
    made = Responder("127.0.0.1", 0, 1000.0)
    yield made
    made.close()


async def talk(host, port, payload=b""):
    """What the other side sends and how it ends the connection: b"" by FIN, None by RST."""
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except ConnectionResetError:
        return None
    try:
        if payload:
            writer.write(payload)
        return await reader.read()
    except ConnectionResetError:
        return None
    finally:
        writer.close()


async def test_it_accepts_and_closes_without_a_byte(responder):
    """A connection ends by FIN at once, with nothing sent."""
    assert [await talk("127.0.0.1", responder.port) for _ in range(5)] == [b""] * 5
    assert (responder.closed, responder.limited) == (5, 0)


async def test_whatever_is_sent_to_it_nothing_comes_back(responder):
    """It cannot be used to amplify: payload is answered by the end of the connection."""
    for payload in (b"GET / HTTP/1.0\r\n\r\n", bytes(100_000)):
        assert await talk("127.0.0.1", responder.port, payload) in (b"", None)


async def test_above_its_rate_a_source_is_reset():
    """One second's worth passes, the rest is reset; another source has its own rate."""
    responder = Responder("127.0.0.1", 0, 5.0)
    try:
        ends = [await talk("127.0.0.1", responder.port) for _ in range(20)]
        assert 5 <= ends.count(b"") <= 8
        assert ends[0] == b""
        assert ends[-1] is None
        assert responder.closed == ends.count(b"")
        assert responder.limited == ends.count(None)
        loop = asyncio.get_running_loop()
        with socket.socket() as other:
            other.setblocking(False)
            other.bind(("127.0.0.2", 0))
            await loop.sock_connect(other, ("127.0.0.1", responder.port))
            assert await loop.sock_recv(other, 1) == b""
    finally:
        responder.close()


async def test_without_a_host_it_answers_both_families():
    """The default listens on IPv4 and IPv6 alike."""
    responder = Responder(None, 0, 1000.0)
    try:
        assert await talk("127.0.0.1", responder.port) == b""
        assert await talk("::1", responder.port) == b""
    finally:
        responder.close()


async def test_an_address_in_use_is_an_error(responder):
    """A second responder on the same port says so, and leaves no socket."""
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="in use"):
        Responder("127.0.0.1", responder.port, 1.0)
    assert len(os.listdir("/proc/self/fd")) == before


async def test_out_of_descriptors_it_neither_spins_nor_dies(responder, caplog):
    """While accept fails there is a pause between tries; afterwards it answers again."""
    waiting = socket.create_connection(("127.0.0.1", responder.port))
    await asyncio.sleep(0.05)
    waiting.close()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    client = socket.socket()
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        client.connect(("127.0.0.1", responder.port))
        await asyncio.sleep(0.3)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caplog.text.count("cannot accept") == 1
    client.setblocking(False)
    assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 1), 5) == b""
    client.close()
