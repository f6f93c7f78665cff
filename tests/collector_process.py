"""`lightfloor-collector serve` as a process of its own, and a client that behaves as an agent does."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

from agent.wire.batch import encode


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class CollectorProcess:
    """Started and ended by the test; log holds what it wrote to standard error."""

    def __init__(self, config, port, **environment):
        self.url = f"http://127.0.0.1:{port}"
        self.config = config
        self._log = config.with_suffix(".log")
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "collector", "serve", "--config.file", str(config),
                 "--web.listen-address", f"127.0.0.1:{port}"],
                stderr=log,
                env={**os.environ, **environment},
            )  # fmt: skip

    @property
    def log(self):
        return self._log.read_text()

    def wait(self, path="/-/healthy", seconds=20):
        """Until path answers 200."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            if self.get(path)[0] == 200:
                return self
            time.sleep(0.02)
        raise AssertionError(f"{path} did not answer 200 in {seconds} s: {self.log}")

    def get(self, path):
        return request(self.url + path)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self, seconds=15):
        """SIGTERM; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)


def request(url, body=None, token=None, seconds=10):
    """(status, text); (0, reason) when nobody answered."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        asked = urllib.request.Request(url, data=body, headers=headers)
        with urllib.request.urlopen(asked, timeout=seconds) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except (OSError, ValueError) as error:
        return 0, str(error)


def post(url, token, batch):
    status, text = request(f"{url}/v1/batches", encode(batch), token)
    return status, json.loads(text) if status else text
