"""Both programs killed with SIGKILL at random moments: what was closed is stored, exactly once."""

import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from agent_process import ROOT, free_port

KILLS = int(os.environ.get("LIGHTFLOOR_KILLS", "200"))
BATCH = re.compile(r'msg="batch (closed|spooled)" boot=(\w+) sequence=(\d+) windows=\d+ probes=(\d+)')


class Pair:
    """A collector and an agent with one-second windows on loopback, each restartable."""

    def __init__(self, folder):
        self.folder, self.port, self.responder = folder, free_port(), free_port()
        self.log = folder / "agent.log"
        nodes = "".join(
            f'[[nodes]]\nname = "{name}"\nprovider = "p"\nsite = "s"\nipv4 = "127.0.0.1"\nport = {self.responder}\n\n'
            for name in ("a", "b")
        )
        (folder / "fleet.toml").write_text(
            f'[[providers]]\nname = "p"\n\n[[sites]]\nname = "s"\niata = "FRA"\n\n{nodes}'
            '[[groups]]\nname = "all"\nshape = "mesh"\nprobes = [{ kind = "tcp", interval_seconds = 0.2 }]\n'
        )
        (folder / "collector.toml").write_text(
            f'[server]\nport = {self.port}\n\n[store]\npath = "{folder}/store.db"\n\n'
            f'[fleet]\npath = "{folder}/fleet.toml"\n'
        )
        (folder / "agent.toml").write_text(
            f'node = "a"\nstate_directory = "{folder}/state"\nwindow_seconds = 1\n'
            f'exporter.listen_address = ""\nresponder.listen_address = "127.0.0.1:{self.responder}"\n'
            f'[collector]\nurl = "http://127.0.0.1:{self.port}"\ntoken_file = "{folder}/token"\n'
        )
        self.programs = {}

    def start(self, name):
        command = {
            "collector": ["collector", "serve", "--config.file", f"{self.folder}/collector.toml"],
            "agent": ["agent", "run", "--config.file", f"{self.folder}/agent.toml", "--log.level", "debug"],
        }[name]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.programs[name] = subprocess.Popen(
                [sys.executable, "-m", *command], cwd=ROOT, stdout=log, stderr=log
            )

    def enroll(self):
        command = [sys.executable, "-m", "collector", "enroll", "a", "--token-only"]
        done = subprocess.run(
            [*command, "--config.file", f"{self.folder}/collector.toml"],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        (self.folder / "token").write_bytes(done.stdout)

    def wait_for_collector(self):
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/healthy", timeout=1).close()
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise AssertionError((self.folder / "collector.log").read_text()[-2000:])

    def kill(self, name):
        self.programs[name].send_signal(signal.SIGKILL)
        self.programs[name].wait()

    def stop(self):
        for program in self.programs.values():
            if program.poll() is None:
                program.terminate()
        for program in self.programs.values():
            program.wait(15)

    def batches(self):
        """(boot, sequence) → probes, of batches begun and of batches made durable."""
        closed, spooled = {}, {}
        for step, boot, sequence, probes in BATCH.findall(self.log.read_text(errors="replace")):
            (closed if step == "closed" else spooled)[boot, int(sequence)] = int(probes)
        return closed, spooled

    def stored(self):
        """(boot, sequence) of every stored batch, and the sum of all outcomes in the minute rows."""
        connection = sqlite3.connect(self.folder / "store.db")
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        batches = [
            (boot.hex(), sequence)
            for boot, sequence in connection.execute("SELECT boot, sequence FROM batch")
        ]
        (outcomes,) = connection.execute(
            "SELECT sum(ok + refused + timeout + unreachable + syn_retransmitted + invalid + unresolved + skipped"
            " + unavailable + failed) FROM minute"
        ).fetchone()
        connection.close()
        return batches, outcomes


@pytest.fixture
def pair(tmp_path):
    pair = Pair(Path(tmp_path))
    pair.start("collector")
    try:
        pair.wait_for_collector()
        pair.enroll()
        pair.start("agent")
        yield pair
    finally:
        pair.stop()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_closed_window_is_stored_exactly_once_whatever_is_killed(pair):
    """SIGKILL of either program, hundreds of times: no durable batch is missing, none counts twice, the file is whole."""
    moments = random.Random(7)
    for _ in range(KILLS):
        time.sleep(moments.uniform(0.1, 1.6))
        victim = moments.choice(["agent", "collector"])
        pair.kill(victim)
        pair.start(victim)
    pair.wait_for_collector()
    deadline = time.monotonic() + 60
    while list((pair.folder / "state/spool").glob("*.json.gz")) and time.monotonic() < deadline:
        time.sleep(0.3)
    pair.stop()
    closed, spooled = pair.batches()
    stored, outcomes = pair.stored()
    assert len(spooled) > KILLS / 10
    assert len(stored) == len(set(stored))
    assert spooled.keys() <= set(stored) <= closed.keys()
    assert outcomes == sum(closed[batch] for batch in stored)


def test_an_agent_catches_up_after_the_collector_was_away(pair):
    """With the collector gone windows go on closing; back again it has every one, and live ones arrive too."""
    time.sleep(3)
    pair.kill("collector")
    time.sleep(6)
    _, before = pair.batches()
    pair.start("collector")
    pair.wait_for_collector()
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and not before.keys() <= set(pair.stored()[0]):
        time.sleep(0.5)
    live = len(pair.stored()[0])
    time.sleep(4)
    assert before.keys() <= set(pair.stored()[0])
    assert len(before) >= 5
    assert len(pair.stored()[0]) > live
