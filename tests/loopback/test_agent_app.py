"""The whole agent as a process: starts, measures, reloads, tells systemd, stops in time, survives kill −9."""

import asyncio
import base64
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing

import bcrypt
import msgspec
import pytest
from aiohttp import web

from agent.wire.assignment import Assignment, Peer, ProbeSpec
from agent.wire.batch import decode
from agent.wire.series import PASSIVE_KINDS
from agent_process import ROOT, AgentProcess, free_port, spooled
from scripted_collector import ScriptedCollector

COLLECTOR = """
window_seconds = 1
[collector]
url = "http://127.0.0.1:{port}"
token_file = "{folder}/token"
assignment_interval_seconds = 0.2
timeout_seconds = 2
"""


def with_collector(tmp_path, port):
    (tmp_path / "token").write_text("secret")
    return COLLECTOR.format(port=port, folder=tmp_path)


def test_it_measures_and_shows_it_until_told_to_stop(tmp_path):
    """Not ready before the first result; then its own responder's RTTs on /metrics; SIGTERM ends it well within 5 s."""
    agent = AgentProcess(tmp_path)
    agent.write(agent.own_peer())
    with agent:
        agent.wait_until(lambda: agent.get("/-/healthy")[0] == 200, "health")
        agent.wait_ready()
        agent.wait_until(
            lambda: (agent.metric("lightfloor_probe_rtt_seconds_count") or 0) >= 3, "three results"
        )
        assert agent.metric('lightfloor_responder_connections_total{result="closed"}') >= 3
        status, seconds = agent.stop()
    assert (status, seconds < 5) == (0, True)
    assert "Traceback" not in agent.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_makes_the_open_window_durable(tmp_path, number):
    """With the collector away and a hanging connection to it, the last samples are on disk within 5 s."""
    with closing(socket.socket()) as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(5)
        agent = AgentProcess(tmp_path)
        agent.write(with_collector(tmp_path, deaf.getsockname()[1]) + agent.own_peer())
        with agent:
            agent.wait_until(lambda: (agent.metric("lightfloor_spool_batches") or 0) >= 2, "two batches")
            status, seconds = agent.stop(number)
    assert (status, seconds < 5) == (0, True)
    batches = spooled(tmp_path)
    assert [batch["sequence"] for batch in batches] == list(range(len(batches)))
    starts = [window["start_s"] for batch in batches for window in batch["windows"]]
    assert starts == sorted(starts)
    assert starts[-1] >= int(time.time()) - 8


def test_a_good_reload_changes_the_peers_and_a_bad_one_nothing(tmp_path):
    """SIGHUP: a new peer appears, a removed one goes; with a bad file the old configuration stays and the metric says so."""
    agent = AgentProcess(tmp_path)
    agent.write(agent.own_peer("one"))
    with agent:
        agent.wait_ready()
        before = agent.metric("lightfloor_config_last_reload_success_timestamp_seconds")
        agent.write(agent.own_peer("two"))
        agent.process.send_signal(signal.SIGHUP)
        agent.wait_until(lambda: 'destination="two"' in agent.get("/metrics")[1], "the new peer")
        assert 'destination="one"' not in agent.get("/metrics")[1]
        assert agent.metric("lightfloor_config_last_reload_successful") == 1
        assert agent.metric("lightfloor_config_last_reload_success_timestamp_seconds") > before

        agent.write("peers = 5")
        agent.process.send_signal(signal.SIGHUP)
        agent.wait_until(
            lambda: agent.metric("lightfloor_config_last_reload_successful") == 0, "the bad reload"
        )
        assert "peers: expected array, got int" in agent.log
        counted = agent.metric("lightfloor_probe_rtt_seconds_count")
        agent.wait_until(
            lambda: agent.metric("lightfloor_probe_rtt_seconds_count") > counted, "probing to go on"
        )

        agent.write(agent.own_peer("two"))
        agent.process.send_signal(signal.SIGHUP)
        agent.wait_until(
            lambda: agent.metric("lightfloor_config_last_reload_successful") == 1, "the good reload"
        )
        assert agent.stop()[0] == 0


def test_what_needs_a_restart_is_said_at_every_reload(tmp_path):
    """A changed node name does not take effect, and the metric stays 0 as long as the file and the agent differ."""
    agent = AgentProcess(tmp_path)
    with agent:
        agent.wait_ready()
        agent.config.write_text(agent.config.read_text().replace('"here"', '"there"'))
        for n in (1, 2):
            agent.process.send_signal(signal.SIGHUP)
            agent.wait_until(lambda n=n: agent.log.count("configuration reloaded") == n, "the reload")
            assert agent.metric("lightfloor_config_last_reload_successful") == 0
        assert "keys=node" in agent.log


