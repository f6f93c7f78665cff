"""The Ansible roles, against a machine with a systemd of its own: as a check, for real, and once more."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from lab.machine import machine, missing_for_a_machine
from packages import TWO_NODES

ROLES = Path(__file__).resolve().parents[2] / "deploy/ansible"
MISSING = missing_for_a_machine() or (
    None if shutil.which("ansible-playbook") else "needs the Debian package ansible-core"
)
pytestmark = [
    pytest.mark.debian,
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(MISSING is not None, reason=str(MISSING)),
]
AGENT, COLLECTOR = "lightfloor-agent", "lightfloor-collector"


@pytest.fixture(scope="module")
def host(tmp_path_factory, packages):
    """A machine that is controller, collector and node fra-1 in one, with the roles and packages in /root."""
    with machine(tmp_path_factory.mktemp("machine")) as booted:
        work = booted.root / "root/work"
        shutil.copytree(ROLES, work)
        for package in packages.iterdir():
            shutil.copy(package, work)
        (work / "fleet.toml").write_text(TWO_NODES)
        here = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}
        (agent,) = work.glob(f"{AGENT}_*.deb")
        (collector,) = work.glob(f"{COLLECTOR}_*.deb")
        inventory = {
            "lightfloor_collector": {
                "hosts": {"collector": here},
                "vars": {
                    "lightfloor_collector_package": f"/root/work/{collector.name}",
                    "lightfloor_collector_fleet": "/root/work/fleet.toml",
                    "lightfloor_collector_retention_days": {"minute": 7, "hour": 30},
                },
            },
            "lightfloor_agents": {
                "hosts": {"fra-1": here},
                "vars": {
                    "lightfloor_agent_package": f"/root/work/{agent.name}",
                    "lightfloor_agent_collector_url": "http://127.0.0.1:10990",
                    "lightfloor_agent_settings": '[exporter]\nlisten_address = "127.0.0.1:10980"',
                },
            },
        }
        (work / "inventory.yml").write_text(yaml.safe_dump(inventory))
        yield booted


def play(host, *arguments):
    """Run site.yml; {host: {ok, changed, failures, skipped …}} and what it printed."""
    done = host.run(
        "env", "-C", "/root/work", "HOME=/root", "ANSIBLE_PIPELINING=1", "LANG=C.UTF-8",
        "ansible-playbook", "-i", "inventory.yml", "site.yml", *arguments, check=False, timeout=200,
    )  # fmt: skip
    recap = re.findall(r"^(\S+)\s+: (ok=.*)$", done.stdout, re.MULTILINE)
    counts = {
        name: {k: int(v) for k, v in (item.split("=") for item in line.split())} for name, line in recap
    }
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(count["failed"] == count["unreachable"] == 0 for count in counts.values())
    return counts, done.stdout


def changed(counts):
    return {name: count["changed"] for name, count in counts.items()}


def test_the_example_is_sound():
    """ansible-playbook takes the playbook, the roles and the example inventory."""
    command = ["ansible-playbook", "--syntax-check", "-i", "inventory.example.yml", "site.yml"]
    done = subprocess.run(command, cwd=ROLES, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_fleet_is_rolled_out_and_a_second_run_changes_nothing(host):
    """--check on a bare machine foretells and does nothing; the run leaves collector and agent talking; the next run
    changes nothing."""
    foretold, _ = play(host, "--check", "--diff")
    assert all(changed(foretold).values())
    assert not (host.root / "etc/lightfloor").exists()
    assert host.run("dpkg", "-l", AGENT, check=False).returncode != 0

    _, output = play(host)
    token = (host.root / "etc/lightfloor/token").read_text().strip()
    assert token
    assert token not in output
    assert (host.root / "etc/lightfloor/token").stat().st_mode & 0o777 == 0o600
    assert [host.unit(unit, "ActiveState") for unit in (AGENT, COLLECTOR)] == ["active", "active"]
    assert [host.unit(unit, "UnitFileState") for unit in (AGENT, COLLECTOR)] == ["enabled", "enabled"]
    wait_for_peers(host)

    started = [host.unit(unit, "MainPID") for unit in (AGENT, COLLECTOR)]
    again, _ = play(host)
    assert changed(again) == {"collector": 0, "fra-1": 0}
    assert [host.unit(unit, "MainPID") for unit in (AGENT, COLLECTOR)] == started


def test_a_wrong_fleet_file_never_reaches_the_collector(host):
    """What check-config refuses is not written, and the run says why."""
    before = (host.root / "etc/lightfloor/fleet.toml").read_text()
    (host.root / "root/work/fleet.toml").write_text(TWO_NODES.replace("iata", "itaa"))
    with pytest.raises(AssertionError, match="unknown key; did you mean iata"):
        play(host, "--limit", "collector")
    assert (host.root / "etc/lightfloor/fleet.toml").read_text() == before
    (host.root / "root/work/fleet.toml").write_text(TWO_NODES)


def test_a_token_is_rotated_when_told(host):
    """One run with the variable set gives the node another token, with which it is served."""
    before = (host.root / "etc/lightfloor/token").read_text()
    play(host, "--limit", "fra-1", "-e", "lightfloor_agent_rotate_token=true")
    assert (host.root / "etc/lightfloor/token").read_text() != before
    wait_for_peers(host)


def wait_for_peers(host):
    """Until the agent has its assignment from the collector."""
    deadline = time.monotonic() + 30
    while True:
        asked = host.run("curl", "-sS", "--max-time", "5", "http://127.0.0.1:10980/metrics", check=False)
        if re.search(r"^lightfloor_peers 1\.0$", asked.stdout, re.MULTILINE):
            return
        assert time.monotonic() < deadline, host.journal(AGENT)
        time.sleep(0.3)
