"""The real agent as a process, for tests that need the whole of it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_SECONDS = 15


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class AgentProcess:
    """`python -m agent run` on loopback; use as a context. Its log is read with `log`."""

    def __init__(self, folder, extra="", *, arguments=(), environment=None, prefix=()):
        self.folder = folder
        self.config = folder / "agent.toml"
        self.port, self.responder_port = free_port(), free_port()
        self.log_file = folder / "agent.log"
        self.write(extra)
        self._command = [
            *prefix, sys.executable, "-m", "agent", "run", "--config.file", str(self.config), *arguments,
        ]  # fmt: skip
        self._environment = os.environ | {"PYTHONPATH": str(ROOT)} | (environment or {})

    def write(self, extra):
        """The configuration file: this process's own places, and `extra`."""
        self.config.write_text(f"""node = "here"
state_directory = "{self.folder}/state"
exporter.listen_address = "127.0.0.1:{self.port}"
responder.listen_address = "127.0.0.1:{self.responder_port}"
{extra}""")

    def own_peer(self, name="self", interval_seconds=0.2):
        """A peer that is this process's own responder."""
        return (
            f'[[peers]]\nname = "{name}"\nipv4 = "127.0.0.1"\nport = {self.responder_port}\n'
            f'probes = [{{ kind = "tcp", interval_seconds = {interval_seconds} }}]\n'
        )

    def __enter__(self):
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, stderr=log, stdout=log, env=self._environment, cwd=ROOT
            )
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    @property
    def log(self):
        return self.log_file.read_text()

    def get(self, path):
        """Status and body; (0, "") while nobody listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name):
        """The value of the first sample whose line starts so, None without one."""
        match = re.search(rf"^{re.escape(name)}\S* (\S+)$", self.get("/metrics")[1], re.MULTILINE)
        return None if match is None else float(match[1])

    def wait_until(self, true, what):
        """Poll until true() is; fails with the log when it never is."""
        give_up = time.monotonic() + PATIENCE_SECONDS
        while not true():
            assert time.monotonic() < give_up, f"{what} did not happen; log:\n{self.log}"
            assert self.process.poll() is None, f"the agent ended; log:\n{self.log}"
            time.sleep(0.02)

    def wait_ready(self):
        self.wait_until(lambda: self.get("/-/ready")[0] == 200, "readiness")

    def stop(self, number=signal.SIGTERM):
        """Send it and wait for the end: (exit status, seconds it took)."""
        began = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS), time.monotonic() - began

    def status(self, field):
        """A line of /proc/PID/status in bytes, such as VmRSS."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{field}:\s+(\d+) kB$", text, re.MULTILINE)[1]) * 1024


def spooled(folder):
    """The batches on disk, decoded."""
    import gzip

    paths = sorted((folder / "state" / "spool").glob("*.json.gz"))
    return [json.loads(gzip.decompress(path.read_bytes())) for path in paths]
