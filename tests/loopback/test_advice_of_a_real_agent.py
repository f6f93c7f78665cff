"""From a real agent's kernel, facts and probes through the collector's store to advice."""

import json
import time
from datetime import UTC, datetime

import pytest

from collector.store.schema import open_writer
from collector.store.tokens import enroll
from histories import fleet_text
from tests.agent_process import AgentProcess
from tests.collector_process import CollectorProcess, free_port

SITES = {"fra": ("eu", 50.1, 8.7)}
NEEDS_NO_PEER = {
    "tcp-sack", "swappiness", "listen-queue", "zero-window", "softnet", "tcp-mem", "virt-acceleration",
}  # fmt: skip
"""Rules that every Linux host can decide by itself once it has sent its facts and one minute's counters."""


pytestmark = pytest.mark.slow


@pytest.fixture
def advised(tmp_path, capsys):
    """A function from command-line words to what `advise` says, once the agent has sent windows and facts."""
    (tmp_path / "fleet.toml").write_text(
        fleet_text({"here": ("p", "fra"), "there": ("p", "fra")}, ["p"], SITES).replace(
            "192.0.2.", "127.0.0."
        )
    )
    config = tmp_path / "collector.toml"
    config.write_text('[store]\npath = "store.db"\n[fleet]\npath = "fleet.toml"\n[server]\n')
    connection = open_writer(tmp_path / "store.db")
    (tmp_path / "token").write_text(enroll(connection, "here", 0))
    connection.close()
    port = free_port()
    collector = CollectorProcess(config, port).wait()
    push = f'[collector]\nurl = "http://127.0.0.1:{port}"\ntoken_file = "{tmp_path}/token"\n'
    agent = AgentProcess(tmp_path, f"window_seconds = 2\n{push}")
    with agent:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and _counted(tmp_path) < 2:
            time.sleep(0.2)

    def ask(*words):
        from collector.cli import main

        soon = datetime.fromtimestamp(
            time.time() + 120, UTC
        ).isoformat()  # the minute that is not over yet, too
        assert main(["advise", "--from", "-1h", "--to", soon, "--config.file", str(config), *words]) == 0
        return capsys.readouterr().out

    yield ask
    collector.end()


def _counted(folder):
    """How many counters of the kernel have arrived."""
    from tests.small_fleet import rows

    found = rows(folder / "store.db", "SELECT count(*) FROM minute_measure WHERE name = 'tcp_segments_sent'")
    facts = rows(folder / "store.db", "SELECT count(*) FROM fact")
    return min(2 * found[0][0], facts[0][0])


def test_names_on_the_wire_are_the_names_that_rules_ask_for(advised):
    """What an agent sends decides every rule that needs no peer: none of them says that something was not told."""
    shown = advised("--node", "here")
    undecided = shown.partition("Could not be decided")[2]
    assert not [rule for rule in NEEDS_NO_PEER if f" {rule}: " in undecided], undecided
    assert isinstance(json.loads(advised("--json")), list)
