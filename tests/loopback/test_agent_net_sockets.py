import asyncio
import contextlib
import shutil
import socket

import pytest
import uvloop

import agent.net.sockets
from agent.net.netlink import NetlinkUnavailableError
from agent.net.process import ProcessResult
from agent.net.sockets import SocketReader, SocketsUnavailableError
from agent.socket_groups import SocketGroup


@contextlib.contextmanager
def connection(family, address):
    """A connected pair of TCP sockets over loopback."""
    with socket.socket(family) as listener:
        listener.bind((address, 0))
        listener.listen()
        with socket.create_connection(listener.getsockname()[:2]) as client:
            server, _ = listener.accept()
            with server:
                yield client, server


def transfer(client, server, size):
    """Send this many bytes and take them all."""
    sent = 0
    while sent < size:
        sent += client.send(bytes(min(65536, size - sent)))
        server.recv(65536, socket.MSG_WAITALL) if size - sent >= 65536 else server.recv(65536)


async def barred_dump(request, feed):
    """Stands for a sandbox without netlink."""
    raise NetlinkUnavailableError("no netlink socket: barred")


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_connections_of_both_families_are_read_and_their_bytes_counted(loop_factory):
    """What was sent between two readings over IPv4 and IPv6 appears in the group of its port, on either loop."""
    with connection(socket.AF_INET, "127.0.0.1") as four, connection(socket.AF_INET6, "::1") as six:
        ports = tuple(pair[1].getsockname()[1] for pair in (four, six))
        reader = SocketReader(
            [SocketGroup("here", ("127.0.0.1", "::1"), ports), SocketGroup("elsewhere", ("192.0.2.1",))]
        )
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            first = runner.run(reader.read())
            transfer(*four, 2_000_000)
            transfer(*six, 1_000_000)
            second = runner.run(reader.read())
    here = second.groups["here"]
    assert first.groups["here"].connections == here.connections == 4
    assert here.traffic.unit == "bytes"
    assert 3_000_000 <= here.traffic.sent <= 3_300_000
    assert here.rtt_seconds.minimum > 0
    assert (here.opened, here.closed) == (0, 0)
    assert second.groups["elsewhere"].connections == 0
    assert second.source == "inet_diag"


@pytest.mark.debian
@pytest.mark.skipif(shutil.which("ss") is None, reason="iproute2 is not installed")
def test_ss_serves_where_netlink_is_barred(monkeypatch):
    """The same groups and bytes from text, said to be from `ss`; and netlink again as soon as it is there."""
    with connection(socket.AF_INET, "127.0.0.1") as pair:
        group = SocketGroup("here", ("127.0.0.1",), (pair[1].getsockname()[1],))
        reader = SocketReader([group])
        asyncio.run(reader.read())
        with monkeypatch.context() as patched:
            patched.setattr(agent.net.sockets, "dump", barred_dump)
            transfer(*pair, 1000)
            first = asyncio.run(reader.read())
            transfer(*pair, 2_000_000)
            second = asyncio.run(reader.read())
        third = asyncio.run(reader.read())
    assert first.source == second.source == "ss"
    assert first.groups["here"].traffic is None, "totals of one source are not compared with those of another"
    assert second.groups["here"].connections == 2
    assert 2_000_000 <= second.groups["here"].traffic.sent <= 2_200_000
    assert (third.source, third.groups["here"].traffic) == ("inet_diag", None)


@pytest.mark.debian
@pytest.mark.skipif(shutil.which("ss") is None, reason="iproute2 is not installed")
def test_a_listing_without_bytes_is_not_compared_with_one_of_bytes(monkeypatch):
    """Before anything is sent `ss` shows segments only; their number is not taken from a number of bytes."""
    monkeypatch.setattr(agent.net.sockets, "dump", barred_dump)
    monkeypatch.setattr(agent.net.sockets, "SS_COMMAND", ("true",))
    reader = SocketReader([SocketGroup("any")])
    asyncio.run(reader.read())
    monkeypatch.undo()
    monkeypatch.setattr(agent.net.sockets, "dump", barred_dump)
    with connection(socket.AF_INET, "127.0.0.1") as pair:
        transfer(*pair, 1000)
        assert asyncio.run(reader.read()).groups["any"].traffic is None


def test_where_neither_works_both_reasons_are_given(monkeypatch):
    """No netlink and no `ss`: one error that says why of each."""

    async def failing(argv, **_):
        return ProcessResult(1, b"", b"Cannot open netlink socket: Permission denied\n")

    monkeypatch.setattr(agent.net.sockets, "dump", barred_dump)
    monkeypatch.setattr(agent.net.sockets, "run_process", failing)
    with pytest.raises(SocketsUnavailableError, match=r"barred; ss failed: Cannot open netlink"):
        asyncio.run(SocketReader([]).read())
