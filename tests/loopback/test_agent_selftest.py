import email.utils
import json
import os
import ssl
import subprocess
import sys
import time

import pytest
import trustme
from aiohttp import web

from agent.config import load
from agent.selftest import run
from agent.selftest.check import State
from agent.selftest.host import check_host
from agent.selftest.link import check_link
from agent.selftest.probes import check_probes
from tests.agent_process import ROOT
from tests.scripted_collector import ScriptedCollector

ASSIGNMENT = {"node": "here", "peers": [{"name": "there", "ipv4": "192.0.2.1"}]}


def config_of(tmp_path, url, extra=""):
    """agent.toml of a node with a token, and its folder."""
    (tmp_path / "token").write_text("secret-token\n")
    file = tmp_path / "agent.toml"
    file.write_text(
        f'node = "here"\nstate_directory = "{tmp_path}/state"\n{extra}\n[collector]\nurl = "{url}"\ntoken_file = "token"\n'
    )
    return load(file), tmp_path


def assigning(*, ahead_seconds=0.0):
    async def answer(_request):
        date = email.utils.formatdate(time.time() + ahead_seconds, usegmt=True)
        return web.json_response(ASSIGNMENT, headers={"Date": date})

    return answer


async def link_checks(config, folder):
    return {check.name: check for check in await check_link(config, folder)}


async def test_every_probe_works_on_this_machine_or_says_why_not():
    """No probe fails against this host's own responder; every one of the list is tried."""
    checks = await check_probes()
    assert not [check for check in checks if check.state is State.FAILED]
    kinds = {check.name.split()[1] for check in checks}
    assert kinds == {"tcp", "syn", "udp", "icmp", "mtu", "trace", "iperf3", "qperf"}
    tcp = next(check for check in checks if check.name == "probe tcp ipv4")
    assert (tcp.state, "tcp_info" in tcp.detail) == (State.WORKS, True)


