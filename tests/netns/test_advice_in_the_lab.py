"""Faults built into the emulated world are what the advice finds: real agents, a real collector, real packets."""

import json
import subprocess
import sys
import time

import pytest

from lab.cities import five_cities
from lab.deployment import ROOT, deployed

pytestmark = [pytest.mark.netns, pytest.mark.debian, pytest.mark.slow, pytest.mark.timeout(240)]

HOLE_FROM, HOLE_TO = "frankfurt", "newyork"
LOSSY_FROM, LOSSY_TO = "singapore", "tokyo"
DETUNED = "newyork"
FAULTS = {(HOLE_FROM, "pmtu-black-hole"), (LOSSY_FROM, "retransmits"), (DETUNED, "tcp-sack")}
PATIENCE_SECONDS = 170


def test_faults_are_found_where_they_were_built(tmp_path):
    """A PMTU black hole, a lossy direction under load and a switch that is off: each at its node, with its change, and as the first cause."""
    with five_cities() as cities:
        cities.world[DETUNED].sysctl("net.ipv4.tcp_sack", 0)
        cities.world.path(HOLE_FROM, HOLE_TO, mtu_bytes=1400, mtu_reported=False)
        cities.world.path(LOSSY_FROM, LOSSY_TO, loss=0.12)
        with deployed(cities, tmp_path, window_seconds=5) as deployment:
            load(cities.world)
            found = _until(deployment, FAULTS)
            stories = _advise(deployment, "--diagnose")
    hole = found[HOLE_FROM, "pmtu-black-hole"]
    assert hole["severity"] == "critical"
    assert "maxseg size set 1360" in hole["change"]
    assert hole["subjects"] == [HOLE_TO]
    assert LOSSY_TO in found[LOSSY_FROM, "retransmits"]["subjects"]
    assert found[DETUNED, "tcp-sack"]["undo"] == "net.ipv4.tcp_sack = 0"
    first = {(story["node"], story["causes"][0]["cause"]) for story in stories}
    assert {(HOLE_FROM, "pmtu-black-hole"), (LOSSY_FROM, "path-loss"), (DETUNED, "tcp-sack")} <= first
    elsewhere = {node for node, rule in found if rule == "pmtu-black-hole"}
    assert elsewhere == {HOLE_FROM}
    assert {node for node, rule in found if rule == "tcp-sack"} == {DETUNED}


def load(world):
    """TCP over the lossy direction, so that its kernel has something to send again."""
    world[LOSSY_TO].popen(["iperf3", "-s", "-1"], stdout=subprocess.DEVNULL)
    time.sleep(0.5)
    target = world[LOSSY_TO].address
    world[LOSSY_FROM].popen(["iperf3", "-c", target, "-t", "150", "-b", "2M"], stdout=subprocess.DEVNULL)


def _until(deployment, wanted):
    """Findings by (node, rule), once all that are wanted are among them."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    found = {}
    while time.monotonic() < deadline:
        time.sleep(5)
        found = {(each["node"], each["id"]): each for each in _advise(deployment)}
        if wanted <= found.keys():
            return found
    raise AssertionError(f"{wanted - found.keys()} not among {sorted(found)}; see {deployment.folder}")


def _advise(deployment, *words):
    command = [sys.executable, "-m", "collector", "advise", "--json", "--from", "-1h", *words]
    done = deployment.cities.collector.run(
        [*command, "--config.file", str(deployment.folder / "collector.toml")], cwd=ROOT
    )
    return json.loads(done.stdout)
