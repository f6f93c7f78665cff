"""A real Alertmanager with the shipped configuration, and the webhook that its notifications reach."""

import json
import shutil
import subprocess
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

SHIPPED = Path(__file__).resolve().parents[1] / "deploy/alertmanager"
PROGRAM = next((name for name in ("prometheus-alertmanager", "alertmanager") if shutil.which(name)), None)


class Webhook:
    """Listens on loopback; `notifications` are (receiver, what Alertmanager sent), in the order they came."""

    def __init__(self):
        notifications = self.notifications = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                notifications.append((self.path.strip("/"), body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def of(self, receiver):
        """What one receiver got: for each notification its status and the names of its alerts."""
        return [
            (body["status"], sorted(alert["labels"]["alertname"] for alert in body["alerts"]))
            for name, body in self.notifications
            if name == receiver
        ]

    def wait_for(self, receiver, status, seconds=30):
        """The alerts of the first notification of that status that the receiver got."""
        deadline = time.monotonic() + seconds
        while True:
            for name, body in self.notifications:
                if name == receiver and body["status"] == status:
                    return body["alerts"]
            assert time.monotonic() < deadline, f"nothing {status} at {receiver}: {self.notifications}"
            time.sleep(0.1)


class Alertmanager:
    """The shipped routes and inhibitions; receivers are the webhook's, and its waits are a second.

    hours: an Alertmanager time interval in place of the shipped business hours.
    """

    def __init__(self, folder, port, webhook, prefix=(), hours=None):
        self.url = f"http://127.0.0.1:{port}"
        document = yaml.safe_load((SHIPPED / "alertmanager.yml").read_text())
        document["global"] = {"resolve_timeout": "5m"}
        document["route"] |= {"group_wait": "1s", "group_interval": "1s"}
        if hours is not None:
            document["time_intervals"][0]["time_intervals"] = [hours]
        document["receivers"] = [
            {"name": name, "webhook_configs": [{"url": f"{webhook.url}/{name}"}]}
            for name in (receiver["name"] for receiver in document["receivers"])
        ]
        shutil.copy(SHIPPED / "lightfloor.tmpl", folder)
        (folder / "alertmanager.yml").write_text(yaml.safe_dump(document))
        self._log = folder / "alertmanager.log"
        self._command = [
            *prefix, PROGRAM, f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
        ]  # fmt: skip

    def __enter__(self):
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def post(self, alerts, seconds=20):
        """Hand in alerts as Prometheus does: [{"labels": {...}, "annotations": {...}}]."""
        body = json.dumps(alerts).encode()
        asked = urllib.request.Request(
            f"{self.url}/api/v2/alerts", body, headers={"Content-Type": "application/json"}
        )
        deadline = time.monotonic() + seconds
        while True:
            try:
                with urllib.request.urlopen(asked, timeout=5):
                    return
            except OSError:
                assert time.monotonic() < deadline, self._log.read_text()
                time.sleep(0.05)