def test_the_command_line_outlives_a_reload(tmp_path):
    """A flag's listen address and log level still hold after SIGHUP, and are no change that needs a restart."""
    port = free_port()
    agent = AgentProcess(
        tmp_path, arguments=["--web.listen-address", f"127.0.0.1:{port}", "--log.level", "warning"]
    )
    agent.port = port
    with agent:
        agent.wait_ready()
        before = agent.metric("lightfloor_config_last_reload_success_timestamp_seconds")
        agent.process.send_signal(signal.SIGHUP)
        agent.wait_until(
            lambda: agent.metric("lightfloor_config_last_reload_success_timestamp_seconds") > before,
            "the reload",
        )
        assert agent.metric("lightfloor_config_last_reload_successful") == 1
        agent.stop()
    assert agent.log == ""


def test_the_configuration_is_shown_without_secrets_and_read_again_on_request(tmp_path):
    """/config is the configuration in force as JSON; POST /-/reload does what SIGHUP does and says what is wrong."""
    agent = AgentProcess(tmp_path)
    agent.write('[collector]\nurl = "http://me:hidden@127.0.0.1:1/"\ntoken_file = "token"\n')
    with agent:
        agent.wait_until(lambda: agent.get("/-/healthy")[0] == 200, "health")
        shown = json.loads(agent.get("/config")[1])
        assert shown["node"] == "here"
        assert "hidden" not in agent.get("/config")[1]

        def reload():
            url = f"http://127.0.0.1:{agent.port}/-/reload"
            try:
                with urllib.request.urlopen(url, data=b"", timeout=5) as response:
                    return response.status, response.read().decode()
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, error.read().decode()

        agent.write("log = 3\n")
        status, words = reload()
        assert status == 400
        assert "log: expected object" in words
        assert agent.metric("lightfloor_config_last_reload_successful") == 0
        agent.write(
            'max_probes_per_second = 7\n[collector]\nurl = "http://me:hidden@127.0.0.1:1/"\ntoken_file = "token"\n'
        )
        assert reload() == (200, "Reloaded\n")
        assert json.loads(agent.get("/config")[1])["max_probes_per_second"] == 7
        assert agent.metric("lightfloor_config_last_reload_successful") == 1


def test_a_web_configuration_protects_it_and_a_wrong_one_ends_the_start(tmp_path):
    """With --web.config.file /metrics asks for a password; a file that is wrong is one line and status 2."""
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{prometheus: {hashed}}}\n")
    with AgentProcess(tmp_path, arguments=("--web.config.file", str(tmp_path / "web.yml"))) as agent:
        agent.wait_until(lambda: agent.get("/metrics")[0] == 401, "a challenge")
        right = "Basic " + base64.b64encode(b"prometheus:secret").decode()
        asked = urllib.request.Request(
            f"http://127.0.0.1:{agent.port}/metrics", headers={"Authorization": right}
        )
        with urllib.request.urlopen(asked, timeout=5) as response:
            assert b"lightfloor_build_info" in response.read()
    (tmp_path / "web.yml").write_text("basic_auth_users: {prometheus: secret}\n")
    with AgentProcess(tmp_path, arguments=("--web.config.file", str(tmp_path / "web.yml"))) as agent:
        assert agent.process.wait(15) == 2
        assert "basic_auth_users" in agent.log.splitlines()[-1]
        assert "Traceback" not in agent.log


@pytest.mark.debian
@pytest.mark.skipif(shutil.which("systemd-socket-activate") is None, reason="systemd is not installed")
def test_systemd_can_hand_over_the_socket(tmp_path):
    """Started by a connection to a socket of systemd's, it serves on that socket."""
    port = free_port()
    activate = ("systemd-socket-activate", "-l", f"127.0.0.1:{port}")
    with AgentProcess(tmp_path, arguments=("--web.systemd-socket",), prefix=activate) as agent:
        agent.port = port
        agent.wait_until(lambda: agent.get("/-/healthy")[0] == 200, "health")


