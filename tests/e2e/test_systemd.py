"""The packages and their units, installed and used in a machine with a systemd of its own."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from lab.machine import Machine, machine, missing_for_a_machine

MISSING = missing_for_a_machine()
pytestmark = [
    pytest.mark.debian,
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(MISSING is not None, reason=str(MISSING)),
]
AGENT, COLLECTOR = "lightfloor-agent", "lightfloor-collector"
NODE = "fra-1"
AGENT_TOML = f"""
node = "{NODE}"
[collector]
url = "http://127.0.0.1:10990"
token_file = "token"
assignment_interval_seconds = 1.0
"""
FLEET_TOML = """
[[providers]]
name = "one"
[[sites]]
name = "fra"
iata = "FRA"
[[sites]]
name = "nyc"
iata = "JFK"
[[nodes]]
name = "fra-1"
provider = "one"
site = "fra"
ipv4 = "127.0.0.1"
[[nodes]]
name = "nyc-1"
provider = "one"
site = "nyc"
ipv4 = "127.0.0.2"
[[groups]]
name = "all"
shape = "mesh"
probes = [{ kind = "tcp", interval_seconds = 0.5 }]
"""


def until(what: Callable[[], object], seconds: float = 30) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, packages: Path) -> Iterator[Machine]:
    with machine(tmp_path_factory.mktemp("machine")) as booted:
        for package in packages.iterdir():
            target = booted.root / "root" / package.name
            target.write_bytes(package.read_bytes())
            booted.run("dpkg", "-i", f"/root/{package.name}", timeout=120)
        yield booted


@pytest.fixture(scope="module")
def running(host: Machine) -> Machine:
    """Both services configured and started, the agent enrolled."""
    configuration = host.root / "etc/lightfloor"
    (configuration / "fleet.toml").write_text(FLEET_TOML)
    (configuration / "collector.toml").write_text(
        f'[store]\npath = "/var/lib/{COLLECTOR}/collector.db"\n[fleet]\npath = "fleet.toml"\n'
    )
    host.run("systemctl", "start", COLLECTOR)
    token = as_collector(host, "enroll", NODE, "--token-only").stdout
    secret = host.root / "etc/lightfloor/token"
    secret.touch(mode=0o600)
    secret.write_text(token)
    (host.root / "etc/lightfloor/agent.toml").write_text(AGENT_TOML)
    host.run("systemctl", "start", AGENT)
    return host


def as_collector(host: Machine, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One of the collector's commands, as its own user."""
    return host.run("runuser", "-u", COLLECTOR, "--", COLLECTOR, *arguments)


def metrics(host: Machine) -> str:
    return host.run("curl", "-sS", "--max-time", "5", "http://127.0.0.1:10980/metrics").stdout


def test_a_package_enables_its_service_and_waits_for_a_configuration(host):
    """Right after installation nothing runs and nothing failed: there is no configuration yet."""
    for unit in (AGENT, COLLECTOR):
        if host.unit(unit, "ActiveState") == "inactive":
            assert host.run("systemctl", "is-enabled", unit).stdout.strip() == "enabled"
            assert host.run("systemctl", "start", unit).returncode == 0
            assert host.unit(unit, "ConditionResult") == "no"
            assert host.unit(unit, "ActiveState") == "inactive"


@pytest.mark.parametrize("unit", [AGENT, COLLECTOR])
def test_the_unit_is_right_and_closed(host, unit):
    """systemd finds nothing wrong with the unit, and little that an intruder could use."""
    path = f"/usr/lib/systemd/system/{unit}.service"
    verified = host.run("systemd-analyze", "verify", path)
    assert not [line for line in verified.stderr.splitlines() if unit in line]
    exposure = host.run("systemd-analyze", "security", "--offline=yes", "--threshold=20", path)
    assert "Overall exposure level" in exposure.stdout


def test_under_all_its_restrictions_the_agent_measures_and_delivers(running):
    """In the sandbox raw sockets, the kernel's counters and the token work: windows reach the collector's verdicts."""
    until(lambda: 'probe="tcp",family="ipv4",outcome="ok"' in metrics(running))
    text = metrics(running)
    assert "lightfloor_probe_unavailable{" not in text
    assert "lightfloor_tcp_segments_sent_total" in text
    assert running.unit(AGENT, "DynamicUser") == "yes"
    until(lambda: measured(running), 90)


