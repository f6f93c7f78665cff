"""The line that `enroll` prints, run by a shell on a server of its own against a collector over HTTPS."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trustme

from packages import TWO_NODES

ROOT = Path(__file__).resolve().parents[2]
PORT = 10990
URL = f"https://localhost:{PORT}"
PATIENCE_SECONDS = 20
pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(
        os.geteuid() != 0 or shutil.which("curl") is None, reason="needs root, namespaces and curl"
    ),
]
SYSTEMCTL = """#!/bin/sh
# Starts and ends the real agent as the unit does: the token is a credential, and a restart reads it anew.
echo "$*" >>{folder}/systemctl.log
case $1 in
restart) [ ! -e {folder}/pid ] || kill "$(cat {folder}/pid)" ;;
start) [ ! -e {folder}/pid ] || exit 0 ;;
*) exit 0 ;;
esac
CREDENTIALS_DIRECTORY=/etc/lightfloor lightfloor-agent run --config.file /etc/lightfloor/agent.toml \\
    </dev/null >>{folder}/agent.log 2>&1 &
echo $! >{folder}/pid
"""


class Server:
    """A mount and a network namespace with an /etc, a /run/systemd and a /var/lib of its own, and our two programs on its path."""

    def __init__(self, folder):
        self.folder = folder
        setup = (
            f"ip link set lo up && mount -t tmpfs t {folder}/layers && mkdir {folder}/layers/u {folder}/layers/w"
            f" && mount -t overlay -o lowerdir=/etc,upperdir={folder}/layers/u,workdir={folder}/layers/w o /etc"
            " && mount -t tmpfs t /var/lib && mount -t tmpfs t /run && mkdir -p /run/systemd/system"
            " && echo up && exec sleep infinity"
        )
        (folder / "layers").mkdir()
        command = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", setup]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"up\n"
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        self._init = children.split()[0]
        programs = folder / "bin"
        programs.mkdir()
        for name in ("agent", "collector"):
            self._program(f"lightfloor-{name}", f'#!/bin/sh\nexec {sys.executable} -m {name} "$@"\n')
        self._program("systemctl", SYSTEMCTL.format(folder=folder))
        self._environment = {
            "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "HOME": str(folder),
        }  # fmt: skip

    def _program(self, name, text):
        file = self.folder / "bin" / name
        file.write_text(text)
        file.chmod(0o755)

    def command(self, *words):
        return ["nsenter", "-t", self._init, "-m", "-n", "-p", *words]

    def run(self, *words, **options):
        return subprocess.run(
            self.command(*words), capture_output=True, text=True, timeout=60, env=self._environment, **options
        )

    def popen(self, *words, **options):
        return subprocess.Popen(self.command(*words), env=self._environment, **options)

    def sh(self, line):
        return self.run("sh", "-c", line)

    def files(self):
        """Name → (content, mode, owner, when it was changed) of everything in /etc/lightfloor."""
        where = Path(f"/proc/{self._init}/root/etc/lightfloor")
        return {
            file.name: (file.read_text(), stat.S_IMODE(info.st_mode), info.st_uid, info.st_mtime_ns)
            for file in (sorted(where.iterdir()) if where.exists() else ())
            for info in [file.stat()]
        }

    def end(self):
        self.process.kill()
        self.process.stdout.close()
        self.process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.end()


@pytest.fixture(scope="module")
def collector(server, tmp_path_factory):
    """`lightfloor-collector COMMAND` beside a running server with a certificate of a self-made authority."""
    folder = tmp_path_factory.mktemp("collector")
    authority = trustme.CA()
    served = authority.issue_cert("localhost")
    (folder / "ca.pem").write_bytes(authority.cert_pem.bytes())
    served.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in served.cert_chain_pems))
    (folder / "fleet.toml").write_text(TWO_NODES)
    (folder / "collector.toml").write_text(
        f'[server]\nport = {PORT}\ntls_cert = "cert.pem"\ntls_key = "key.pem"\n'
        f'[enroll]\nurl = "{URL}"\nca_file = "ca.pem"\n[store]\npath = "store.db"\n[fleet]\npath = "fleet.toml"\n'
    )

    def command(*words):
        return server.run("lightfloor-collector", *words, "--config.file", str(folder / "collector.toml"))

    with (folder / "log").open("wb") as log:
        process = server.popen(
            "lightfloor-collector", "serve", "--config.file", str(folder / "collector.toml"), stderr=log
        )
    until(lambda: server.sh(f"curl -sk {URL}/-/healthy").returncode == 0)
    yield command
    process.terminate()
    process.wait(10)


@pytest.fixture(scope="module")
def joined(server, collector):
    """The line of fra-1, run once."""
    enrolled = collector("enroll", "fra-1")
    assert enrolled.returncode == 0
    (line,) = enrolled.stdout.splitlines()
    done = server.sh(line)
    assert done.returncode == 0, done.stderr
    return line, done


def until(true):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.1)


def token_of(line):
    return re.search(r"LIGHTFLOOR_TOKEN=(\S+)", line)[1]


def test_a_line_that_cannot_be_trusted_changes_nothing(server, collector):
    """Another key than the pinned one, another node's token, a token that was replaced: refused, with nothing written."""
    (line,) = collector("enroll", "fra-2").stdout.splitlines()
    pin = re.search(r"sha256//[A-Za-z0-9+/]+=", line)[0]
    wrong = server.sh(line.replace(pin, "sha256//" + "A" * 43 + "="))
    assert wrong.returncode != 0
    assert "does not match pinned public key" in wrong.stderr
    other = server.sh(line.replace(" fra-2 ", " fra-1 "))
    assert (other.returncode, other.stderr) == (1, "lightfloor: the token is of another node than fra-1\n")
    collector("enroll", "fra-2", "--rotate", "--overlap-hours", "0")
    old = server.sh(line)
    assert old.returncode == 1
    assert "enroll fra-2 again" in old.stderr
    assert server.files() == {}


