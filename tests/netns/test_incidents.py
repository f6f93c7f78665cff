"""Incidents found in what real agents measured on an emulated WAN, a second of theirs standing for a minute."""

import gzip
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from agent.wire.batch import decode
from collector.fleet import parse_fleet
from collector.incidents.record import found_in_period
from collector.store.batches import BatchStore
from collector.store.schema import open_reader, open_writer
from collector.store.tiers import Period
from lab.world import World
from tests.histories import fleet_text

pytestmark = [pytest.mark.netns, pytest.mark.slow, pytest.mark.timeout(240)]

ROOT = Path(__file__).resolve().parents[2]
NODES = {
    "fra": ("alder", "fra"),
    "nyc": ("alder", "nyc"),
    "sin": ("birch", "sin"),
    "tyo": ("birch", "tyo"),
    "gru": ("cedar", "gru"),
}
SITES = {
    "fra": ("eu", 50.1, 8.7),
    "nyc": ("us", 40.7, -74.0),
    "sin": ("asia", 1.35, 103.8),
    "tyo": ("asia", 35.7, 139.7),
    "gru": ("sa", -23.5, -46.6),
}
HEALTHY_S, FAULTY_S, AFTER_S = 12, 17, 12
START = 1_760_000_000 // 86400 * 86400
DELAY_MS, EXTRA_MS, LOSS = 20, 30, 0.4


def config(world, folder, node):
    peers = "".join(
        f'[[peers]]\nname = "{peer.name}"\nipv4 = "{peer.address}"\n'
        "probes = ["
        + ", ".join(
            f'{{ kind = "{kind}", interval_seconds = 0.2, timeout_seconds = 0.8 }}' for kind in ("tcp", "udp")
        )
        + "]\n\n"
        for peer in world.nodes
        if peer is not node
    )
    (folder / "token").write_text("none")
    (folder / "agent.toml").write_text(
        f'node = "{node.name}"\nstate_directory = "{folder}/state"\nwindow_seconds = 1\n'
        f'[collector]\nurl = "http://127.0.0.1:9"\ntoken_file = "{folder}/token"\n\n{peers}'
    )
    return folder / "agent.toml"


def measured(tmp_path):
    """Run the world and its agents, with faults in the middle; the wall clock (s) when the faults began and ended."""
    with World(list(NODES)) as world, ExitStack() as stack:
        for at, one in enumerate(NODES):
            for other in list(NODES)[at + 1 :]:
                world.both(one, other, delay_ms=DELAY_MS, jitter_ms=0.2)
        programs = []
        for node in world.nodes:
            folder = tmp_path / node.name
            folder.mkdir()
            log = stack.enter_context((folder / "agent.log").open("wb"))
            command = [
                sys.executable,
                "-m",
                "agent",
                "run",
                "--config.file",
                str(config(world, folder, node)),
            ]
            programs.append(node.popen(command, stdout=log, stderr=log, cwd=ROOT))
        time.sleep(3 + HEALTHY_S)
        for one, (provider, _) in NODES.items():
            for other in NODES:
                if one != other and provider == "birch":
                    world.path(one, other, delay_ms=DELAY_MS + EXTRA_MS)
        world.path("fra", "nyc", loss=LOSS)
        began = time.time()
        time.sleep(FAULTY_S)
        for one in NODES:
            for other in NODES:
                if one != other:
                    world.path(one, other, delay_ms=DELAY_MS, loss=0.0)
        ended = time.time()
        time.sleep(AFTER_S)
        for program in programs:
            assert program.poll() is None
            program.terminate()
        for program in programs:
            program.wait(10)
    return began, ended


def ingested(tmp_path, first_s):
    """The agents' spooled batches in a store, their seconds made minutes.

    All nodes share this machine's cores: what that does to a second (quality flags) is not what is looked for.
    """
    writer, sink = open_writer(tmp_path / "store.db"), BatchStore()
    for node in NODES:
        for path in sorted((tmp_path / node / "state" / "spool").glob("*.json.gz")):
            batch = decode(gzip.decompress(path.read_bytes()))
            windows = [
                msgspec.structs.replace(
                    w, start_s=START + (w.start_s - first_s) * 60, length_s=60, quality={}
                )
                for w in batch.windows
                if w.start_s >= first_s and w.series.probe in ("tcp", "udp")
            ]
            batch = msgspec.structs.replace(batch, windows=windows, events=[], facts=[])
            writer.execute("BEGIN")
            sink.store(writer, batch, START + 86400)
            writer.execute("COMMIT")
    writer.close()
    return tmp_path / "store.db"


def test_a_slow_provider_and_a_lossy_direction_are_found_at_once_and_told_apart(tmp_path):
    """Real packets, real agents: two incidents, each with its own cause, time and witnesses."""
    began, ended = measured(tmp_path)
    first_s = int(began) - HEALTHY_S
    connection = open_reader(ingested(tmp_path, first_s))
    fleet = parse_fleet(fleet_text(NODES, ("alder", "birch", "cedar"), SITES), "fleet.toml")
    found = found_in_period(connection, fleet, Period(START, START + 3600)).incidents
    connection.close()
    said = {(each.kind, each.cause.kind, each.cause.name): each for each in found}
    assert said.keys() == {("latency", "provider", "birch"), ("loss", "direction", "fra → nyc")}
    slow, lossy = said["latency", "provider", "birch"], said["loss", "direction", "fra → nyc"]
    assert slow.broken_paths == slow.measured_paths == 14
    assert slow.excess_seconds == pytest.approx(EXTRA_MS / 1e3, rel=0.2)
    assert lossy.broken_paths == 2
    for incident in (slow, lossy):
        assert abs(incident.start_s - START - HEALTHY_S * 60) <= 300
        assert abs(incident.end_s - START - (ended - first_s) * 60) <= 420