def measured(host: Machine) -> bool:
    rows = json.loads(as_collector(host, "sla", "--json").stdout)
    return any(row["source"] == NODE and row["samples"] for row in rows)


def test_by_hand_raw_probes_say_what_they_lack(running):
    """The drop-in without raw sockets: the agent runs, and says which probes it cannot."""
    dropin = running.root / f"etc/systemd/system/{AGENT}.service.d"
    dropin.mkdir(parents=True)
    example = running.root / f"usr/share/doc/{AGENT}/examples/no-raw-sockets.conf"
    (dropin / example.name).write_bytes(example.read_bytes())
    peers = '\n[[peers]]\nname = "here"\nipv4 = "127.0.0.1"\nprobes = [{ kind = "syn", interval_seconds = 1.0, options = { port = 10981 } }]\n'
    (running.root / "etc/lightfloor/agent.toml").write_text(AGENT_TOML + peers)
    try:
        running.run("systemctl", "daemon-reload")
        running.run("systemctl", "restart", AGENT)
        until(lambda: "CAP_NET_RAW" in running.journal(AGENT))
        assert 'destination="here",probe="syn",family="ipv4",outcome="unavailable"' in metrics(running)
        assert 'destination="nyc-1",probe="tcp",family="ipv4",outcome="ok"' in metrics(running)
    finally:
        (dropin / example.name).unlink()
        (running.root / "etc/lightfloor/agent.toml").write_text(AGENT_TOML)
        running.run("systemctl", "daemon-reload")
        running.run("systemctl", "restart", AGENT)


def test_by_drop_in_the_agents_page_has_tls_and_a_password(running):
    """The shipped example and drop-in: the service reads certificate and key that its user could not, and asks for a password."""
    etc = running.root / "etc/lightfloor"
    issued = trustme.CA().issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(etc / "server.key")
    issued.cert_chain_pems[0].write_to_path(etc / "server.pem")
    examples = running.root / f"usr/share/doc/{AGENT}/examples"
    (etc / "web.yml").write_bytes((examples / "web.example.yml").read_bytes())
    for file in ("server.key", "web.yml"):
        (etc / file).chmod(0o600)
    dropin = running.root / f"etc/systemd/system/{AGENT}.service.d"
    dropin.mkdir(parents=True, exist_ok=True)
    (dropin / "web.conf").write_bytes((examples / "web.conf").read_bytes())
    (etc / "agent.toml").write_text(f'{AGENT_TOML}[exporter]\nweb_config_file = "web.yml"\n')

    def status(*arguments):
        asked = ("curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", "https://127.0.0.1:10980/metrics")
        return running.run(*asked, *arguments, check=False).stdout

    try:
        running.run("systemctl", "daemon-reload")
        running.run("systemctl", "restart", AGENT)
        until(lambda: status() == "401")
        assert status("-u", "prometheus:change me") == "200"
    finally:
        (dropin / "web.conf").unlink()
        for file in ("server.key", "server.pem", "web.yml"):  # the operator's: a purge would leave them
            (etc / file).unlink()
        (etc / "agent.toml").write_text(AGENT_TOML)
        running.run("systemctl", "daemon-reload")
        running.run("systemctl", "restart", AGENT)


def test_a_reload_takes_a_new_configuration(running):
    """systemctl reload adds a peer without a restart."""
    before = running.unit(AGENT, "MainPID")
    peers = '\n[[peers]]\nname = "later"\nipv4 = "127.0.0.1"\nprobes = [{ kind = "icmp", interval_seconds = 1.0 }]\n'
    (running.root / "etc/lightfloor/agent.toml").write_text(AGENT_TOML + peers)
    running.run("systemctl", "reload", AGENT)
    until(lambda: 'destination="later"' in metrics(running))
    assert running.unit(AGENT, "MainPID") == before


