"""Lightfloor itself in a world: a collector on one node, an agent on each of the others, all real processes."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Collection, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lab.cities import Cities

ROOT = Path(__file__).resolve().parents[2]
_PATIENCE_SECONDS = 20
_PROBES = (
    '{ kind = "tcp", interval_seconds = %(interval)s }, { kind = "udp", interval_seconds = %(interval)s }, '
    '{ kind = "icmp", interval_seconds = %(interval)s }, { kind = "mtu", interval_seconds = 60.0 }'
)
_ALLOWANCE = "transfer_allowance_bytes = 1_000_000_000_000\n"
_BANDWIDTH = (
    '\n[bandwidth]\nkinds = ["iperf3", "qperf"]\nduration_seconds = 1\nbits_per_second = 10_000_000\n'
)


class Deployment:
    """Where the collector's page is, and what was started."""

    def __init__(self, folder: Path, cities: Cities) -> None:
        self.folder = folder
        self.cities = cities
        self.page = f"http://{cities.management.node_address}:10990/"
        self.programs: dict[str, subprocess.Popen[bytes]] = {}

    def get(self, path: str) -> object:
        """A JSON document of the collector."""
        with urllib.request.urlopen(self.page + path, timeout=10) as answer:
            return json.load(answer)

    def alive(self) -> bool:
        """Whether every program still runs."""
        return all(program.poll() is None for program in self.programs.values())


@contextmanager
def deployed(
    cities: Cities,
    folder: Path,
    *,
    interval_seconds: float = 1.0,
    window_seconds: int = 60,
    more_probes: str = "",
    bandwidth: Collection[str] = (),
    agent_settings: str = "",
):
    """Start a collector and five agents under folder; stop them at the end, however it comes.

    more_probes: TOML tables for the mesh beside _PROBES. bandwidth: nodes that may test each other's bandwidth.
    agent_settings: tables for every agent.toml.
    """
    deployment = Deployment(folder, cities)
    probes = ", ".join(filter(None, (_PROBES % {"interval": interval_seconds}, more_probes)))
    _write_collector(cities, folder, probes, bandwidth)
    with ExitStack() as stack:
        _start(deployment, stack, "collector", cities.collector, ["serve", "--config.file", "collector.toml"])
        _wait_for(deployment)
        for member in cities.fleet:
            _write_agent(cities, folder / member.name, member.name, window_seconds, agent_settings)
            token = cities.collector.run(
                [sys.executable, "-m", "collector", "enroll", member.name, "--token-only",
                 "--config.file", str(folder / "collector.toml")],
                capture_output=True, cwd=ROOT,
            ).stdout  # fmt: skip
            (folder / member.name / "token").write_bytes(
                token if isinstance(token, bytes) else token.encode()
            )
            node = cities.world[member.name]
            _start(
                deployment, stack, member.name, node, ["run", "--config.file", f"{member.name}/agent.toml"]
            )
        yield deployment


def _write_collector(cities: Cities, folder: Path, probes: str, bandwidth: Collection[str]) -> None:
    sites = "".join(
        f'[[sites]]\nname = "{member.name}"\nregion = "{member.region}"\nlatitude = {member.latitude}\nlongitude = {member.longitude}\n\n'
        for member in cities.fleet
    )
    nodes = "".join(
        f'[[nodes]]\nname = "{member.name}"\nprovider = "{member.provider}"\nsite = "{member.name}"\n'
        f'ipv4 = "{member.address}"\nipv6 = "{member.address6}"\n'
        f"{_ALLOWANCE if member.name in bandwidth else ''}\n"
        for member in cities.fleet
    )
    providers = "".join(
        f'[[providers]]\nname = "{name}"\n\n' for name in sorted({m.provider for m in cities.fleet})
    )
    group = f'[[groups]]\nname = "all"\nshape = "mesh"\nprobes = [{probes}]\n'
    tests = _BANDWIDTH if bandwidth else ""
    (folder / "fleet.toml").write_text(providers + sites + nodes + group + tests)
    (folder / "collector.toml").write_text(
        f'[server]\naddress = "0.0.0.0"\n\n[store]\npath = "{folder}/store.db"\n\n[fleet]\npath = "{folder}/fleet.toml"\n'
    )


def _write_agent(cities: Cities, folder: Path, name: str, window_seconds: int, settings: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "agent.toml").write_text(
        f'node = "{name}"\nstate_directory = "{folder}/state"\nwindow_seconds = {window_seconds}\n\n'
        f'[collector]\nurl = "http://{cities.collector.address}:10990"\ntoken_file = "{folder}/token"\n'
        f"assignment_interval_seconds = 5\n{settings}"
    )


def _start(deployment: Deployment, stack: ExitStack, name: str, node, arguments: Sequence[str]) -> None:
    package = "collector" if name == "collector" else "agent"
    *command, path = arguments
    log = stack.enter_context((deployment.folder / f"{name}.log").open("ab"))
    program = node.popen(
        [sys.executable, "-m", package, *command, str(deployment.folder / path)],
        stdout=log,
        stderr=log,
        cwd=ROOT,
    )
    deployment.programs[name] = program
    stack.callback(_stop, program)


def _stop(program: "subprocess.Popen[bytes]") -> None:
    program.terminate()
    try:
        program.wait(10)
    except subprocess.TimeoutExpired:
        program.kill()
        program.wait()


def _wait_for(deployment: Deployment) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(deployment.page + "-/healthy", timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError((deployment.folder / "collector.log").read_text()[-2000:])
