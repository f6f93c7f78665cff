"""All rules together: guards, order, healthy hosts, both languages."""

import re
from dataclasses import replace

import msgspec
import pytest

from agent.advice.advise import advise
from agent.advice.conflicts import settle
from agent.advice.finding import LANGUAGES, Severity, Sysctl, Words
from agent.advice.rules import RULES
from agent.wire.batch import Fact
from hosts import ABSENT, GIB, MS, NOW_S, bare, host, path

S = "sysctl.net.ipv4."
PARTS = ("title", "what", "why", "effect", "risk", "unless")
HOLE = path(path_mtu_bytes=1400, black_hole=True, icmp_seen=False)
LOSSY = path(
    "SIN",
    p50_ns=160 * MS,
    min_ns=155 * MS,
    p99_ns=170 * MS,
    floor_ns=110 * MS,
    limit_ns=220 * MS,
    segments_retransmitted=1_000,
)


def by_id(evidence):
    return {finding.id: finding for finding in advise(evidence).findings}


def placeholders(words):
    return {name for part in PARTS for name in re.findall(r"{(\w+)}", getattr(words, part))}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_both_languages_say_the_same(rule):
    """A figure shown to one reader is shown to the other, and every part is written in both."""
    english, chinese = rule.knowledge.en, rule.knowledge.zh
    assert placeholders(english) == placeholders(chinese)
    assert all(getattr(words, part) for words in (english, chinese) for part in PARTS)
    assert re.search("[\u4e00-\u9fff]", chinese.title + chinese.what)
    assert rule.knowledge.source


def test_a_finding_carries_all_that_makes_it_worth_something():
    """Rule, evidence with time and source, change, persistence, undo, effect, risk, when not to, source."""
    finding = by_id(host({f"{S}tcp_sack": 0}))["tcp-sack"]
    for language in LANGUAGES:
        shown = finding.as_json(language)
        assert shown["change"] == "net.ipv4.tcp_sack = 1"
        assert shown["undo"] == "net.ipv4.tcp_sack = 0"
        assert "/etc/sysctl.d/90-lightfloor.conf" in shown["persistent"]
        assert shown["evidence"][0] == {
            "name": f"{S}tcp_sack",
            "value": 0,
            "source": "proc of web1",
            "time_s": NOW_S,
        }
        assert all(shown[key] for key in ("why", "expected_effect", "risk", "do_not_apply_if", "source"))


def test_what_cannot_be_decided_is_said():
    """A host of which nothing is known has no findings and every rule undecided, with what is missing."""
    advice = advise(bare())
    assert not advice.findings
    assert {each.rule for each in advice.undecided} == {rule.id for rule in RULES}
    assert all(each.missing for each in advice.undecided)


def test_an_unreadable_value_is_undecided_with_its_reason():
    """Not permitted is neither fine nor broken."""
    evidence = host()
    facts = dict(evidence.facts) | {
        f"{S}tcp_sack": Fact(f"{S}tcp_sack", None, "proc", NOW_S, "not permitted")
    }
    missing = {each.rule: each.missing for each in advise(replace(evidence, facts=facts)).undecided}
    assert missing["tcp-sack"] == f"{S}tcp_sack: not permitted"


def test_an_administrators_value_is_reported_not_overruled():
    """A sysctl.d file sets it: the finding stands, its change is withheld, the place is named."""
    file = {"sysctl_file.net.ipv4.tcp_sack": {"value": 0, "file": "etc/sysctl.d/50-own.conf", "line": 7}}
    finding = by_id(host({f"{S}tcp_sack": 0} | file))["tcp-sack"]
    assert finding.severity == Severity.WARNING
    assert finding.withheld
    assert "etc/sysctl.d/50-own.conf:7" in finding.notes[0].en


def test_an_administrators_preference_is_no_warning():
    """cubic by choice is a remark, not a fault."""
    file = {
        "sysctl_file.net.ipv4.tcp_congestion_control": {
            "value": "cubic",
            "file": "etc/sysctl.conf",
            "line": 2,
        }
    }
    assert by_id(host(paths=[LOSSY]))["congestion-control"].severity == Severity.WARNING
    assert by_id(host(file, paths=[LOSSY]))["congestion-control"].severity == Severity.INFO


