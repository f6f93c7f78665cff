"""The facts of three captured hosts, of partial trees, and what changed."""

import shutil
from pathlib import Path

import msgspec
import pytest

from agent.facts.catalogue import CATALOGUE
from agent.hostfacts import collect, facts_changed
from agent.wire.batch import Fact
from tests.host_samples import HOSTS

NOW = 1_800_000_000
TREES = sorted(path.name for path in HOSTS.iterdir())


def facts(tree):
    return {fact.name: fact for fact in collect(HOSTS / tree, NOW)}


def values(tree):
    return {name: fact.value for name, fact in facts(tree).items()}


def test_a_vps_of_512_mb():
    """KVM by its clock, the article's tcp_mem in force and in its file, the agent's own limits."""
    host = values("kvm-vps-512mb")
    assert (host["virtualisation.kind"], host["virtualisation.accelerated"]) == ("kvm", True)
    assert host["memory.total_bytes"] == 480892 * 1024
    assert host["sysctl.net.ipv4.tcp_mem"] == [262144, 524288, 1048576]
    assert host["sysctl_file.net.ipv4.tcp_mem"] == {
        "value": [262144, 524288, 1048576],
        "file": "etc/sysctl.d/99-tuning.conf",
        "line": 2,
    }
    assert (host["cgroup.cpu_limit_cores"], host["cgroup.memory_limit_bytes"]) == (0.2, 67108864)
    assert (host["interface.eth0.driver"], host["container.kind"]) == ("virtio_net", "none")
    assert host["distribution.name"] == "Debian GNU/Linux 12 (bookworm)"


def test_a_pod_on_a_flannel_node():
    """Container and pod by three signs, Nitro by DMI, VXLAN exactly 50 below the jumbo link, pods' links as MTUs only."""
    host = values("flannel-node-pod")
    assert (host["container.kind"], host["kubernetes.role"]) == ("kubernetes", "pod")
    assert host["kubernetes.pod_uid"] == "6f1c2a5e-93d4-4b8a-8a55-0d3f7b6a9e11"
    assert len(host["container.evidence"]) == 3
    assert host["virtualisation.platform"] == "aws-nitro"
    assert (host["overlay.flannel.1.kind"], host["overlay.flannel.1.mtu"]) == ("vxlan", 8951)
    assert (host["overlay.flannel.1.underlay_interface"], host["overlay.flannel.1.underlay_mtu"]) == (
        "ens5",
        9001,
    )
    assert (host["overlay.flannel.1.underlay_family"], host["overlay.flannel.1.overhead_bytes"]) == (
        "ipv4",
        50,
    )
    assert host["interfaces.pod_link_mtus"] == [8951]
    assert not any("veth" in name for name in host)
    assert (host["cgroup.cpu_limit_cores"], host["interface.ens5.rx_queues"]) == (0.5, 4)


def test_the_slow_node():
    """Emulated, on acpi_pm, without vmx or svm; the link carries 1450 and flannel was told 1500."""
    host = values("hong-kong")
    assert (host["cpu.flags.vmx"], host["cpu.flags.svm"], host["cpu.flags.hypervisor"]) == (
        False,
        False,
        True,
    )
    assert (host["virtualisation.kind"], host["virtualisation.accelerated"]) == ("qemu-tcg", False)
    assert (host["clock.source"], host["interface.ens3.driver"]) == ("acpi_pm", "e1000")
    assert host["interface.ens3.mtu"] == 1450
    assert host["overlay_config.flannel.0"]["underlay_mtu"] == 1500
    assert (
        host["overlay.flannel.1.mtu"] > host["interface.ens3.mtu"] - host["overlay.flannel.1.overhead_bytes"]
    )
    assert host["overlay.wg0.mtu"] > host["overlay.wg0.underlay_mtu"] - host["overlay.wg0.overhead_bytes"]
    assert host["route.with_mtu"][0]["mss_bytes"] == 1340 + 20
    assert host["kubernetes.role"] == "node"
    assert not any(name.startswith("overlay.tunl0") for name in host)


def test_no_key_of_wireguard_is_a_fact():
    """Secrets of the files that are read do not leave the host."""
    assert b"AAAAAAAA" not in msgspec.json.encode(collect(HOSTS / "hong-kong", NOW))


@pytest.mark.parametrize("tree", TREES)
def test_every_fact_is_complete_and_catalogued(tree):
    """Each has a source and the given time, a value or a reason, a name of its own that the catalogue explains."""
    found = collect(HOSTS / tree, NOW)
    assert len({fact.name for fact in found}) == len(found)
    for fact in found:
        assert fact.source
        assert fact.time_s == NOW
        assert (fact.value is None) == (fact.reason is not None), fact
        assert any(entry.matches(fact.name) for entry in CATALOGUE), fact.name
    assert msgspec.json.decode(msgspec.json.encode(found), type=list[Fact]) == found


def test_an_empty_tree_says_what_is_missing(tmp_path):
    """Nothing there: hardly anything is known, and each fact says that its file is absent."""
    found = collect(tmp_path, NOW)
    known = {fact.name: fact.value for fact in found if fact.value is not None}
    assert known == {"virtualisation.evidence": [], "container.evidence": []}
    reasons = {fact.name: fact.reason for fact in found}
    assert reasons["sysctl.net.ipv4.tcp_sack"] == "absent"
    assert reasons["clock.synchronised"].startswith("not told by files")
    assert reasons["virtualisation.kind"].startswith("not told")


