"""Tracepoints counted by the kernel, in a private mount of tracefs; and what is said where that cannot be."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent.flight import Unavailable
from agent.net import tracepoints
from agent.net.tracepoints import TracepointCounter
from agent_process import AgentProcess

ROOT = Path(__file__).resolve().parents[2]
COUNT = """
import os, socket, tempfile
from agent.net.tracepoints import TRACEPOINTS, TracepointCounter
counter = TracepointCounter(TRACEPOINTS["sendfile_calls"])
before = counter.read()
near, far = socket.socketpair()
with tempfile.TemporaryFile() as file:
    file.write(b"x" * 100)
    file.flush()
    for _ in range(500):
        os.sendfile(near.fileno(), file.fileno(), 0, 100)
        far.recv(100)
print(counter.read() - before)
counter.close()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting tracefs and counting need root")
def test_every_sendfile_of_the_host_is_counted():
    """Five hundred calls are at least five hundred events; nobody else here calls it thousands of times meanwhile."""
    mounted = 'mount -t tracefs tracefs /sys/kernel/tracing && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", mounted, "sh", sys.executable, "-c", COUNT]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    if "tracefs" in done.stderr or "Unavailable" in done.stderr:
        pytest.skip(f"no tracepoints in this kernel or container: {done.stderr.strip().splitlines()[-1]}")
    assert 500 <= int(done.stdout) < 5000, done.stderr


def test_a_host_without_tracefs_says_what_is_missing(tmp_path, monkeypatch):
    """No number is made up: the reason names tracefs."""
    monkeypatch.setattr(tracepoints, "TRACEFS", (tmp_path,))
    with pytest.raises(Unavailable, match="tracefs is not mounted"):
        TracepointCounter("tcp/tcp_retransmit_skb")


def test_a_foreign_tracepoint_number_is_refused_with_the_reason(tmp_path, monkeypatch):
    """Where the kernel refuses, the reason is the kernel's, and no descriptor stays open."""
    folder = tmp_path / "events/tcp/nosuch"
    folder.mkdir(parents=True)
    (folder / "id").write_text("99999999\n")
    monkeypatch.setattr(tracepoints, "TRACEFS", (tmp_path,))
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(Unavailable, match="CAP_PERFMON"):
        TracepointCounter("tcp/nosuch")
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_agent_that_may_not_count_says_so_once_and_runs(tmp_path):
    """Asked for on a host without tracefs, it is one log line and one metric; without being asked there is neither."""
    agent = AgentProcess(tmp_path, "tracepoints = true\n", prefix=without_tracefs())
    with agent:
        agent.wait_ready()
        page = agent.get("/metrics")[1]
    assert 'lightfloor_host_events_unavailable{event="sendfile_calls"} 1.0' in page
    assert "lightfloor_host_events_total{" not in page
    assert agent.log.count("tracepoint is unavailable") == 2


def without_tracefs():
    """A command prefix under which /sys/kernel shows no tracefs."""
    if os.geteuid() or shutil.which("unshare") is None:
        pytest.skip("hiding tracefs needs root and unshare(1)")
    return ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /sys/kernel && exec "$@"', "sh"]
