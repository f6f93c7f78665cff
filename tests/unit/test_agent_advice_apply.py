"""Files to apply: they do what the advice says, no more, and say why. How they run: tests/netns/test_advice_files.py."""

import pytest

from agent.advice.advise import advise
from agent.advice.apply import PLAYBOOK_NAME, SCRIPT_NAME, SYSCTL_NAME, files_to_apply
from hosts import MS, host, path

S = "sysctl.net.ipv4."
HOLE = path(path_mtu_bytes=1400, black_hole=True, icmp_seen=False)


def written(tmp_path, evidence):
    for name, text in files_to_apply(advise(evidence)).items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def folder(tmp_path):
    """A host with switches off, a small buffer and a black hole, as files."""
    facts = {f"{S}tcp_sack": 0, f"{S}tcp_mtu_probing": 0, f"{S}tcp_rmem": [4096, 131072, 262144]}
    return written(tmp_path, host(facts, paths=[HOLE]))


def test_the_sysctl_file_holds_changes_and_why(folder):
    """One line to set each, the value from before beside it; remarks are comments."""
    lines = (folder / SYSCTL_NAME).read_text().splitlines()
    assert "net.ipv4.tcp_sack = 1" in lines
    assert lines[lines.index("net.ipv4.tcp_sack = 1") - 1] == "# was: 0"
    assert "#net.ipv4.tcp_mtu_probing = 1" in lines


def test_withheld_changes_are_comments_only(tmp_path):
    """What an administrator set on purpose is in no file as a change."""
    file = {"sysctl_file.net.ipv4.tcp_sack": {"value": 0, "file": "etc/sysctl.d/50-own.conf", "line": 7}}
    folder = written(tmp_path, host({f"{S}tcp_sack": 0} | file, paths=[path()]))
    for name in (SYSCTL_NAME, SCRIPT_NAME, PLAYBOOK_NAME):
        changing = [
            line for line in (folder / name).read_text().splitlines() if not line.lstrip().startswith("#")
        ]
        assert not any("tcp_sack = 1" in line and "content:" not in line for line in changing)


def test_a_value_in_force_that_a_node_made_up_stays_in_its_comment():
    """A newline in what was there before opens no line of its own in the file for sysctl."""
    lossy = path(
        "SIN",
        p50_ns=160 * MS,
        min_ns=155 * MS,
        p99_ns=170 * MS,
        segments_retransmitted=1_000,
        lost=60,
        answered=3_540,
    )
    facts = {"sysctl.net.core.default_qdisc": "pfifo\nkernel.panic = 1"}
    text = files_to_apply(advise(host(facts, paths=[lossy])))["90-lightfloor.conf"]
    assert "kernel.panic" in text
    assert not [line for line in text.splitlines() if line.startswith("kernel.panic")]
