"""The packages on a clean Debian: installed, upgraded while they work, and purged until nothing is left."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from lab.cleanroot import clean_root
from lab.machine import machine, missing_for_a_machine
from packages import TWO_NODES

MISSING = missing_for_a_machine()
pytestmark = [
    pytest.mark.debian,
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(MISSING is not None, reason=str(MISSING)),
]
AGENT, COLLECTOR = "lightfloor-agent", "lightfloor-collector"
BEFORE = "0.0.1-1"
DROPPED = "agent/only_in_the_version_before.py"
AGENT_TOML = """# the operator's own words
node = "fra-1"
window_seconds = 1
[collector]
url = "http://127.0.0.1:10990"
token_file = "token"
"""
# What a purge of any package may leave: the package manager's and systemd's own records, and a user's traces.
KEPT_BY_DEBIAN = ("var/lib/dpkg/", "var/lib/systemd/", "var/log/", "var/cache/", "etc/passwd-", "etc/group-", "etc/shadow-",
                  "etc/gshadow-", "etc/subuid-", "etc/subgid-", "etc/.pwd.lock", "run/", "tmp/", "var/tmp/", "root/", "srv/", "proc/", "sys/", "dev/")  # fmt: skip


def as_an_older_version(package: Path, folder: Path) -> Path:
    """The same package under a lower version, with one module that this checkout has not."""
    tree = folder / f"{package.name}.tree"
    subprocess.run(["dpkg-deb", "-R", package, tree], check=True, capture_output=True)
    control = tree / "DEBIAN/control"
    control.write_text(
        re.sub(r"^Version: .*$", f"Version: {BEFORE}", control.read_text(), flags=re.MULTILINE)
    )
    (tree / "usr/lib" / package.name.partition("_")[0] / DROPPED).write_text("")
    older = folder / f"{package.name.partition('_')[0]}_{BEFORE}_all.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Znone", "-b", tree, older], check=True, capture_output=True
    )
    shutil.rmtree(tree)
    return older


def everything(root: Path) -> set[str]:
    """Paths below a root, but for what Debian keeps of any package."""
    found = subprocess.run(
        ["find", ".", "-mindepth", "1", "-printf", "%P\n"], cwd=root, capture_output=True, text=True
    )
    return {path for path in found.stdout.splitlines() if not f"{path}/".startswith(KEPT_BY_DEBIAN)}


@pytest.fixture(scope="module")
def older(tmp_path_factory, packages):
    """A folder with both packages as the version before."""
    folder = tmp_path_factory.mktemp("older")
    for package in packages.iterdir():
        as_an_older_version(package, folder)
    return folder


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    with machine(tmp_path_factory.mktemp("machine"), clean_root()) as booted:
        yield booted


def install(host, folder):
    for package in folder.iterdir():  # one after the other: the machine's disk is memory
        inside = host.root / "srv" / package.name
        shutil.copy(package, inside)
        host.run("dpkg", "-i", f"/srv/{package.name}", timeout=200)
        inside.unlink()


def until(what, host, seconds=60):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, host.journal(AGENT) + host.journal(COLLECTOR)
        time.sleep(0.3)


def stored_samples(host):
    """Samples of the only path with an answer, as the collector tells."""
    asked = ["runuser", "-u", COLLECTOR, "--", COLLECTOR, "sla", "--json", "--from", "-1h"]
    found = re.findall(r'"samples":\s*(\d+)', host.run(*asked).stdout)
    return sum(map(int, found))


def test_an_upgrade_keeps_all_and_a_purge_leaves_nothing(host, packages, older):
    """From the version before to this one: configuration, token, windows not yet sent and the store stay, what was running
    runs anew, what was disabled stays so, modules that are gone are gone. After a purge the machine is as it was."""
    untouched = everything(host.root)
    install(host, older)
    start(host)
    until(lambda: stored_samples(host) > 0, host)
    host.run("systemctl", "stop", COLLECTOR)
    samples = stored_samples(host)
    host.run("systemctl", "disable", COLLECTOR)
    spool = host.root / f"var/lib/private/{AGENT}/spool"
    until(lambda: list(spool.iterdir()), host)
    before, waiting = host.unit(AGENT, "MainPID"), {path.name for path in spool.iterdir()}
    token = (host.root / "etc/lightfloor/token").read_text()
    assert [host.run("dpkg-query", "-W", "-f", "${Version}", name).stdout for name in (AGENT, COLLECTOR)] == [
        BEFORE
    ] * 2

    install(host, packages)
    for name in (AGENT, COLLECTOR):
        assert host.run("dpkg-query", "-W", "-f", "${Version}", name).stdout != BEFORE
        library = host.root / "usr/lib" / name
        assert list(library.rglob("only_in_the_version_before*")) == []
    until(lambda: host.unit(AGENT, "ActiveState") == "active", host)
    assert host.unit(AGENT, "MainPID") != before
    assert host.unit(COLLECTOR, "UnitFileState") == "disabled"
    assert (host.root / "etc/lightfloor/agent.toml").read_text() == AGENT_TOML
    assert (host.root / "etc/lightfloor/token").read_text() == token
    assert waiting <= {path.name for path in spool.iterdir()}
    host.run("systemctl", "start", COLLECTOR)  # brings an older store forward
    until(lambda: not waiting & {path.name for path in spool.iterdir()}, host)
    assert stored_samples(host) >= samples

    host.run("dpkg", "--purge", AGENT, COLLECTOR, timeout=100)
    assert sorted(everything(host.root) - untouched) == []
    assert COLLECTOR not in (host.root / "etc/passwd").read_text()
    assert "lightfloor" not in host.run("systemctl", "list-unit-files", "lightfloor*", check=False).stdout


def start(host):
    """Both configured and started, the agent enrolled."""
    configuration = host.root / "etc/lightfloor"
    (configuration / "fleet.toml").write_text(TWO_NODES)
    (configuration / "collector.toml").write_text(f'[store]\npath = "/var/lib/{COLLECTOR}/collector.db"\n')
    host.run("systemctl", "start", COLLECTOR)
    enroll = ["runuser", "-u", COLLECTOR, "--", COLLECTOR, "enroll", "fra-1", "--token-only"]
    (configuration / "token").write_text(host.run(*enroll).stdout)
    (configuration / "agent.toml").write_text(AGENT_TOML)
    host.run("systemctl", "start", AGENT)