async def test_a_program_that_is_missing_is_unavailable_with_its_remedy(monkeypatch, tmp_path):
    """Without iperf3 and qperf the host is not broken: the test says what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    checks = {check.name: check for check in await check_probes()}
    for kind in ("iperf3", "qperf"):
        check = checks[f"probe {kind}"]
        assert (check.state, "not installed" in check.detail) == (State.UNAVAILABLE, True)
        assert "install" in check.remedy


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give up its privileges")
async def test_without_privileges_it_says_which_probes_stand_still():
    """Another user, no capability: syn is unavailable and names what it lacks, the rest works, and the status is 0."""
    nobody = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--bounding-set=-all",
        "--inh-caps=-all",
    ]
    done = subprocess.run(
        [*nobody, sys.executable, "-m", "agent", "selftest", "--json"],
        capture_output=True, text=True, timeout=60, cwd=ROOT, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert checks["CAP_NET_RAW"]["state"] == "unavailable"
    assert checks["probe syn ipv4"]["state"] == "unavailable"
    assert "CAP_NET_RAW" in checks["probe syn ipv4"]["detail"]
    assert checks["probe tcp ipv4"]["state"] == checks["probe udp ipv4"]["state"] == "works"
    assert checks["collector"]["state"] == "untested"


async def test_a_collector_that_knows_the_node_works(tmp_path):
    """Token, answer, assignment and both clocks, in one look."""
    server = await ScriptedCollector(assigning()).start()
    checks = await link_checks(*config_of(tmp_path, server.url))
    await server.stop()
    assert [checks[name].state for name in ("token", "collector", "clocks")] == [State.WORKS] * 3
    assert "assigns 1 peers" in checks["collector"].detail
    assert server.asked[0].headers["Authorization"] == "Bearer secret-token"


@pytest.mark.parametrize(("status", "words"), [(401, "--rotate"), (404, "fleet file"), (500, "")])
async def test_a_collector_that_refuses_is_a_failure_with_its_remedy(tmp_path, status, words):
    """The status is named, and what somebody has to do about it; the token is not."""
    server = await ScriptedCollector(status).start()
    check = (await link_checks(*config_of(tmp_path, server.url)))["collector"]
    await server.stop()
    assert (check.state, f"answered {status}" in check.detail, words in check.remedy) == (
        State.FAILED,
        True,
        True,
    )
    assert "secret-token" not in check.detail


async def test_a_collector_that_is_not_there_is_a_failure(tmp_path):
    """Nobody listens: the URL is named, and no traceback is shown."""
    server = await ScriptedCollector().start()
    await server.stop()
    check = (await link_checks(*config_of(tmp_path, server.url)))["collector"]
    assert (check.state, server.url in check.detail) == (State.FAILED, True)


async def test_clocks_that_disagree_are_told(tmp_path):
    """A collector an hour ahead: windows would bear wrong minutes."""
    server = await ScriptedCollector(assigning(ahead_seconds=3600)).start()
    check = (await link_checks(*config_of(tmp_path, server.url)))["clocks"]
    await server.stop()
    assert (check.state, "behind the collector's" in check.detail) == (State.FAILED, True)


async def test_an_authority_that_did_not_sign_is_told_apart_from_a_dead_collector(tmp_path):
    """The certificate is verified as the agent verifies it; with the right authority the tls probe works too."""
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    server = await ScriptedCollector(assigning(), assigning()).start(tls=tls)
    url = server.url.replace("http:", "https:")
    for name, known in (("wrong", trustme.CA()), ("right", authority)):
        known.cert_pem.write_to_path(tmp_path / f"{name}.pem")
    _, folder = config_of(tmp_path, url)
    found = {}
    for name in ("wrong", "right"):
        (tmp_path / "agent.toml").write_text(
            f'node = "here"\n[collector]\nurl = "{url}"\ntoken_file = "token"\nca_file = "{tmp_path}/{name}.pem"\n'
        )
        found[name] = await link_checks(load(tmp_path / "agent.toml"), folder)
    await server.stop()
    assert found["wrong"]["collector"].state is State.FAILED
    assert "ca_file" in found["wrong"]["collector"].remedy
    assert found["right"]["collector"].state is State.WORKS
    assert (found["right"]["probe tls"].state, "TLSv1.3" in found["right"]["probe tls"].detail) == (
        State.WORKS,
        True,
    )


async def test_without_a_token_the_collector_is_not_asked(tmp_path):
    """A token that cannot be read is the failure; nothing is sent without it."""
    server = await ScriptedCollector().start()
    config, folder = config_of(tmp_path, server.url)
    (tmp_path / "token").unlink()
    checks = await link_checks(config, folder)
    await server.stop()
    assert [checks[name].state for name in ("token", "collector")] == [State.FAILED, State.UNTESTED]
    assert server.asked == []


async def test_a_disk_that_cannot_hold_the_spool_is_a_failure(tmp_path):
    """Less room than spool.max_bytes; with room enough the spool's own disk is written to, and nothing is left there."""
    spool = tmp_path / "state" / "spool"
    spool.mkdir(parents=True)
    small, _ = config_of(tmp_path, "http://127.0.0.1:1", "spool.max_bytes = 1000000")
    large, _ = config_of(tmp_path, "http://127.0.0.1:1", "spool.max_bytes = 1000000000000000")
    found = {
        name: next(check for check in await check_host(config) if check.name == "spool")
        for name, config in (("small", small), ("large", large))
    }
    assert (found["small"].state, "durable in" in found["small"].detail) == (State.WORKS, True)
    assert (found["large"].state, "less than it may take" in found["large"].detail) == (State.FAILED, True)
    assert list(spool.iterdir()) == []


async def test_what_the_file_switches_on_must_work(tmp_path):
    """A capture on an interface that is not there is a failure, not a silence."""
    extra = "capture.enabled = true\ncapture.interface = 'nowhere0'"
    config, folder = config_of(tmp_path, "http://127.0.0.1:1", extra)
    checks = {check.name: check for check in await run.everything(config, folder)}
    assert (checks["capture"].state, "nowhere0" in checks["capture"].detail) == (State.FAILED, True)
    assert checks["packet stamps"].state is State.WORKS


def test_the_status_tells_a_script(tmp_path):
    """0 where nothing failed, 1 where something did, 2 for a file that is wrong, with one line."""

    def status(*words):
        command = [sys.executable, "-m", "agent", "selftest", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT)
        return done.returncode, done.stderr.count("\n")

    config_of(tmp_path, "http://127.0.0.1:1")
    (tmp_path / "wrong.toml").write_text("nod = 1\n")
    assert status("--config.file", str(tmp_path / "agent.toml")) == (1, 0)
    assert status("--config.file", str(tmp_path / "wrong.toml")) == (2, 1)
