"""Where control groups lie."""

import pytest

from agent.net.cgroupfs import group_folders
from agent.net.procfs import ProcRoot
from tests.host_samples import HOSTS


def test_own_group_and_ancestors():
    """Own group first, up to the root, in v2 and in v1's folder that two controllers share."""
    version, folders = group_folders(ProcRoot(HOSTS / "kvm-vps-512mb"), "cpu")
    assert version == 2
    assert folders == [
        "sys/fs/cgroup/system.slice/lightfloor-agent.service",
        "sys/fs/cgroup/system.slice",
        "sys/fs/cgroup",
    ]
    version, folders = group_folders(ProcRoot(HOSTS / "hong-kong"), "cpu")
    assert (version, folders[-1]) == (1, "sys/fs/cgroup/cpu,cpuacct")


def test_a_container_sees_its_group_as_the_root():
    """The path of the node's view is not mounted; what is mounted is the container's own group."""
    assert group_folders(ProcRoot(HOSTS / "flannel-node-pod"), "memory") == (2, ["sys/fs/cgroup"])


def test_no_group_at_all(tmp_path):
    """A tree without control groups says so."""
    with pytest.raises(FileNotFoundError):
        group_folders(ProcRoot(tmp_path), "cpu")
