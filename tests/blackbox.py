"""Debian's blackbox_exporter in a node, probed over HTTP as Prometheus would: the peer that figures are compared with."""

import shutil
import subprocess
import sys

import pytest

# Waits for the exporter, then probes the target `count` times, one each `gap` seconds over one connection, and
# prints each probe_duration_seconds.
DRIVER = """
import http.client, re, sys, time
target, count, gap = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
connection = http.client.HTTPConnection("127.0.0.1", 9115)
for _ in range(200):
    try:
        connection.connect()
        break
    except OSError:
        time.sleep(0.05)
results, due = [], time.monotonic()
for _ in range(count):
    connection.request("GET", f"/probe?module=tcp_connect&target={target}")
    page = connection.getresponse().read()
    results.append(float(re.search(rb"^probe_duration_seconds (\\S+)", page, re.M)[1]))
    due += gap
    time.sleep(max(0.0, due - time.monotonic()))
print(*results)
"""


class Blackbox:
    """The exporter, running in a node until the world ends."""

    def __init__(self, node, folder):
        if shutil.which("prometheus-blackbox-exporter") is None:
            pytest.skip("prometheus-blackbox-exporter is not installed (Debian package)")
        config = folder / "blackbox.yml"
        config.write_text("modules: {tcp_connect: {prober: tcp, timeout: 5s}}\n")
        self._node = node
        self.process = node.popen(
            [
                "prometheus-blackbox-exporter",
                "--config.file",
                config,
                "--web.listen-address",
                "127.0.0.1:9115",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def durations(self, target, count, *, gap_seconds=0.02):
        """probe_duration_seconds of so many tcp probes."""
        argv = [sys.executable, "-c", DRIVER, target, count, gap_seconds]
        return [float(word) for word in self._node.run(argv).stdout.split()]
