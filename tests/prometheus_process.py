"""A real Prometheus with the shipped configuration and rules, for tests that ask it."""

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import yaml

SHIPPED = Path(__file__).resolve().parents[1] / "deploy/prometheus"


class Prometheus:
    """Started with the shipped files; only addresses and the scrape interval are the test's own. Use as a context.

    listen: HOST:PORT of its API. base: where the test finds that. start: as subprocess.Popen, for one in a namespace.
    """

    def __init__(self, folder, collector_port, listen, *, base=None, start=subprocess.Popen, flags=()):
        self._base = base or f"http://{listen}"
        document = yaml.safe_load((SHIPPED / "prometheus.example.yml").read_text())
        document["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        document["alerting"] = {}
        agents, collector = document["scrape_configs"]
        sd = agents["http_sd_configs"][0]
        sd["url"] = sd["url"].replace("10990", str(collector_port))
        sd["refresh_interval"] = "1s"
        collector["static_configs"] = [{"targets": [f"127.0.0.1:{collector_port}"]}]
        folder.mkdir(exist_ok=True)
        shutil.copytree(SHIPPED / "rules", folder / "rules")
        (folder / "prometheus.yml").write_text(yaml.safe_dump(document))
        command = [
            "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={listen}", *flags,
        ]  # fmt: skip
        with (folder / "prometheus.log").open("wb") as log:
            self.process = start(command, stdout=log, stderr=log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def get(self, path, **parameters):
        """`data` of an answer of the API; None while it does not answer. A question that it refuses is a RuntimeError."""
        url = f"{self._base}/api/v1/{path}"
        url += f"?{urllib.parse.urlencode(parameters, doseq=True)}" if parameters else ""
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                if error.code != 503:  # while it starts
                    raise RuntimeError(f"{path} {parameters}: {error.read().decode()}") from error
            return None
        except OSError:
            return None

    def query(self, expression):
        """Samples of an instant query: [(labels, value)]."""
        data = self.get("query", query=expression) or {"result": ()}
        return [(sample["metric"], float(sample["value"][1])) for sample in data["result"]]

    def until(self, expression, seconds=60):
        """The samples of the query as soon as there are any."""
        deadline = time.monotonic() + seconds
        while not (found := self.query(expression)):
            assert time.monotonic() < deadline, f"{expression}: nothing"
            time.sleep(0.3)
        return found