@pytest.mark.parametrize(
    ("kind", "withheld"),
    [("none", False), ("lxc", True), ("openvz", True), ("docker", True), ("kubernetes", True)],
)
def test_containers_are_changed_where_they_are_described(kind, withheld):
    """Inside a container no file is written that the next start forgets or that has no right to act."""
    finding = by_id(host({"container.kind": kind, f"{S}tcp_mem": [262144, 524288, 1048576]}))["tcp-mem"]
    assert finding.withheld == withheld
    assert bool(finding.notes) == withheld


def test_another_tuner_is_told_not_fought():
    """bpftune adjusts buffers itself; tuned has profiles."""
    limited = [replace(LOSSY, rwnd_limited_seconds=300.0)]
    assert by_id(host({"tuners.running": ["bpftune"]}, paths=limited))["tcp-buffers"].withheld
    assert by_id(host({"tuners.tuned_profile": "virtual-guest", f"{S}tcp_sack": 0}))["tcp-sack"].withheld
    assert not by_id(host({"tuners.running": ["bpftune"], f"{S}tcp_sack": 0}))["tcp-sack"].withheld


def test_probing_waits_for_the_overlay():
    """mtu-probing hides what overlay-mtu repairs, so it comes after and says so."""
    overlay = {
        "overlay.wg0.kind": "wireguard",
        "overlay.wg0.mtu": 1420,
        "overlay.wg0.underlay_mtu": 1500,
        "overlay.wg0.underlay_family": "ipv4",
    }
    found = by_id(host(overlay, paths=[HOLE]))
    assert found["overlay-mtu"].severity == Severity.WARNING
    assert found["mtu-probing"].severity == Severity.INFO
    assert found["mtu-probing"].withheld


def test_no_parameter_is_left_with_two_values():
    """Whatever fires together, one value stands for each parameter."""
    everything = host(
        {
            f"{S}tcp_rmem": [4194304, 16777216, 33554432],
            f"{S}tcp_mem": [262144, 524288, 1048576],
            f"{S}tcp_sack": 0,
        },
        counters={
            "tcp_memory_pressures": 50,
            "softnet_dropped": 9_000,
            "tcp_listen_overflows": 500,
            "tcp_listen_drops": 500,
        },
        gauges={"steal_ratio": 0.3},
        paths=[HOLE, replace(LOSSY, rwnd_limited_seconds=300.0)],
    )
    values = {}
    for finding in advise(everything).findings:
        for step in finding.steps:
            if hasattr(step, "key"):
                values.setdefault(step.key, set()).add(step.value)
    assert values
    assert all(len(found) == 1 for found in values.values())


def test_of_two_values_the_graver_findings_stands():
    """Fleet rules may want another value than the host's: one is set, the other finding names whose."""
    mild = by_id(host({f"{S}tcp_sack": 0}))["tcp-sack"]
    key = "net.ipv4.tcp_sack"
    grave = msgspec.structs.replace(
        mild, id="graver", severity=Severity.CRITICAL, steps=(Sysctl(key, "2", "0"),)
    )
    kept = {finding.id: finding for finding in settle([mild, grave])}
    assert kept["graver"].steps == (Sysctl(key, "2", "0"),)
    assert kept["tcp-sack"].steps == ()
    assert "graver" in kept["tcp-sack"].notes[-1].en


def test_the_gravest_stands_first():
    """A reader who stops after one finding has read the worst."""
    findings = advise(host({f"{S}tcp_sack": 0}, paths=[HOLE, LOSSY])).findings
    order = [finding.severity for finding in findings]
    assert order == sorted(order, key=["critical", "warning", "info"].index)


