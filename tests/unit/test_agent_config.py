"""agent.toml: what is right loads, what is wrong is one exact line."""

from pathlib import Path

import msgspec
import pytest

from agent.cli import run_command
from agent.config import MIN_INTERVAL_SECONDS, Config, listen_address, load, override
from agent.probes import PROBES
from agent.wire.series import PROBE_CLOCKS
from agent.wire.settings import ConfigError

BAD = sorted((Path(__file__).resolve().parents[1] / "fixtures" / "config_bad").glob("agent_*.toml"))

FULL = """
node = "fra"
state_directory = "/tmp/state"
window_seconds = 10
tick_seconds = 0.05
max_probes_per_second = 50
[collector]
url = "https://collector.example:10990/lightfloor"
token_file = "/etc/lightfloor/token"
[exporter]
listen_address = ""
[responder]
listen_address = "[::1]:0"
[[peers]]
name = "nyc"
ipv4 = "nyc.example"
ipv6 = "2001:db8::1"
limit_seconds = 0.16
probes = [{ kind = "tcp", interval_seconds = 0.2, options = { port = 443, source_address = "192.0.2.7" } }]
[[peers]]
name = "sgp"
ipv6 = "fe80::1%eth0"
"""


def written(tmp_path, text):
    path = tmp_path / "agent.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_file_gives_its_exact_line(path, capsys):
    """Each file of the folder says in its first line what check-config answers, and the exit status is 2."""
    first_line = path.read_bytes().splitlines()[0].decode()
    expected = first_line.removeprefix("# ").replace("{PROBES}", ", ".join(PROBES))
    assert run_command(["check-config", str(path)]) == 2
    said = capsys.readouterr()
    assert said.err == f"lightfloor-agent: {path}: {expected}\n"
    assert said.out == ""


def test_there_are_bad_files():
    """The folder is there and is read."""
    assert len(BAD) >= 25


def test_a_good_file_loads_and_is_confirmed(tmp_path, capsys):
    """All parts together, on both families, with names and scoped addresses."""
    path = written(tmp_path, FULL)
    config = load(path)
    assert config.peers[0].probes[0].options == {"port": 443, "source_address": "192.0.2.7"}
    assert config.own_assignment().max_probes_per_second == 50
    assert run_command(["check-config", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: ok, node fra, 2 peers of its own\n"


def test_a_file_that_is_not_there(tmp_path, capsys):
    """The line says which file and why."""
    assert run_command(["check-config", str(tmp_path / "none.toml")]) == 2
    assert (
        capsys.readouterr().err
        == f"lightfloor-agent: {tmp_path}/none.toml: cannot be read: No such file or directory\n"
    )


def test_the_floor_of_the_interval_itself_is_allowed(tmp_path):
    """The documented bound is inclusive."""
    text = f'node="a"\n[[peers]]\nname="b"\nipv4="192.0.2.1"\nprobes=[{{kind="tcp",interval_seconds={MIN_INTERVAL_SECONDS}}}]'
    assert load(written(tmp_path, text)).peers


def test_a_tick_is_shorter_than_the_shortest_interval():
    """Otherwise a probe would be overdue by design."""
    longest = next(f.type for f in msgspec.inspect.type_info(Config).fields if f.name == "tick_seconds").le
    assert longest <= MIN_INTERVAL_SECONDS / 2


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":10980", (None, 10980)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("[::1]:80", ("::1", 80)),
        ("host.example:65535", ("host.example", 65535)),
    ],
)
def test_listen_addresses(text, address):
    """Host and port, or all addresses."""
    assert listen_address(text, "x", "y") == address


@pytest.mark.parametrize("text", ["", "80", "host", ":", "host:", ":-1", ":65536", "host:http", ":8 0"])
def test_wrong_listen_addresses(text):
    """Anything else says what was expected."""
    with pytest.raises(ConfigError, match="expected HOST:PORT or :PORT"):
        listen_address(text, "x", "y")


def test_the_command_line_has_the_last_word():
    """A flag replaces the file's value; a flag not given changes nothing; a wrong one is named."""
    config = Config("fra")
    changed = override(config, "127.0.0.1:1", "web.yml", "debug", "json")
    assert (changed.exporter.listen_address, changed.log.level, changed.log.format) == (
        "127.0.0.1:1",
        "debug",
        "json",
    )
    assert override(config, None, None, None, None) == config
    assert override(config, "", None, None, None).exporter.listen_address == ""
    with pytest.raises(ConfigError, match=r"^--web.listen-address: expected HOST:PORT or :PORT, got 'x'$"):
        override(config, "x", None, None, None)


def test_the_example_is_right():
    """deploy/agent.example.toml is accepted as it stands."""
    config = load(Path(__file__).resolve().parents[2] / "deploy/agent.example.toml")
    assert config.node == "fsn-1"
    assert [peer.name for peer in config.peers] == ["router"]


def test_both_programs_know_the_same_probes():
    """What the fleet file may ask for is what an agent can run, with the clock it runs by."""
    assert {kind: probe.time_source for kind, probe in PROBES.items()} == PROBE_CLOCKS