def test_the_line_joins_a_server_and_its_windows_arrive(server, collector, joined):
    """One line in a shell: files with their modes, the service started, windows at the collector, the token nowhere to be seen."""
    line, done = joined
    token = token_of(line)
    assert "fra-1 has joined" in done.stdout
    assert token not in done.stdout + done.stderr
    files = server.files()
    assert {name: (mode, owner) for name, (_, mode, owner, _) in files.items()} == {
        "agent.toml": (0o644, 0), "ca.pem": (0o644, 0), "token": (0o600, 0)
    }  # fmt: skip
    assert files["token"][0] == f"{token}\n"
    assert token not in files["agent.toml"][0]
    until(lambda: 'outcome="ok"' in server.sh("curl -s http://127.0.0.1:10980/metrics").stdout)
    server.sh(
        f"kill $(cat {server.folder}/pid)"
    )  # at its end an agent closes and sends the minute that is open
    until(lambda: json.loads(collector("enroll", "--list", "--json").stdout)[0]["last_batch"] is not None)
    server.sh(f"rm {server.folder}/pid; systemctl start lightfloor-agent")


def test_a_second_run_changes_nothing(server, joined):
    """The same line again leaves every file untouched and the service running."""
    before = server.files()
    done = server.sh(joined[0])
    assert (done.returncode, "nothing was changed" in done.stdout) == (0, True)
    assert server.files() == before
    assert (server.folder / "systemctl.log").read_text().splitlines()[-1] == "start lightfloor-agent"


def test_what_the_operator_wrote_stays(server, joined):
    """An agent.toml of this node and collector is the operator's; one of another node ends the run before any change."""
    toml = Path(f"/proc/{server._init}/root/etc/lightfloor/agent.toml")
    text = toml.read_text()
    toml.write_text(text + "\n[log]\nlevel = 'debug'\n")
    assert server.sh(joined[0]).returncode == 0
    assert "debug" in toml.read_text()
    toml.write_text(text.replace("fra-1", "fra-9"))
    before = server.files()
    refused = server.sh(joined[0])
    assert (refused.returncode, 'does not say node="fra-1"' in refused.stderr) == (1, True)
    assert server.files() == before
    toml.write_text(text)


def test_after_a_rotation_the_new_line_takes_over_and_the_old_token_ends(server, collector, joined):
    """Only the token's file changes and the agent is restarted with it; the replaced token is refused."""
    old = joined[0]
    (new,) = collector("enroll", "fra-1", "--rotate", "--overlap-hours", "1").stdout.splitlines()
    assert server.sh(old).returncode == 0, "both are good during the overlap"
    before = server.files()
    assert server.sh(new).returncode == 0
    after = server.files()
    assert [name for name in after if after[name] != before[name]] == ["token"]
    assert (server.folder / "systemctl.log").read_text().splitlines()[-1] == "restart lightfloor-agent"
    (newest,) = collector("enroll", "fra-1", "--rotate", "--overlap-hours", "0").stdout.splitlines()
    assert [server.sh(line).returncode for line in (old, new, newest)] == [1, 1, 0]
    assert collector("revoke", "fra-1").returncode == 0
    assert server.sh(newest).returncode == 1


def test_while_the_line_runs_no_process_has_the_token_in_its_arguments(server, collector, joined):
    """Neither ps nor /proc shows the token to other users of the server."""
    (line,) = collector("enroll", "fra-1", "--rotate").stdout.splitlines()
    token = token_of(line)
    watcher = server.popen(
        sys.executable,
        "-c",
        "import sys\nfrom pathlib import Path\n"
        "wanted, seen = sys.stdin.readline().strip(), set()\nprint('ready', flush=True)\n"
        "while not Path(sys.argv[1]).exists():\n"
        "    for file in Path('/proc').glob('[0-9]*/cmdline'):\n"
        "        try: words = file.read_text()\n"
        "        except OSError: continue\n"
        "        seen.add(words.split('\\0')[0].rsplit('/', 1)[-1])\n"
        "        if wanted in words: print('LEAK', words)\n"
        "print(sorted(seen))\n",
        str(server.folder / "done"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    watcher.stdin.write(f"{token}\n")
    watcher.stdin.flush()
    assert watcher.stdout.readline() == "ready\n"
    done = server.run("sh", input=line)  # as `enroll … | ssh root@SERVER sh`
    (server.folder / "done").touch()
    seen, _ = watcher.communicate(timeout=20)
    assert done.returncode == 0
    assert "curl" in seen
    assert "LEAK" not in seen


def test_a_certificate_that_the_agent_could_not_verify_is_refused(server, collector, joined):
    """The pinned key alone is not enough: the name in the address must be the certificate's."""
    line = collector("enroll", "fra-2", "--rotate").stdout.strip().replace("localhost", "127.0.0.1")
    before = server.files()
    toml = Path(f"/proc/{server._init}/root/etc/lightfloor/agent.toml")
    text = toml.read_text()
    toml.unlink()
    refused = server.sh(line)
    assert refused.returncode == 1
    assert "could not reach and verify https://127.0.0.1:10990" in refused.stderr
    assert not toml.exists()
    toml.write_text(text)
    assert server.files().keys() == before.keys()
