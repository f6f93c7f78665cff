"""Control groups of both versions, and the containers their paths name."""

import pytest

from agent.kernel.cgroup import (
    ContainerHint,
    CpuQuota,
    container_hint,
    parse_cfs_quota,
    parse_cgroup,
    parse_cpu_max,
    parse_flat_keyed,
    parse_memory_limit,
    path_in,
    throttled_seconds,
)
from agent.kernel.parse_error import ParseError
from tests.host_samples import of_tree

ID = "4b0c6d8e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4"
UID = "6f1c2a5e-93d4-4b8a-8a55-0d3f7b6a9e11"


def test_v1_v2_and_hybrid():
    """The group that rules a controller is v1's where v1 has it, else v2's."""
    hybrid = parse_cgroup(of_tree("hong-kong/proc/self/cgroup"))
    assert path_in(hybrid, "cpu") == (1, "/system.slice/lightfloor-agent.service")
    assert path_in(hybrid, "io") == (2, "/system.slice/lightfloor-agent.service")
    assert path_in(parse_cgroup(b"0::/a:b\n"), "cpu") == (2, "/a:b")
    assert path_in(parse_cgroup(b"1:name=systemd:/\n"), "cpu") is None


def test_quotas():
    """Half a CPU, two CPUs, and none; v1's −1 and v2's max are no limit."""
    assert parse_cpu_max(b"50000 100000\n").cores == 0.5
    assert parse_cpu_max(b"max 100000\n") == CpuQuota(None, 100000)
    assert parse_cfs_quota(b"200000\n", b"100000\n").cores == 2
    assert parse_cfs_quota(b"-1\n", b"100000\n").cores is None


@pytest.mark.parametrize("text", [b"", b"max\n", b"0 100000\n", b"1 0\n", b"x 100000\n", b"-1 100000\n"])
def test_malformed_quota(text):
    """A period of zero or a quota of nothing is no quota."""
    with pytest.raises(ParseError):
        parse_cpu_max(text)


def test_throttled_time_of_both_versions():
    """Microseconds in v2, nanoseconds in v1, unknown without bandwidth control."""
    assert throttled_seconds(parse_flat_keyed(b"nr_periods 9\nthrottled_usec 1500000\n")) == 1.5
    assert throttled_seconds(parse_flat_keyed(b"nr_periods 9\nthrottled_time 1500000000\n")) == 1.5
    assert throttled_seconds(parse_flat_keyed(b"usage_usec 7\n")) is None


def test_memory_limits():
    """v1's huge number and v2's max both mean no limit."""
    assert parse_memory_limit(b"134217728\n") == 134217728
    assert parse_memory_limit(b"max\n") is None
    assert parse_memory_limit(b"9223372036854771712\n") is None


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        (f"/docker/{ID}", ContainerHint("docker", ID)),
        (f"/system.slice/docker-{ID}.scope", ContainerHint("docker", ID)),
        (f"/kubepods/burstable/pod{UID}/{ID}", ContainerHint("kubernetes", ID, UID)),
        (
            f"/kubepods.slice/kubepods-besteffort-pod{UID.replace('-', '_')}.slice/cri-containerd-{ID}.scope",
            ContainerHint("kubernetes", ID, UID),
        ),
        (f"/machine.slice/libpod-{ID}.scope/container", ContainerHint("podman", ID)),
        ("/lxc.payload.web1/init.scope", ContainerHint("lxc", "web1")),
        ("/lxc/web2", ContainerHint("lxc", "web2")),
        ("/machine.slice/systemd-nspawn@box.service/payload", ContainerHint("systemd-nspawn", "box")),
        ("/system.slice/ssh.service", None),
        ("/", None),
    ],
)
def test_container_by_path(path, hint):
    """What every runtime's naming says, and nothing for ordinary services."""
    assert container_hint(parse_cgroup(f"0::{path}\n".encode())) == hint


@pytest.mark.parametrize("text", [b"0:/\n", b"x::/\n", b"0::relative\n"])
def test_malformed_membership(text):
    """A line has three parts, the last an absolute path."""
    with pytest.raises(ParseError):
        parse_cgroup(text)
