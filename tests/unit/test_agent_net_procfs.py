"""Reading below a root."""

import os
from pathlib import Path

import pytest

from agent.net.procfs import ProcRoot


def test_reads_names_and_links_below_the_root(tmp_path):
    """Paths are relative to the root; absent things are empty or None, never this host's."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/x").write_bytes(b"1\n")
    (tmp_path / "proc/l").symlink_to("x")
    root = ProcRoot(tmp_path)
    assert (root.read("proc/x"), root.read("proc/l"), root.link("proc/l")) == (b"1\n", b"1\n", "x")
    assert (root.names("proc"), root.names("sys"), root.link("proc/x")) == (["l", "x"], [], None)
    assert (root.exists("proc/x"), root.exists("proc/y")) == (True, False)
    with pytest.raises(FileNotFoundError):
        root.read("proc/y")


def test_links_out_of_a_captured_tree_are_absent(tmp_path):
    """Absolute links, climbing ones, and folders linked away are not followed."""
    tree = tmp_path / "tree"
    (tree / "proc").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("x")
    (tmp_path / "outside/link").symlink_to("target")
    (tree / "proc/a").symlink_to(tmp_path / "outside/secret")
    (tree / "proc/b").symlink_to("../../outside/secret")
    (tree / "sys").symlink_to(tmp_path / "outside")
    root = ProcRoot(tree)
    for path in ("proc/a", "proc/b", "sys/secret"):
        assert not root.exists(path)
        with pytest.raises(FileNotFoundError, match="leads out of"):
            root.read(path)
    assert root.names("sys") == []
    assert root.link("sys/link") is None


def test_a_parameter_of_this_host_is_read():
    """/proc/sys refuses the buffer that other files accept; reading in pieces serves both."""
    assert ProcRoot(Path("/")).read("proc/sys/kernel/pid_max").strip().isdigit()


def test_a_large_file_is_bounded(tmp_path):
    """No file is read without end."""
    with (tmp_path / "big").open("wb") as file:
        os.truncate(file.fileno(), 64 << 20)
    assert len(ProcRoot(tmp_path).read("big")) == 4 << 20
