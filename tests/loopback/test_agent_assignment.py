"""The assignment follows the collector's, and nothing the collector sends or fails to send stops the agent."""

import asyncio
import json
from contextlib import suppress

import msgspec
import pytest
from aiohttp import web

from agent.assignment import KeptAssignment, follow
from agent.net.collector import Collector
from agent.wire.assignment import Assignment, Peer
from scripted_collector import ScriptedCollector

INTERVAL_SECONDS = 0.02


def assignment(*names):
    return Assignment("fra", tuple(Peer(name, ipv4="192.0.2.1") for name in names))


def answer(body, etag=None, pieces=1):
    """A 200 with this assignment, or these bytes, written in so many pieces."""
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)

    async def respond(request):
        response = web.StreamResponse(headers={"ETag": etag} if etag else {})
        await response.prepare(request)
        for at in range(0, len(data), len(data) // pieces + 1):
            await response.write(data[at : at + len(data) // pieces + 1])
            await asyncio.sleep(0.01 if pieces > 1 else 0)
        return response

    return respond


class Following:
    """An agent's side of the assignment: what it was told to apply, in order."""

    def __init__(self, tmp_path, server):
        (tmp_path / "token").write_text("secret")
        self.applied = []
        self.kept = KeptAssignment(tmp_path / "assignment.json", "fra")
        self.collector = Collector(server.url, tmp_path / "token", None, 2.0)

    async def apply(self, assigned):
        self.applied.append([peer.name for peer in assigned.peers])

    async def until(self, server, requests):
        """Follow until the collector has been asked this often, and its last answer was dealt with."""
        task = asyncio.create_task(follow(self.collector, self.kept, INTERVAL_SECONDS, self.apply))
        await server.wait_for(requests + 1)
        assert not task.done()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await self.collector.close()


@pytest.fixture
async def server():
    made = await ScriptedCollector().start()
    yield made
    await made.stop()


async def test_a_new_assignment_is_applied_once_and_asked_about_by_its_tag(server, tmp_path):
    """304 changes nothing; a changed one is applied; each request names the tag of the last good answer."""
    server.answers = [
        answer(assignment("nyc"), '"1"'),
        304,
        304,
        answer(assignment("nyc", "sgp"), '"2"'),
        304,
    ]
    following = Following(tmp_path, server)
    await following.until(server, 5)
    assert following.applied == [["nyc"], ["nyc", "sgp"]]
    tags = [asked.headers.get("If-None-Match") for asked in server.asked[:6]]
    assert tags == [None, '"1"', '"1"', '"1"', '"2"', '"2"']
    assert server.asked[0].headers["Authorization"] == "Bearer secret"
    assert following.kept.load() == (assignment("nyc", "sgp"), '"2"')


@pytest.mark.parametrize(
    "bad",
    [
        500, 401, 404, 204,
        answer(b"<html>portal</html>"),
        answer(b'{"node":"fra","peers":[{"name":"x"}]}'),
        answer(b'{"node":"nyc"}'),
        answer(b'{"node":"fra","peers":[{"name":"x","ipv4":"192.0.2.1","probes":[{"kind":"ping"}]}]}', '"9"'),
        answer(b'{"node":"fra","peers":[{"probes":[{"options":{"a":' + b"[" * 100_000),
        answer(b'{"node":"a\xff"}'),
        answer(b" " * 17_000_000),
    ],
    ids=range(11),
)  # fmt: skip
async def test_a_bad_answer_leaves_the_old_one_at_work(server, tmp_path, bad):
    """Nothing is applied, nothing is kept, and the old tag is asked about again."""
    server.answers = [answer(assignment("nyc"), '"1"'), bad, 304]
    following = Following(tmp_path, server)
    await following.until(server, 3)
    assert following.applied == [["nyc"]]
    assert following.kept.load() == (assignment("nyc"), '"1"')
    assert server.asked[2].headers["If-None-Match"] == '"1"'


async def test_a_long_assignment_in_many_pieces_is_read_to_its_end(server, tmp_path):
    """5,000 peers, slowly: all of them."""
    names = [f"node{n}" for n in range(5000)]
    server.answers = [answer(assignment(*names), '"1"', pieces=20), 304]
    following = Following(tmp_path, server)
    await following.until(server, 2)
    assert following.applied == [names]


async def test_after_a_restart_the_kept_tag_is_asked_about(server, tmp_path):
    """An unchanged assignment is not sent again."""
    first = Following(tmp_path, server)
    first.kept.save(assignment("nyc"), '"7"')
    server.answers = [304]
    await first.until(server, 1)
    assert server.asked[0].headers["If-None-Match"] == '"7"'
    assert first.applied == []


async def test_a_collector_that_is_away_is_asked_again(tmp_path):
    """No connection is a warning and another try."""
    server = await ScriptedCollector(answer(assignment("nyc"), '"1"')).start()
    port = server.port
    following = Following(tmp_path, server)
    await server.stop()
    task = asyncio.create_task(following.until(server, 1))
    await asyncio.sleep(INTERVAL_SECONDS * 4)
    assert following.applied == []
    await server.start(port)
    await task
    await server.stop()
    assert following.applied == [["nyc"]]


async def test_what_cannot_be_kept_is_applied_all_the_same(server, tmp_path, caplog, monkeypatch):
    """A full disk costs the next start its memory, not this one its assignment, which is not applied again and again."""
    monkeypatch.setattr("os.fsync", disk_full)
    server.answers = [answer(assignment("nyc"), '"1"'), 304]
    following = Following(tmp_path, server)
    await following.until(server, 2)
    assert following.applied == [["nyc"]]
    assert server.asked[1].headers["If-None-Match"] == '"1"'
    assert "cannot be kept" in caplog.text


def disk_full(_fd):
    raise OSError(28, "No space left on device")


async def test_a_redirect_is_not_followed(server, tmp_path):
    """The token goes to the configured collector only."""
    server.answers = [redirect]
    following = Following(tmp_path, server)
    await following.until(server, 1)
    assert {asked.path for asked in server.asked} == {"/v1/assignment"}
    assert following.applied == []


async def redirect(request):
    raise web.HTTPFound("/elsewhere", text=json.dumps({"node": "fra"}))