def test_a_hung_loop_is_ended_and_started_again(running):
    """When the pulse stops, systemd's watchdog kills the agent and starts it anew."""
    inside = f"/run/systemd/system/{AGENT}.service.d"
    running.run(
        "sh",
        "-c",
        f"mkdir -p {inside} && printf '[Service]\\nWatchdogSec=2\\nRestartSec=1\\n' >{inside}/w.conf",
    )
    running.run("systemctl", "daemon-reload")
    running.run("systemctl", "restart", AGENT)
    restarts = int(running.unit(AGENT, "NRestarts"))
    running.run("kill", "-STOP", running.unit(AGENT, "MainPID"))
    until(
        lambda: (
            int(running.unit(AGENT, "NRestarts")) > restarts
            and running.unit(AGENT, "ActiveState") == "active"
        )
    )
    assert "Watchdog timeout" in running.journal(AGENT)
    running.run("rm", "-r", inside)
    running.run("systemctl", "daemon-reload")


def test_a_stop_is_quick_and_a_restart_keeps_the_spool(running):
    """With the collector away windows wait on disk; stop takes less than five seconds, and after the restart they arrive."""
    running.run("systemctl", "stop", COLLECTOR)
    running.run("systemctl", "restart", AGENT)
    started = time.monotonic()
    running.run("systemctl", "stop", AGENT)
    assert time.monotonic() - started < 5
    assert running.unit(AGENT, "Result") == "success"
    spool = running.root / f"var/lib/private/{AGENT}/spool"
    waiting = {path.name for path in spool.rglob("*") if path.is_file()}
    assert waiting
    running.run("systemctl", "start", AGENT)
    assert waiting <= {path.name for path in spool.rglob("*") if path.is_file()}
    running.run("systemctl", "start", COLLECTOR)
    until(lambda: not waiting & {path.name for path in spool.rglob("*") if path.is_file()}, 90)


def test_what_a_purge_leaves(running):
    """Removing keeps configuration and data; purging takes all of it, the collector's user too."""
    running.run("dpkg", "--remove", AGENT, COLLECTOR)
    assert (running.root / "etc/lightfloor/agent.toml").exists()
    assert not (running.root / f"usr/lib/{AGENT}").exists()
    running.run("dpkg", "--purge", AGENT, COLLECTOR)
    left = [
        Path("etc/lightfloor"),
        Path(f"var/lib/{COLLECTOR}"),
        Path(f"var/lib/private/{AGENT}"),
    ]
    assert [path for path in left if (running.root / path).exists()] == []
    assert COLLECTOR not in (running.root / "etc/passwd").read_text()


def test_one_line_joins_a_machine_that_has_no_package(host):
    """The printed line alone installs the agent from the collector, configures and starts it; its windows arrive."""
    agent, collector = sorted(path.name for path in (host.root / "root").glob("lightfloor-*.deb"))
    host.run("dpkg", "--purge", AGENT)
    host.run("dpkg", "-i", f"/root/{collector}", timeout=120)
    configuration = host.root / "etc/lightfloor"
    authority = trustme.CA()
    served = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(configuration / "ca.pem.of-collector")
    served.private_key_and_cert_chain_pem.write_to_path(configuration / "cert.pem")
    (configuration / "fleet.toml").write_text(FLEET_TOML)
    (configuration / "collector.toml").write_text(
        '[server]\ntls_cert = "cert.pem"\ntls_key = "cert.pem"\n[fleet]\npath = "fleet.toml"\n'
        '[enroll]\nurl = "https://localhost:10990"\nca_file = "ca.pem.of-collector"\npackages = "/srv/packages"\n'
        f'[store]\npath = "/var/lib/{COLLECTOR}/collector.db"\n'
    )
    for name in ("cert.pem", "ca.pem.of-collector"):
        host.run("chown", COLLECTOR, f"/etc/lightfloor/{name}")
    host.run("install", "-D", "-m", "644", f"/root/{agent}", f"/srv/packages/{agent}")
    host.run("systemctl", "start", COLLECTOR)
    line = as_collector(host, "enroll", NODE).stdout
    assert host.run("sh", "-c", line, timeout=120).stdout.endswith("two minutes\n")
    assert host.unit(AGENT, "ActiveState") == "active"
    until(lambda: 'probe="tcp",family="ipv4",outcome="ok"' in metrics(host))
    host.run("systemctl", "stop", AGENT)  # the minute that is open is sent at the end
    until(lambda: NODE in delivered(host))


def delivered(host: Machine) -> list[str]:
    """The nodes that have sent a batch."""
    rows = json.loads(as_collector(host, "enroll", "--list", "--json").stdout)
    return [row["node"] for row in rows if row["last_batch"]]
