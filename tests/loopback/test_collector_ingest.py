import asyncio
import contextlib
import gzip
import json
import random
import sqlite3

import aiohttp
import msgspec
import pytest
import zstandard
from aiohttp import web

from agent.wire.assignment import Assignment, Peer
from agent.wire.batch import SCHEMA, encode
from collector import ingest
from collector.store import tokens
from collector.store.database import Database
from collector.store.query import load
from collector.store.retention import Retention
from collector.store.schema import open_writer
from collector.store.tiers import Period
from tests.batches import DAY, batch, random_window, series, window

NOW = DAY + 7200
BODY, PLAIN = 20_000, 100_000


class Collector:
    """A collector's agent-facing half on a port of its own."""

    def __init__(self, url, session, token, database, handlers, assignments):
        self.url, self.session, self.token = url, session, token
        self.database, self.handlers, self.assignments = database, handlers, assignments

    async def post(self, body, token=None, **headers):
        headers = {"Authorization": f"Bearer {token or self.token}", **headers}
        async with self.session.post(f"{self.url}/v1/batches", data=body, headers=headers) as response:
            return response.status, await response.json(), response.headers

    async def stored(self):
        return (await self.database.read(lambda c: load(c, Period(DAY, NOW))))[1]


@contextlib.asynccontextmanager
async def running(tmp_path, **bounds):
    path = tmp_path / "store.db"
    writer = open_writer(path)
    token = tokens.enroll(writer, "ams", NOW)
    writer.close()
    database = Database(path, Retention(), lambda: NOW)
    assignments = {}
    handlers = ingest.Ingest(
        database, assignments.get, **{"body_bytes": BODY, "decompressed_bytes": PLAIN, **bounds}
    )
    app = web.Application()
    app.add_routes([operation.route() for operation in handlers.operations()])
    runner = web.AppRunner(app, auto_decompress=False)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    try:
        async with aiohttp.ClientSession() as session:
            yield Collector(f"http://{host}:{port}", session, token, database, handlers, assignments)
    finally:
        await runner.cleanup()
        await asyncio.to_thread(database.close)


@pytest.mark.parametrize(
    ("encoding", "encoder"),
    [
        ("identity", bytes),
        ("gzip", gzip.compress),
        ("zstd", zstandard.compress),
        ("ZSTD", zstandard.compress),
    ],
)
async def test_a_batch_is_stored_whatever_its_encoding(tmp_path, encoding, encoder):
    """200 means that the windows can be read, by anyone, at once."""
    async with running(tmp_path) as collector:
        body = encoder(encode(batch([window()])))
        status, answer, _ = await collector.post(body, **{"Content-Encoding": encoding})
        assert (status, answer) == (200, {"result": "stored"})
        assert (await collector.stored())[series()].clean.rtt.count == 1


async def test_the_schema_before_this_one_is_still_taken(tmp_path):
    """Agents need not be updated on the same day as the collector."""
    async with running(tmp_path) as collector:
        assert (await collector.post(_altered(schema=SCHEMA - 1)))[0] == 200


async def test_a_repeat_is_answered_with_200_and_changes_nothing(tmp_path):
    """An agent that missed the answer may send again without harm."""
    async with running(tmp_path) as collector:
        body = encode(batch([window()]))
        answers = [await collector.post(body) for _ in range(3)]
        assert [answer[:2] for answer in answers] == [
            (200, {"result": "stored"}),
            (200, {"result": "repeated"}),
            (200, {"result": "repeated"}),
        ]
        assert (await collector.stored())[series()].clean.rtt.count == 1
        assert collector.handlers.counters.windows == 1


def _altered(**changes):
    document = msgspec.json.decode(encode(batch([window()])))
    return json.dumps({**document, **changes}).encode()


def _window_altered(**changes):
    document = msgspec.json.decode(encode(batch([window()])))
    document["windows"][0].update(changes)
    return json.dumps(document).encode()


