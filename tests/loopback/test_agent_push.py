"""Batches reach the collector in order, once acknowledged they are gone, and nothing else makes them go."""

import asyncio
import gzip
import os
import ssl
import time
from contextlib import suppress

import pytest
import trustme
from aiohttp import web

from agent import push
from agent.net.collector import Collector
from agent.push import Pusher
from agent.spool import Spool
from scripted_collector import ScriptedCollector

TIMEOUT_SECONDS = 0.5


class Desk:
    """A spool, a pusher and the collector they push to."""

    def __init__(self, tmp_path, server, url=None, ca_file=None):
        self.token_file = tmp_path / "token"
        self.token_file.write_text("secret-1\n")
        self._folder = tmp_path / "spool"
        self.server = server
        self.collector = Collector(url or server.url, self.token_file, ca_file, TIMEOUT_SECONDS)
        self.restart()

    def restart(self):
        """A new spool on the same folder, and who empties it, as after a start of the agent."""
        self.spool = Spool(self._folder, 10**9, 10**6)
        self.pusher = Pusher(self.spool, self.collector, "here")

    async def append(self, *numbers):
        for n in numbers:
            await self.spool.append(b"batch %d" % n, windows=2)
        self.pusher.wake()

    async def emptied(self, seconds=20):
        """Run the pusher until the spool is empty."""
        running = asyncio.create_task(self.pusher.run())
        try:
            async with asyncio.timeout(seconds):
                while len(self.spool):
                    await asyncio.sleep(0.005)
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


@pytest.fixture
async def desks(tmp_path, monkeypatch):
    """Makes desks and closes them."""
    monkeypatch.setattr(push, "_FIRST_BACKOFF_SECONDS", 0.02)
    made = []

    async def make(*answers, **changes):
        server = await ScriptedCollector(*answers).start()
        made.append(Desk(tmp_path, server, **changes))
        return made[-1]

    yield make
    for desk in made:
        await desk.collector.close()
        await desk.server.stop()


async def test_batches_go_in_order_and_are_deleted_when_acknowledged(desks):
    """Compressed, with the token, each once; the books say so."""
    desk = await desks()
    await desk.append(*range(5))
    await desk.emptied()
    assert desk.server.posted == [b"batch %d" % n for n in range(5)]
    headers = desk.server.asked[0].headers
    assert headers["Authorization"] == "Bearer secret-1"
    assert headers["Content-Encoding"] == "gzip"
    assert headers["Content-Type"] == "application/json"
    assert (desk.pusher.state.sent_batches, desk.pusher.state.sent_windows) == (5, 10)
    assert desk.pusher.state.last_success_wall_s is not None


@pytest.mark.parametrize("status", [500, 502, 503, 507, 429, 408, 401, 403, 404, 405, 425, 301, 304])
async def test_what_is_not_the_batches_fault_is_tried_again(desks, status):
    """Busy, full, wrong token, a proxy's page: the same batch again, before any other, until it is taken."""
    desk = await desks(status, status, status)
    await desk.append(0, 1)
    await desk.emptied()
    assert desk.server.posted == [b"batch 0"] * 4 + [b"batch 1"]
    assert desk.pusher.state.failures == {f"http_{status}": 3}
    assert desk.spool.lost_windows["rejected"] == 0


async def redirect(request):
    if request.path == "/elsewhere":
        return web.Response(text="welcome")
    raise web.HTTPFound("/elsewhere")


async def test_a_redirect_is_no_acknowledgement(desks):
    """A portal that redirects and then answers 200 does not get the batch deleted."""
    desk = await desks(redirect, redirect)
    await desk.append(0)
    await desk.emptied()
    assert [asked.path for asked in desk.server.asked] == ["/v1/batches"] * 3


