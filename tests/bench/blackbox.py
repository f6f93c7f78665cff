"""Debian's blackbox_exporter in a node, probed over HTTP as Prometheus would: the peer that figures are compared with."""

import shutil
import subprocess
import sys

import pytest

# Waits for the exporter, then probes the target `count` times, `burst` at once, `gap` seconds apart, and prints
# each probe_duration_seconds in the order the probes were asked for. One connection each, kept open.
DRIVER = """
import http.client, re, sys, threading, time
target, count, burst, gap = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
path = f"/probe?module=tcp_connect&target={target}"
def ask(connection):
    connection.request("GET", path)
    return float(re.search(rb"^probe_duration_seconds (\\S+)", connection.getresponse().read(), re.M)[1])
for _ in range(200):
    try:
        connections = [http.client.HTTPConnection("127.0.0.1", 9115) for _ in range(burst)]
        for connection in connections:
            connection.connect()
        break
    except OSError:
        time.sleep(0.05)
results = [[0.0] * burst for _ in range(count // burst)]
due = time.monotonic()
for row in results:
    def one(n, row=row):
        row[n] = ask(connections[n])
    threads = [threading.Thread(target=one, args=(n,)) for n in range(burst)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    due += gap
    time.sleep(max(0.0, due - time.monotonic()))
print(*(value for row in results for value in row))
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

    def durations(self, target, count, *, burst=1, gap_seconds=0.02):
        """probe_duration_seconds of so many tcp probes."""
        argv = [sys.executable, "-c", DRIVER, target, count, burst, gap_seconds]
        return [float(word) for word in self._node.run(argv).stdout.split()]
