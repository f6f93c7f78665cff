"""A real Prometheus that scrapes one target, for tests that need to see what it makes of a page."""

import json
import shutil
import subprocess
import time
import urllib.parse
import urllib.request

import yaml

from agent_process import free_port


class PrometheusServer:
    """On loopback, scraping 127.0.0.1:port each second; use as a context.

    program: another one than the installed. scrape: further keys of its scrape_configs entry.
    """

    def __init__(self, folder, port, program="prometheus", arguments=(), **scrape):
        self._own = free_port()
        job = {"job_name": "a", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}], **scrape}
        config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self._log = folder / "prometheus.log"
        self._command = [
            program, *arguments, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{self._own}",
        ]  # fmt: skip

    def __enter__(self):
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()

    def ask(self, expression):
        """The result of an instant query; nothing while it does not answer."""
        query = urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self._own}/api/v1/query?{query}", timeout=5
            ) as answer:
                return json.load(answer)["data"]["result"]
        except OSError:
            return []

    def until(self, expression, seconds=30):
        """The first result that is not empty."""
        deadline = time.monotonic() + seconds
        while not (found := self.ask(expression)):
            assert time.monotonic() < deadline, f"{expression}: nothing; {self._log.read_text()[-2000:]}"
            time.sleep(0.2)
        return found


def installed():
    """Whether there is one."""
    return shutil.which("prometheus") is not None