@pytest.mark.parametrize("status", [400, 413, 415, 422])
async def test_what_can_never_be_stored_is_set_aside(desks, status, tmp_path, caplog):
    """It does not block those behind it; its windows are counted as lost, and it is kept for a person."""
    desk = await desks(200, status)
    await desk.append(0, 1, 2)
    await desk.emptied()
    assert desk.server.posted == [b"batch 0", b"batch 1", b"batch 2"]
    assert desk.spool.lost_windows["rejected"] == 2
    assert len(list((tmp_path / "spool" / "rejected").iterdir())) == 1
    assert [record.error for record in caplog.records if record.levelname == "ERROR"] == [f"status {status}"]


async def test_what_a_wrong_clock_of_ours_has_written_does_not_wait_for_it_to_come_true(desks):
    """A batch ahead of the collector's clock and of our own is given up: the clock that wrote it was set back."""
    desk = await desks(425)
    await desk.append(0)
    ahead_s = time.time() + 90_000
    os.utime(desk.spool.oldest().path, (ahead_s, ahead_s))
    desk.restart()
    await desk.append(1)
    await desk.emptied()
    assert desk.server.posted == [b"batch 0", b"batch 1"]
    assert desk.spool.lost_windows["rejected"] == 2


async def test_after_a_rename_old_batches_are_kept_and_new_ones_get_through(desks, tmp_path, caplog):
    """The new name's token cannot send what the old name measured: said once, nothing deleted, nothing held up."""
    desk = await desks(403, 403, 200)
    old = [b'{"schema": 2, "node": "before", "windows": []}', b'{"node": "before"}']
    for body in (*old, b'{"node": "here"}'):
        await desk.spool.append(body, windows=2)
    await desk.emptied()
    assert desk.server.posted == [*old, b'{"node": "here"}']
    kept = sorted((tmp_path / "spool" / "renamed").iterdir())
    assert [gzip.decompress(file.read_bytes()) for file in kept] == old
    assert desk.spool.lost_windows["renamed"] == 4
    told = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [(record.former, record.node) for record in told] == [("before", "here")]
    for file in kept:  # renamed back: moved back, they are sent after the next start
        file.rename(tmp_path / "spool" / file.name)
    desk.restart()
    await desk.emptied()
    assert desk.server.posted[-2:] == old


async def test_a_token_of_another_node_is_waited_for(desks):
    """403 to a batch of this very node: the token is the wrong one, which somebody can mend; nothing is put aside."""
    desk = await desks(403, 403)
    await desk.spool.append(b'{"node": "here"}', windows=2)
    await desk.emptied()
    assert desk.server.posted == [b'{"node": "here"}'] * 3
    assert sum(desk.spool.lost_windows.values()) == 0


async def test_a_collector_that_is_away_gets_everything_when_it_is_back(desks):
    """Refused connections are tried again; nothing is lost and the order is kept."""
    desk = await desks()
    port = desk.server.port
    await desk.server.stop()
    await desk.append(0, 1, 2)
    running = asyncio.create_task(desk.emptied())
    while desk.pusher.state.failures.get("ClientConnectorError", 0) < 3:
        await asyncio.sleep(0.005)
    assert len(desk.spool) == 3
    await desk.server.start(port)
    await running
    assert desk.server.posted == [b"batch 0", b"batch 1", b"batch 2"]


async def slow(request):
    await asyncio.sleep(TIMEOUT_SECONDS * 4)
    return web.Response()


async def cut_off(request):
    request.transport.close()
    return web.Response()


@pytest.mark.parametrize("trouble", [slow, cut_off])
async def test_an_answer_that_does_not_come_is_a_failure(desks, trouble):
    """A slow collector or a broken connection: the batch is sent again, since nobody knows whether it was stored."""
    desk = await desks(trouble)
    await desk.append(0)
    await desk.emptied()
    assert desk.server.posted == [b"batch 0"] * 2
    assert sum(desk.pusher.state.failures.values()) == 1