FAULTS = {
    "empty": (b"", {}, 400),
    "not json": (b"\x00\xff{", {}, 400),
    "truncated json": (encode(batch([window()]))[:-5], {}, 400),
    "not utf-8": (b'{"schema": 1, "node": "\xff"}', {}, 400),
    "deep nesting": (b'{"schema": 1, "x": ' + b"[" * 5000 + b"]" * 5000 + b"}", {}, 400),
    "zstd that is none": (b"{}", {"Content-Encoding": "zstd"}, 400),
    "truncated zstd": (zstandard.compress(_altered())[:-5], {"Content-Encoding": "zstd"}, 400),
    "truncated gzip": (gzip.compress(_altered())[:-5], {"Content-Encoding": "gzip"}, 400),
    "no token": (_altered(), {"Authorization": ""}, 401),
    "wrong token": (_altered(), {"Authorization": "Bearer AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}, 401),
    "other scheme": (_altered(), {"Authorization": "Basic YW1zOmFtcw=="}, 401),
    "token that is no text": (_altered(), {"Authorization": "Bearer \udcff\udcfe"}, 401),
    "batch of another node": (encode(batch([window(series("fra", "ams"))], node="fra")), {}, 403),
    "windows of another node": (encode(batch([window(series("fra", "ams"))])), {}, 403),
    "larger than allowed": (b" " * (BODY + 1), {}, 413),
    "bomb in gzip": (gzip.compress(bytes(50 * 2**20), 9)[:BODY], {"Content-Encoding": "gzip"}, 413),
    "bomb in zstd": (zstandard.compress(bytes(50 * 2**20)), {"Content-Encoding": "zstd"}, 413),
    "encoding unknown": (_altered(), {"Content-Encoding": "br"}, 415),
    "two encodings": (_altered(), {"Content-Encoding": "gzip, zstd"}, 415),
    "other schema": (_altered(schema=99), {}, 422),
    "no schema": (b"{}", {}, 422),
    "list": (b"[]", {}, 422),
    "unknown key": (_altered(extra=1), {}, 422),
    "bad boot": (_altered(boot="xyz"), {}, 422),
    "negative sequence": (_altered(sequence=-1), {}, 422),
    "huge sequence": (_altered(sequence=2**53 + 1), {}, 422),
    "bad node name": (_altered(node="../etc"), {}, 422),
    "contradictory counts": (_window_altered(judged=7), {}, 422),
    "unknown outcome": (_window_altered(outcomes={"fine": 1}), {}, 422),
    "far future": (_window_altered(start_s=NOW + 90_000), {}, 425),
    "fractional count": (_window_altered(length_s=1.5), {}, 422),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_each_bad_batch_has_its_status_and_leaves_nothing(tmp_path, fault):
    """Every fault is one line of JSON with the right status; nothing is stored and the next good batch is."""
    body, headers, expected = FAULTS[fault]
    async with running(tmp_path) as collector:
        status, answer, response_headers = await collector.post(body, **headers)
        assert status == expected
        if expected != 200:
            assert list(answer) == ["title", "status", "detail"]
            assert "\n" not in answer["detail"]
            assert collector.token not in answer["detail"]
            assert await collector.stored() == {}
        assert ("WWW-Authenticate" in response_headers) == (expected == 401)
        assert (await collector.post(encode(batch([window()], sequence=9))))[0] == 200


async def test_a_body_that_does_not_tell_its_length_is_bounded_too(tmp_path):
    """Chunked, endless, and ended by us: the bound holds for what arrives, not for what was announced."""
    sent = 0

    async def endless():
        nonlocal sent
        while sent < 500 * BODY:
            sent += 1000
            yield b" " * 1000

    async with running(tmp_path) as collector:
        with contextlib.suppress(aiohttp.ClientError):  # the connection may be cut while we still send
            assert (await collector.post(endless()))[0] == 413
        assert sent < 500 * BODY
        assert collector.handlers.counters.responses == {413: 1}
        assert (await collector.post(encode(batch([window()]))))[0] == 200


async def test_any_damage_to_a_good_batch_is_refused_or_harmless(tmp_path):
    """Thousands of flipped, cut and doubled bytes never crash the collector nor give a 500."""
    rng = random.Random(1)
    good = encode(batch([random_window(rng, series(), DAY + 60 * i) for i in range(3)]))
    async with running(tmp_path) as collector:
        statuses = set()
        for _ in range(400):
            body = bytearray(good)
            for _ in range(rng.randrange(1, 4)):
                at = rng.randrange(len(body))
                body[at : at + rng.randrange(3)] = rng.choice(
                    (b"", b"9", b"9" * 400, b'"', b"\xff", b"-", b"}", b"e9")
                )
            statuses.add((await collector.post(bytes(body)))[0])
        assert statuses <= {200, 400, 403, 422}
        assert {400, 422} <= statuses


async def test_a_body_that_lies_about_its_length_or_stalls_is_ended(tmp_path, monkeypatch):
    """A client that stops in the middle is answered or dropped; others are served meanwhile."""
    monkeypatch.setattr(ingest, "BODY_SECONDS", 0.3)
    async with running(tmp_path) as collector:
        host, port = collector.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /v1/batches HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {collector.token}\r\n"
        writer.write(head.encode() + b"Content-Length: 500\r\n\r\n{")
        await writer.drain()
        assert (await collector.post(encode(batch([window()]))))[0] == 200
        assert b" 408 " in await asyncio.wait_for(reader.readline(), 10)
        writer.close()
        await writer.wait_closed()


async def test_a_client_that_goes_away_leaves_no_trace(tmp_path):
    """A connection cut inside a body stores nothing and frees its place."""
    async with running(tmp_path) as collector:
        host, port = collector.url.removeprefix("http://").split(":")
        for _ in range(5):
            _, writer = await asyncio.open_connection(host, int(port))
            head = f"POST /v1/batches HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {collector.token}\r\n"
            writer.write(head.encode() + b"Content-Length: 500\r\n\r\n{")
            await writer.drain()
            await asyncio.sleep(0.02)
            writer.transport.abort()
        await asyncio.sleep(0.1)
        assert (await collector.post(encode(batch([window()]))))[0] == 200
        assert len(await collector.stored()) == 1


async def test_one_node_cannot_take_every_place(tmp_path, monkeypatch):
    """More than two batches of a node at once are asked to wait, and say so with Retry-After."""
    async with running(tmp_path) as collector:
        release = asyncio.Event()
        store = collector.database.store_batch

        async def slow(b):
            await release.wait()
            return await store(b)

        monkeypatch.setattr(collector.database, "store_batch", slow)
        posts = [asyncio.create_task(collector.post(encode(batch([window()], i)))) for i in range(5)]
        done, _ = await asyncio.wait(posts, timeout=0.5)
        assert sorted(task.result()[0] for task in done) == [429, 429, 429]
        assert all(task.result()[2]["Retry-After"] == "1" for task in done)
        release.set()
        assert sorted([(await task)[0] for task in posts]) == [200, 200, 429, 429, 429]


async def test_a_revoked_token_stops_at_once_and_a_new_one_works_at_once(tmp_path):
    """enroll and revoke need no restart of the server."""
    async with running(tmp_path) as collector:
        other = sqlite3.connect(collector.database.path, isolation_level=None, timeout=5)
        new = tokens.enroll(other, "ams", NOW)
        assert (await collector.post(encode(batch([window()]))))[0] == 401
        assert (await collector.post(encode(batch([window()])), token=new))[0] == 200
        tokens.revoke(other, "ams")
        assert (await collector.post(encode(batch([window()])), token=new))[0] == 401
        other.close()


async def test_the_assignment_is_sent_once_per_change(tmp_path):
    """The ETag is that of the content: 304 while it is unchanged, the new one when the fleet changed."""
    async with running(tmp_path) as collector:
        url, headers = f"{collector.url}/v1/assignment", {"Authorization": f"Bearer {collector.token}"}
        async with collector.session.get(url, headers=headers) as response:
            assert response.status == 404
            assert "not in this collector's fleet" in (await response.json(content_type=None))["detail"]
        collector.assignments["ams"] = Assignment("ams", (Peer("fra", "192.0.2.1", limit_seconds=0.02),))
        async with collector.session.get(url, headers=headers) as response:
            assert msgspec.json.decode(await response.read(), type=Assignment) == collector.assignments["ams"]
            etag = response.headers["ETag"]
        for known in (etag, f'"x", {etag}', "*", f"W/{etag}"):
            async with collector.session.get(url, headers={**headers, "If-None-Match": known}) as response:
                assert (response.status, await response.read()) == (304, b"")
        collector.assignments["ams"] = Assignment("ams")
        async with collector.session.get(url, headers={**headers, "If-None-Match": etag}) as response:
            assert response.status == 200
            assert response.headers["ETag"] != etag
        async with collector.session.get(url) as response:
            assert response.status == 401


async def test_no_token_reaches_the_log(tmp_path, caplog):
    """Refusals are logged with node and reason, never with what was secret."""
    caplog.set_level("DEBUG")
    async with running(tmp_path) as collector:
        await collector.post(b"{", token="wrong-token-wrong-token")
        await collector.post(b"{")
        assert any(record.message == "batch refused" for record in caplog.records)
        assert not any(
            secret in repr(record.__dict__)
            for record in caplog.records
            for secret in (collector.token, "wrong-token")
        )