HEALTHY = {
    "debian 12 on kvm": host(),
    "no paths yet": host(paths=[]),
    "long path": host(paths=[path("SIN", p50_ns=160 * MS, min_ns=155 * MS, p99_ns=170 * MS, floor_ns=110 * MS, limit_ns=220 * MS)]),
    "metropolitan path": host(paths=[path(p50_ns=1 * MS, min_ns=MS // 2, p99_ns=3 * MS, floor_ns=MS // 5, limit_ns=None)]),
    "both families": host(paths=[path(), path(family="ipv6", p50_ns=21 * MS)]),
    "ipv6 only": host({"route.ipv4.default": []}, paths=[path(family="ipv6")]),
    "512 MB": host({"memory.total_bytes": GIB // 2, f"{S}tcp_rmem": [4096, 131072, 4000000], f"{S}tcp_wmem": [4096, 16384, 4000000], f"{S}tcp_mem": [5640, 7520, 11280]}),
    "256 MB": host({"memory.total_bytes": GIB // 4, f"{S}tcp_rmem": [4096, 131072, 1966080], f"{S}tcp_wmem": [4096, 16384, 1966080], f"{S}tcp_mem": [2820, 3760, 5640]}),
    "swap unused": host({"swap.total_bytes": GIB}),
    "kernel 4.19": host({"kernel.release": "4.19.0-26-amd64"}),
    "kernel 3.10": host({"kernel.release": "3.10.0-1160.el7.x86_64", f"{S}tcp_rmem": [4096, 87380, 6291456], "sysctl.net.core.netdev_budget_usecs": ABSENT, "modules.available": ["vxlan"]}),
    "kernel 6.18 with bbr": host({"kernel.release": "6.18.2", f"{S}tcp_congestion_control": "bbr", "sysctl.net.core.default_qdisc": "fq", f"{S}tcp_rmem": [4096, 131072, 33554432]}),
    "docker container": host({"container.kind": "docker", "interface.eth0.driver": ABSENT}),
    "lxc without rights": host({"container.kind": "lxc", "sysctl.vm.swappiness": ABSENT, "memory.total_bytes": GIB}),
    "kubernetes node": host({"kubernetes.role": "node", f"{S}ip_forward": 1, "overlay.flannel.1.kind": "vxlan", "overlay.flannel.1.mtu": 1450, "overlay.flannel.1.underlay_mtu": 1500, "overlay.flannel.1.underlay_family": "ipv4"}),
    "wireguard 1420": host({"overlay.wg0.kind": "wireguard", "overlay.wg0.mtu": 1420, "overlay.wg0.underlay_mtu": 1500}),
    "xen": host({"virtualisation.kind": "xen", "clock.source": "xen", "interface.eth0.driver": "xen_netfront"}),
    "vmware": host({"virtualisation.kind": "vmware", "clock.source": "tsc", "interface.eth0.driver": "vmxnet3"}),
    "bare metal": host({"virtualisation.kind": "none", "clock.source": "tsc", "interface.eth0.driver": "e1000e", "cpu.flags.hypervisor": False, "cpu.flags.vmx": True}),
    "arm": host({"kernel.architecture": "aarch64", "clock.source": "arch_sys_counter", "cpu.flags.hypervisor": ABSENT}),
    "openstack link of 1450": host({"interface.eth0.mtu": 1450}, paths=[path(path_mtu_bytes=1450, interface_mtu_bytes=1450)]),
    "reachable over a shorter path": host(paths=[path(path_mtu_bytes=1480, icmp_seen=True)]),
    "some loss of the usual kind": host(paths=[path(segments_retransmitted=900, lost=6)]),
}  # fmt: skip


@pytest.mark.parametrize("world", sorted(HEALTHY))
def test_a_healthy_host_gets_no_warning(world):
    """Different kernels, sizes, paths, families and containers: nothing is called wrong that is not."""
    worse = [f.id for f in advise(HEALTHY[world]).findings if f.severity != Severity.INFO]
    assert worse == []


def test_words_have_no_unfilled_placeholder():
    """What a reader sees is filled in, in both languages."""
    evidence = host({f"{S}tcp_sack": 0, f"{S}tcp_window_scaling": 0}, paths=[HOLE, LOSSY])
    for finding in advise(evidence).findings:
        for words in finding.words.values():
            assert isinstance(words, Words)
            assert not any(re.search(r"{\w+}", getattr(words, part)) for part in PARTS)