async def test_a_rotated_token_is_used_at_once(desks):
    """The token is read from its file for each request; a file that is away is a failure to try again."""
    desk = await desks(401, 401)
    await desk.append(0)
    running = asyncio.create_task(desk.emptied())
    await desk.server.wait_for(1)
    desk.token_file.unlink()
    while "FileNotFoundError" not in desk.pusher.state.failures:
        await asyncio.sleep(0.005)
    desk.token_file.write_text("secret-2")
    await running
    tokens = [asked.headers["Authorization"] for asked in desk.server.asked]
    assert tokens[0] == "Bearer secret-1"
    assert tokens[-1] == "Bearer secret-2"


async def test_a_token_that_is_no_header_is_a_failure_not_a_crash(desks):
    """Line breaks and other bytes in the token file are reported and waited out."""
    desk = await desks()
    await desk.append(0)
    for bad in ("two\nlines", "caf\xe9"):
        desk.token_file.write_text(bad, encoding="latin-1")
        assert await desk.pusher.drain() is False
    desk.token_file.write_text("secret")
    assert await desk.pusher.drain() is True
    assert sum(desk.pusher.state.failures.values()) == 2


async def test_an_unreadable_spool_is_waited_out(desks, monkeypatch):
    """Out of descriptors the pusher goes on later; no batch is lost and no task dies."""
    desk = await desks()
    await desk.append(0)
    with monkeypatch.context() as broken:
        broken.setattr("pathlib.Path.read_bytes", too_many_files)
        assert await desk.pusher.drain() is False
    assert desk.pusher.state.failures == {"spool": 1}
    assert await desk.pusher.drain() is True
    assert desk.server.posted == [b"batch 0"]


def too_many_files(_path):
    raise OSError(24, "Too many open files")


async def test_a_damaged_batch_does_not_stop_the_others(desks):
    """It is set aside and the next one goes."""
    desk = await desks()
    await desk.append(0, 1)
    desk.spool.oldest().path.write_bytes(b"rubbish")
    await desk.emptied()
    assert desk.server.posted == [b"batch 1"]
    assert desk.spool.lost_windows["corrupt"] == 2


async def test_the_backoff_grows_and_is_bounded(desks, monkeypatch):
    """Waits between tries double from the first to the last, jittered by at most half, and start anew after a success."""
    waits = []
    real_sleep = asyncio.sleep

    async def sleep(seconds):
        waits.append(seconds)
        await real_sleep(0)

    monkeypatch.setattr(push.asyncio, "sleep", sleep)
    monkeypatch.setattr(push, "_FIRST_BACKOFF_SECONDS", 1.0)
    desk = await desks(*[503] * 9, 200, 503)
    await desk.append(0, 1)
    running = asyncio.create_task(desk.pusher.run())
    while len(desk.spool):
        await real_sleep(0.002)
    running.cancel()
    for wait, ceiling in zip(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60, 1], strict=False):
        assert ceiling / 2 <= wait <= ceiling
    assert len(waits) == 10


async def test_https_with_the_fleets_own_authority(desks, tmp_path):
    """With ca_file the collector's certificate is checked against it; without, or with another, nothing is sent."""
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    server = await ScriptedCollector().start(tls=tls)
    ca_file, other_ca = tmp_path / "ca.pem", tmp_path / "other.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    trustme.CA().cert_pem.write_to_path(str(other_ca))
    url = f"https://127.0.0.1:{server.port}"
    for trusted in (None, str(other_ca)):
        desk = await desks(url=url, ca_file=trusted)
        await desk.append(0)
        assert await desk.pusher.drain() is False
        assert server.asked == []
    desk = await desks(url=url, ca_file=str(ca_file))
    await desk.emptied()
    assert server.posted == [b"batch 0"] * 2
    await server.stop()


async def test_a_ca_file_that_cannot_be_used_is_named(tmp_path):
    """Missing or not a certificate: one error that says which file."""
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("not a certificate")
    for path in (tmp_path / "none.pem", rubbish):
        with pytest.raises(OSError, match=f"collector.ca_file {path}: "):
            Collector("https://127.0.0.1:1", tmp_path / "token", str(path), 1.0)
