"""Files to apply are run: sh, shellcheck, ansible, and real sysctls, nft rules and routes in a namespace of their own."""

import os
import shutil
import subprocess

import pytest

from agent.advice.advise import advise
from agent.advice.apply import PLAYBOOK_NAME, SCRIPT_NAME, SYSCTL_NAME, files_to_apply
from hosts import MS, host, path
from lab.netns import Namespace, require_lab

S = "sysctl.net.ipv4."
HOLE = path(path_mtu_bytes=1400, black_hole=True, icmp_seen=False)


def written(tmp_path, evidence):
    for name, text in files_to_apply(advise(evidence)).items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def folder(tmp_path):
    """A host with a switch off and a black hole, as files."""
    facts = {f"{S}tcp_sack": 0, f"{S}tcp_mtu_probing": 0}
    return written(tmp_path, host(facts, paths=[HOLE]))


@pytest.mark.debian
def test_the_script_is_clean(folder):
    """sh -n and shellcheck find nothing."""
    subprocess.run(["sh", "-n", folder / SCRIPT_NAME], check=True)
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed (Debian package shellcheck)")
    done = subprocess.run(
        ["shellcheck", "-s", "sh", folder / SCRIPT_NAME], capture_output=True, text=True, check=False
    )
    assert done.stdout == ""


@pytest.mark.debian
def test_the_playbook_is_clean(folder):
    """ansible-playbook --syntax-check reads it."""
    if shutil.which("ansible-playbook") is None:
        pytest.skip("ansible-playbook is not installed (Debian package ansible-core)")
    done = subprocess.run(
        ["ansible-playbook", "--syntax-check", "-i", "web1,", folder / PLAYBOOK_NAME],
        capture_output=True, text=True, check=False, env=os.environ | {"ANSIBLE_LOCALHOST_WARNING": "false"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def here(*argv):
    return list(argv)


def run(folder, *arguments, inside=here):
    environment = os.environ | {
        "LIGHTFLOOR_TUNE_STATE": str(folder / "state"),
        "LIGHTFLOOR_TUNE_SYSCTL_D": str(folder / "sysctl.d"),
    }
    return subprocess.run(
        inside("sh", str(folder / SCRIPT_NAME), *arguments),
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip


def test_a_dry_run_changes_nothing(folder):
    """It says what it would do; no file appears."""
    done = run(folder, "--dry-run", "apply")
    assert done.returncode == 0, done.stderr
    assert "net.ipv4.tcp_sack = 1" in done.stdout
    assert not (folder / "state").exists()
    assert not (folder / "sysctl.d").exists()


def test_usage_is_one_look_away(folder):
    """Without a word to act on it tells how to use it."""
    done = run(folder)
    assert done.returncode == 2
    assert "--dry-run" in done.stderr


@pytest.fixture
def namespace():
    """How to run inside a network namespace that has an eth0."""
    require_lab()
    made = Namespace()
    try:
        for command in (
            "ip link add eth0 type veth peer name far0",
            "ip addr add 192.0.2.10/24 dev eth0",
            "ip link set eth0 up",
            "ip link set far0 up",
            "sysctl -qw net.ipv4.tcp_sack=0",
        ):
            subprocess.run(made.command(command.split()), check=True)
        yield lambda *argv: made.command(argv)
    finally:
        made.close()


def output(inside, *command):
    return subprocess.run(inside(*command), capture_output=True, text=True, check=True).stdout


@pytest.mark.netns
def test_apply_twice_then_undo(folder, namespace):
    """Real sysctls, nft and routes: applied, not applied again, and back to what was before."""
    if shutil.which("nft") is None:
        pytest.skip("nft is not installed (Debian package nftables)")
    before = output(namespace, "sysctl", "net.ipv4.tcp_sack")
    first = run(folder, "apply", inside=namespace)
    assert first.returncode == 0, first.stderr
    assert output(namespace, "sysctl", "-n", "net.ipv4.tcp_sack") == "1\n"
    assert "maxseg size set 1360" in output(namespace, "nft", "list", "ruleset")
    assert "mtu 1400" in output(namespace, "ip", "route", "show", "198.51.100.7")
    second = run(folder, "apply", inside=namespace)
    assert second.returncode == 0, second.stderr
    assert "sysctl" not in second.stdout.replace(SYSCTL_NAME, "")
    assert second.stdout.count("already") == len(second.stdout.splitlines())
    third = run(folder, "undo", inside=namespace)
    assert third.returncode == 0, third.stderr
    assert output(namespace, "sysctl", "net.ipv4.tcp_sack") == before
    assert output(namespace, "nft", "list", "ruleset") == ""
    assert output(namespace, "ip", "route", "show", "198.51.100.7") == ""
    assert not (folder / "sysctl.d" / SYSCTL_NAME).exists()


@pytest.mark.netns
def test_the_playbook_runs_twice(tmp_path, namespace):
    """Ansible on this machine, inside the namespace: changed, then nothing to change, then undone."""
    if shutil.which("ansible-playbook") is None:
        pytest.skip("ansible-playbook is not installed (Debian package ansible-core)")
    hole_only = host({f"{S}tcp_mtu_probing": 1}, paths=[HOLE, path(p50_ns=30 * MS)])
    folder = written(tmp_path, hole_only)
    local = ["ansible-playbook", "-i", "web1,", "-c", "local", "-e", "ansible_become=false"]

    def play(*more):
        return output(
            namespace,
            *local,
            "-e",
            "ansible_python_interpreter=/usr/bin/python3",
            *more,
            str(folder / PLAYBOOK_NAME),
        )

    assert "changed=2" in play()
    assert "maxseg size set 1360" in output(namespace, "nft", "list", "ruleset")
    assert "changed=0" in play()
    play("-e", "lightfloor_undo=true")
    assert output(namespace, "nft", "list", "ruleset") == ""