def test_absent_is_told_from_malformed_and_from_refused(tmp_path):
    """A file that is no file, and one with nonsense in it, have reasons of their own, with the place."""
    (tmp_path / "proc/sys/vm/swappiness").mkdir(parents=True)
    (tmp_path / "proc/cpuinfo").write_text("nonsense\n")
    (tmp_path / "proc/meminfo").write_bytes(b"\xff\xfe")
    reasons = {fact.name: fact.reason for fact in collect(tmp_path, NOW)}
    assert reasons["sysctl.vm.swappiness"] == "refused: Is a directory"
    assert reasons["cpu.model"].startswith("malformed: proc/cpuinfo: line 1")
    assert reasons["memory.total_bytes"].startswith("malformed: proc/meminfo: byte 0")


def test_a_captured_link_never_leads_to_this_host(tmp_path):
    """An absolute link in another host's tree is absent, not this host's file."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "proc/sys/kernel").mkdir(parents=True)
    (tmp_path / "etc/os-release").symlink_to("/etc/os-release")
    (tmp_path / "proc/sys/kernel/osrelease").symlink_to("/proc/sys/kernel/osrelease")
    found = {fact.name: fact for fact in collect(tmp_path, NOW)}
    assert found["distribution.id"].reason == "absent"
    assert found["kernel.release"].reason == "absent"


def test_interface_with_an_odd_name(tmp_path):
    """An interface may be called nearly anything; its facts keep names that the wire accepts, and stay apart."""
    for name in ("wg+0", "wg@0", "ü"):
        (tmp_path / f"sys/class/net/{name}").mkdir(parents=True)
        (tmp_path / f"sys/class/net/{name}/mtu").write_text("1420\n")
    found = collect(tmp_path, NOW)
    names = {fact.name for fact in found if fact.name.startswith("interface.") and fact.name.endswith(".mtu")}
    assert names == {"interface.wg[2b]0.mtu", "interface.wg[40]0.mtu", "interface.[c3bc].mtu"}
    assert msgspec.json.decode(msgspec.json.encode(found), type=list[Fact])


def test_a_root_that_is_no_folder():
    """A wrong --root is an error, not a host without facts."""
    with pytest.raises(NotADirectoryError, match="is no folder"):
        collect(Path("/nonexistent/tree"), NOW)


def test_changed_facts_ignore_time_and_tell_what_is_gone(tmp_path):
    """Only values and reasons count; a removed interface's facts come once as gone."""
    tree = tmp_path / "host"
    shutil.copytree(HOSTS / "hong-kong", tree, symlinks=True)
    before = collect(tree, NOW)
    assert facts_changed(before, collect(tree, NOW + 60)) == []
    (tree / "proc/sys/vm/swappiness").write_text("10\n")
    (tree / "sys/class/net/wg0").unlink()
    (tree / "proc/sys/net/ipv4/tcp_sack").unlink()
    after = collect(tree, NOW + 60)
    changed = {fact.name: fact for fact in facts_changed(before, after)}
    assert changed["sysctl.vm.swappiness"].value == 10
    assert (changed["sysctl.net.ipv4.tcp_sack"].value, changed["sysctl.net.ipv4.tcp_sack"].reason) == (
        None,
        "absent",
    )
    assert (changed["overlay.wg0.mtu"].reason, changed["overlay.wg0.mtu"].time_s) == ("gone", NOW + 60)
    assert "overlay.flannel.1.mtu" not in changed
    again = [fact for fact in before if fact.name not in changed] + list(changed.values())
    assert facts_changed(again, after) == []


def test_another_reason_is_a_change(tmp_path):
    """A file that was absent and is now malformed is news, although neither has a value."""
    before = collect(tmp_path, NOW)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("nonsense")
    changed = {fact.name for fact in facts_changed(before, collect(tmp_path, NOW))}
    assert changed == {"memory.total_bytes", "swap.total_bytes"}


@pytest.mark.parametrize(
    ("file", "name"), [("cpu.max", "cpu_limit_cores"), ("memory.max", "memory_limit_bytes")]
)
def test_a_limit_that_cannot_be_read_is_not_no_limit(tmp_path, file, name):
    """A group whose limit is unreadable has an unknown limit, whatever its ancestors say."""
    tree = tmp_path / "host"
    shutil.copytree(HOSTS / "kvm-vps-512mb", tree, symlinks=True)
    limit = tree / "sys/fs/cgroup/system.slice/lightfloor-agent.service" / file
    limit.write_text("nonsense\n")
    unreadable = {fact.name: fact for fact in collect(tree, NOW)}[f"cgroup.{name}"]
    assert (unreadable.value, unreadable.reason.partition(":")[0]) == (None, "malformed")
    limit.unlink()
    assert {fact.name: fact.value for fact in collect(tree, NOW)}[f"cgroup.{name}"] == "max"


def test_first_collection_is_all_new():
    """Against nothing, everything is sent."""
    found = collect(HOSTS / "hong-kong", NOW)
    assert facts_changed([], found) == found


def test_a_release_that_is_no_name_names_no_folder(tmp_path):
    """The modules' folder is found by the release; one with a NUL byte or a way out of the tree leads nowhere."""
    for release in (b"6.1\0\xff\n", b"../../../../../../etc\n", b"x" * 5000):
        file = tmp_path / "proc/sys/kernel/osrelease"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(release)
        found = {fact.name: fact for fact in collect(tmp_path, NOW)}["modules.available"]
        assert found.value is None
        assert found.reason
