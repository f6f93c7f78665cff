"""The agent runs what the collector assigned, if it is its own and can be run, and keeps it for the next start."""

import json
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.assignment import KeptAssignment, decode_assignment
from agent.wire.assignment import Assignment, Peer, ProbeSpec
from agent.wire.settings import ConfigError

GOOD = Assignment("fra", (Peer("nyc", ipv4="192.0.2.1", ipv6="2001:db8::1", limit_seconds=0.16),), 50.0)


def changed_peer(**changes):
    peer = json.loads(msgspec.json.encode(GOOD.peers[0])) | changes
    return json.dumps({"node": "fra", "peers": [peer]}).encode()


def test_a_good_assignment_is_taken_as_it_is():
    """What the collector encodes is what the agent runs."""
    assert decode_assignment(msgspec.json.encode(GOOD), "fra") == GOOD


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "Input data was truncated"),
        (b"<html>", "malformed"),
        (b"\xff\xfe", "malformed|utf-8"),
        (b'{"node":"a\xff"}', "utf-8"),
        (b'{"node":"nyc"}', "node: is for nyc, this node is fra"),
        (b'{"node":"fra","peers":[{"probes":[{"options":{"a":' + b"[" * 100_000, "recursion"),
        (b'{"node":"fra","x":' + b"[" * 100_000, "unknown field"),
        (changed_peer(probes=[{"kind": "ping"}]), r"peers\[0\]\.probes\[0\]\.kind: unknown probe ping"),
        (changed_peer(probes=[{"kind": "tcp", "interval_seconds": 0.01}]), "below the floor"),
        (changed_peer(probes=[{"kind": "tcp", "options": {"colour": 1}}]), "unknown key"),
        (changed_peer(ipv6="192.0.2.1"), r"peers\[0\]\.ipv6: 192.0.2.1 is not an IPv6 address"),
        (changed_peer(limit_seconds=1e300), "limit_seconds"),
        (changed_peer(name="a b"), "name"),
    ],
    ids=range(13),
)
def test_what_cannot_be_run_is_refused_with_the_reason(body, words):
    """A bad assignment is a ConfigError that says where, whatever it is made of."""
    with pytest.raises(ConfigError, match=words):
        decode_assignment(body, "fra")


@given(st.binary(max_size=200))
def test_any_bytes_are_an_assignment_or_a_config_error(body):
    """Nothing a collector, or what stands in its place, can send raises anything else."""
    with suppress(ConfigError):
        assert decode_assignment(body, "fra").node == "fra"


def test_what_is_kept_is_loaded_again(tmp_path):
    """After a restart the same assignment is run and the same ETag asked about; nothing else is left beside it."""
    kept = KeptAssignment(tmp_path / "assignment.json", "fra")
    assert kept.load() is None
    kept.save(GOOD, '"1"')
    kept.save(GOOD, '"2"')
    assert KeptAssignment(tmp_path / "assignment.json", "fra").load() == (GOOD, '"2"')
    assert [path.name for path in tmp_path.iterdir()] == ["assignment.json"]


@pytest.mark.parametrize(
    "damage", [b"", b"{}", b"\xff", b"[" * 100_000, b'{"assignment":{"node":"a\xff"},"etag":null}']
)
def test_a_damaged_file_is_no_assignment(tmp_path, damage, caplog):
    """The agent starts without it, says so, and asks the collector without an ETag."""
    path = tmp_path / "assignment.json"
    path.write_bytes(damage)
    assert KeptAssignment(path, "fra").load() is None
    assert "kept assignment cannot be used" in caplog.text


def test_another_nodes_assignment_is_not_run(tmp_path):
    """A state directory copied with the machine's image does not make this node probe that node's peers."""
    path = tmp_path / "assignment.json"
    KeptAssignment(path, "fra").save(GOOD, None)
    assert KeptAssignment(path, "nyc").load() is None


def test_an_assignment_this_version_cannot_run_any_more_is_not_run(tmp_path):
    """After a downgrade a probe may be unknown: no crash, a fresh start."""
    path = tmp_path / "assignment.json"
    unknown = Assignment("fra", (Peer("nyc", ipv4="192.0.2.1", probes=(ProbeSpec("quic"),)),))
    KeptAssignment(path, "fra").save(unknown, '"1"')
    assert KeptAssignment(path, "fra").load() is None


def test_a_disk_that_takes_nothing_leaves_the_old_one(tmp_path, monkeypatch):
    """A failed save is an error, and the last good file is whole."""
    path = tmp_path / "assignment.json"
    kept = KeptAssignment(path, "fra")
    kept.save(GOOD, '"1"')
    monkeypatch.setattr("os.fsync", disk_full)
    with pytest.raises(OSError, match="No space left"):
        kept.save(Assignment("fra"), '"2"')
    assert kept.load() == (GOOD, '"1"')
    assert [file.name for file in tmp_path.iterdir()] == ["assignment.json"]


def disk_full(_fd):
    raise OSError(28, "No space left on device")
