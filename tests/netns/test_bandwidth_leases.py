"""Leased bandwidth tests between real agents over the emulated WAN, with a real collector."""

import json
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.wire.series import Family
from lab.world import World

pytestmark = [
    pytest.mark.netns,
    pytest.mark.slow,
    pytest.mark.debian,
    pytest.mark.timeout(150),
    pytest.mark.skipif(shutil.which("iperf3") is None, reason="iperf3 is not installed"),
]

ROOT = Path(__file__).resolve().parents[2]
RATE = 10_000_000


class Mesh:
    """A collector on hub, agents on fra and nyc; fra measures to nyc."""

    def __init__(self, world, folder, duration_seconds, family=Family.IPV4):
        self.world, self.folder = world, folder
        address_of = {Family.IPV4: "address", Family.IPV6: "address6"}[family]
        self.agents = {}
        nodes = "".join(
            f'[[nodes]]\nname = "{name}"\nprovider = "p"\nsite = "s"\n{family} = "{getattr(world[name], address_of)}"\n'
            "transfer_allowance_bytes = 1_000_000_000_000\n"
            for name in ("fra", "nyc")
        )
        (folder / "fleet.toml").write_text(
            f"[bandwidth]\nduration_seconds = {duration_seconds}\nbits_per_second = {RATE}\n"
            f'[[providers]]\nname = "p"\n[[sites]]\nname = "s"\n{nodes}'
            '[[groups]]\nname = "one"\nshape = "pairs"\npairs = [["fra", "nyc"]]\nprobes = [{ kind = "tcp", interval_seconds = 0.5 }]\n'
            '[[groups]]\nname = "back"\nshape = "pairs"\npairs = [["nyc", "fra"]]\nprobes = [{ kind = "tcp", interval_seconds = 0.5 }]\n'
        )
        (folder / "collector.toml").write_text(
            f'[server]\naddress = "0.0.0.0"\n[store]\npath = "{folder}/store.db"\n[fleet]\npath = "{folder}/fleet.toml"\n'
        )

    def start(self, node, name, *arguments):
        with (self.folder / f"{name}.log").open("ab") as log:
            return self.world[node].popen(
                [sys.executable, "-m", *arguments], stdout=log, stderr=log, cwd=ROOT
            )

    def start_collector(self):
        self.collector = self.start(
            "hub", "collector", "collector", "serve", "--config.file", f"{self.folder}/collector.toml"
        )
        self.until(lambda: "collector started" in (self.folder / "collector.log").read_text(), 30)

    def start_agent(self, name):
        home = self.folder / name
        home.mkdir(exist_ok=True)
        if not (home / "token").exists():
            command = [sys.executable, "-m", "collector", "enroll", name, "--token-only"]
            done = subprocess.run(
                [*command, "--config.file", f"{self.folder}/collector.toml"],
                cwd=ROOT, check=True, capture_output=True,
            )  # fmt: skip
            (home / "token").write_bytes(done.stdout)
        (home / "agent.toml").write_text(
            f'node = "{name}"\nstate_directory = "{home}/state"\nwindow_seconds = 1\n'
            f'[collector]\nurl = "http://{self.world["hub"].address}:10990"\ntoken_file = "{home}/token"\n'
        )
        self.agents[name] = self.start(name, name, "agent", "run", "--config.file", f"{home}/agent.toml")

    def rows(self, question):
        connection = sqlite3.connect(self.folder / "store.db")
        try:
            return connection.execute(question).fetchall()
        finally:
            connection.close()

    def until(self, condition, seconds):
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                logs = "\n".join(p.name + "\n" + p.read_text()[-1500:] for p in self.folder.glob("*.log"))
                raise AssertionError(logs)
            time.sleep(0.1)

    def programs(self, name):
        """Ids of the iperf3 processes that this node's agent started and that still run."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                argv = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if argv[0].endswith(b"/iperf3") and self.world[name].address.encode() in argv:
                found.append(int(entry.name))
        return found


@contextmanager
def mesh(folder, duration_seconds, family=Family.IPV4):
    with World(["fra", "nyc", "hub"]) as world:
        world.both("fra", "nyc", delay_ms=10)
        mesh = Mesh(world, folder, duration_seconds, family)
        mesh.start_collector()
        mesh.start_agent("fra")
        mesh.start_agent("nyc")
        yield mesh


def settled(mesh):
    rows = mesh.rows(
        "SELECT client, server, outcome, reason, bytes FROM bandwidth_lease WHERE outcome IS NOT NULL"
    )
    if any(row[2] == "refused" and "steal" in row[3] for row in rows):
        pytest.skip(f"this host is too busy for a test: {rows}")
    return rows


@pytest.mark.parametrize("family", list(Family))
def test_a_leased_test_runs_and_its_minutes_are_spoiled_on_both_ends(tmp_path, family):
    """Both directions, one after the other; results arrive as events; no probe of a test's time enters a verdict."""
    with mesh(tmp_path, 3, family) as running:
        running.until(lambda: len(settled(running)) == 2, 60)
        rows = settled(running)
        assert sorted(row[:3] for row in rows) == [("fra", "nyc", "ok"), ("nyc", "fra", "ok")], rows
        for *_, size in rows:
            assert size == pytest.approx(RATE / 8 * 3 * 1.06, rel=0.2)
        events = "SELECT node.name, destination, detail FROM event JOIN node ON node.id = event.node WHERE kind = 'bandwidth_test'"
        running.until(lambda: len(running.rows(events)) == 2, 20)
        for _, _, detail in running.rows(events):
            forward = json.loads(detail)["report"]["forward"]
            assert forward["bits_per_second"] == pytest.approx(RATE, rel=0.25)
            assert 0.018 < forward["rtt_min_seconds"] < 0.05
        spoiled = (
            "SELECT node.name, sum(spoiled), sum(NOT spoiled) FROM minute JOIN series ON series.id = minute.series"
            " JOIN node ON node.id = series.node WHERE probe = 'tcp' AND {} GROUP BY 1"
        )
        running.until(lambda: len(running.rows(spoiled.format("quality LIKE '%own_test_seconds%'"))) == 2, 20)


def test_kill_9_of_an_agent_half_way_leaves_no_program(tmp_path):
    """The client's agent dies in its test: its iperf3 dies with it, the server's ends, the lease expires."""
    with mesh(tmp_path, 20) as running:
        running.until(
            lambda: (
                running.programs("fra")
                and running.programs("nyc")
                and running.rows("SELECT 1 FROM bandwidth_lease")
            ),
            60,
        )
        (client, server) = running.rows("SELECT client, server FROM bandwidth_lease")[0]
        running.until(
            lambda: any(
                b"-c" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                for pid in running.programs(client)
            ),
            10,
        )
        time.sleep(1)
        agent = running.agents[client]
        agent.kill()
        agent.wait()
        running.until(lambda: not running.programs(client), 5)
        running.until(lambda: not running.programs(server), 30)
        running.start_agent(client)
        running.until(lambda: settled(running), 60)
        assert settled(running)[0][2] == "expired"