def test_systemd_is_told_how_it_goes(tmp_path):
    """Ready when it serves, alive in time, reloading and ready again, stopping: in the words of sd_notify(3)."""
    path = tmp_path / "notify"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.bind(str(path))
        manager.settimeout(10)
        agent = AgentProcess(tmp_path, environment={"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "400000"})
        with agent:
            said = [manager.recv(1000).decode() for _ in range(4)]
            assert "READY=1" in said
            assert said.count("WATCHDOG=1") == 3
            agent.process.send_signal(signal.SIGHUP)
            said = until(manager, "READY=1")
            [reloading] = [state for state in said if state.startswith("RELOADING=1\n")]
            monotonic_usec = int(reloading.partition("MONOTONIC_USEC=")[2])
            assert abs(monotonic_usec - time.monotonic_ns() // 1000) < 10_000_000
            agent.process.send_signal(signal.SIGTERM)
            until(manager, "STOPPING=1")


def until(manager, state):
    """All that is said up to and with this state."""
    said = []
    while state not in said:
        said.append(manager.recv(1000).decode())
    return said


def test_a_manager_that_does_not_read_holds_nothing_up(tmp_path):
    """A notify socket whose queue is full costs states, not time."""
    path = tmp_path / "notify"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.bind(str(path))
        agent = AgentProcess(tmp_path, environment={"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "2000"})
        agent.write(agent.own_peer())
        with agent:
            agent.wait_ready()
            time.sleep(1)
            counted = agent.metric("lightfloor_probe_rtt_seconds_count")
            agent.wait_until(
                lambda: agent.metric("lightfloor_probe_rtt_seconds_count") > counted, "probing to go on"
            )
            assert agent.stop()[0] == 0


@pytest.mark.parametrize("which", ["exporter", "responder", "state", "ca", "file"])
def test_a_start_that_cannot_be_is_one_line(tmp_path, which):
    """Exit status 2 and one line that says what and where, for each thing the agent cannot have."""
    agent = AgentProcess(tmp_path)
    link = with_collector(tmp_path, 1)
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", agent.port if which == "exporter" else agent.responder_port))
        taken.listen()
        if which not in ("exporter", "responder"):
            taken.close()
        if which == "state":
            agent.write(link)
            (tmp_path / "state").write_text("a file")
        if which == "ca":
            agent.write(link.replace("http:", "https:") + 'ca_file = "/none.pem"\n')
        if which == "file":
            agent.config.unlink()
        with agent:
            status = agent.process.wait(10)
    expected = {
        "exporter": f"cannot listen on 127.0.0.1:{agent.port}: Address already in use",
        "responder": f"cannot listen on 127.0.0.1:{agent.responder_port}: Address already in use",
        "state": f"{tmp_path}/state/spool: Not a directory",
        "ca": "collector.ca_file /none.pem: No such file or directory",
        "file": f"{agent.config}: cannot be read: No such file or directory",
    }
    assert (status, agent.log) == (2, f"lightfloor-agent: {expected[which]}\n")


async def test_from_assignment_to_batch(tmp_path):
    """The collector assigns, the agent measures and hands over windows as itself; restarted without it, it goes on."""
    server = await ScriptedCollector().start()
    agent = AgentProcess(tmp_path)
    agent.write(with_collector(tmp_path, server.port))
    spec = ProbeSpec("tcp", 0.2)
    own = Peer("mine", ipv4="127.0.0.1", port=agent.responder_port, probes=(spec,), limit_seconds=1.0)

    async def assign(request):
        if request.path != "/v1/assignment":
            return web.Response()
        body = msgspec.json.encode(Assignment("here", (own,)))
        return web.Response(status=304) if "If-None-Match" in request.headers else web.Response(
            body=body, headers={"ETag": '"1"'}
        )  # fmt: skip

    server.answers = [assign] * 1000
    with agent:
        async with asyncio.timeout(20):
            while len(server.posted) < 3:
                await asyncio.sleep(0.05)
        status, _ = await asyncio.to_thread(agent.stop)
    assert status == 0
    windows = [window for body in server.posted for window in decode(body).windows]
    kernel = [window for window in windows if window.series.probe == "kernel"]
    assert {(window.series.source, window.series.destination) for window in kernel} == {("here", "here")}
    windows = [window for window in windows if window.series.probe not in PASSIVE_KINDS]
    assert {(window.series.source, window.series.destination) for window in windows} == {("here", "mine")}
    assert sum(window.judged for window in windows) == sum(window.rtt.count for window in windows) > 0
    sequences = [decode(body).sequence for body in server.posted]
    assert sequences == list(range(len(sequences)))
    await server.stop()
    with agent:
        await asyncio.to_thread(
            agent.wait_until, lambda: 'destination="mine"' in agent.get("/metrics")[1], "the kept peer"
        )
        await asyncio.to_thread(agent.stop)


def test_probe_by_hand_prints_one_object(tmp_path):
    """`probe tcp --json` against the agent's responder: exit 0 and times; against a closed port: exit 1 and none."""
    agent = AgentProcess(tmp_path)
    with agent:
        agent.wait_ready()
        done = by_hand("probe", "tcp", f"127.0.0.1:{agent.responder_port}", "-c", 5, "-i", 0.02, "--json")
        result = json.loads(done.stdout)
        assert (done.returncode, result["sent"], result["outcomes"]) == (0, 5, {"ok": 5})
        assert 0 < result["rtt_seconds"]["min"] <= result["rtt_seconds"]["p99"] < 1
    done = by_hand("probe", "tcp", f"127.0.0.1:{free_port()}", "-c", 2, "-i", 0.01, "--json")
    assert (done.returncode, json.loads(done.stdout)["outcomes"]) == (1, {"refused": 2})
    done = by_hand("probe", "tcp", f"{'a' * 64}:80", "-c", 1)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1


def by_hand(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "agent", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
    )
