"""The traps of the rules: what makes each of them wrong on a host where it looks right."""

import pytest

from agent.advice.evidence import NotKnown
from agent.advice.finding import Command, Measurement, Request, Severity, Stanza, Sysctl
from agent.advice.rules import RULES
from hosts import ABSENT, GIB, HOLE, MS, VXLAN, bare, host, long_path, path

BY_ID = {rule.id: rule for rule in RULES}
S = "sysctl.net.ipv4."


def steps(rule, evidence, kind):
    return [step for step in BY_ID[rule].check(evidence).steps if isinstance(step, kind)]


def sysctls(rule, evidence):
    return {step.key: step.value for step in steps(rule, evidence, Sysctl)}


def severity(rule, evidence):
    return BY_ID[rule].check(evidence).severity


def test_window_scaling_costs_nothing_on_short_paths():
    """Below 64 KiB of bandwidth-delay product the switch is a remark; at 100 times that it breaks the host."""
    off = {f"{S}tcp_window_scaling": 0}
    assert (
        severity("tcp-window-scaling", host(off, paths=[path(p50_ns=1 * MS, throughput_bits_per_second=1e8)]))
        == Severity.INFO
    )
    assert severity("tcp-window-scaling", host(off, paths=[long_path()])) == Severity.CRITICAL


def test_buffers_are_the_next_power_of_two_over_twice_the_product():
    """900 Mbit/s × 160 ms = 18 MB; twice that is under 64 MiB, which 2 GiB of memory allow."""
    wanted = sysctls("tcp-buffers", host(paths=[long_path(rwnd_limited_seconds=240.0)]))
    assert wanted["net.ipv4.tcp_rmem"] == "4096 131072 67108864"
    assert wanted["net.ipv4.tcp_wmem"] == "4096 16384 67108864"
    assert wanted["net.core.rmem_max"] == "67108864"


def test_buffers_are_capped_on_a_small_vps():
    """On 512 MiB one socket gets at most 16 MiB."""
    small = host({"memory.total_bytes": GIB // 2}, paths=[long_path(sndbuf_limited_seconds=240.0)])
    assert sysctls("tcp-buffers", small)["net.ipv4.tcp_rmem"] == "4096 131072 16777216"


def test_large_buffers_are_not_asked_for_where_nothing_waits_for_them():
    """A long fat path whose sockets wait for neither window nor buffer gains nothing."""
    assert BY_ID["tcp-buffers"].check(host(paths=[long_path()])) is None


def test_a_minimum_of_four_megabytes_is_flagged():
    """Article D's minimum is pinned by every socket; minimum and default go back to the kernel's."""
    pinned = host({f"{S}tcp_rmem": [4194304, 16777216, 33554432]}, paths=[])
    assert severity("tcp-buffers", pinned) == Severity.WARNING
    assert sysctls("tcp-buffers", pinned) == {"net.ipv4.tcp_rmem": "4096 131072 33554432"}


@pytest.mark.parametrize("memory_bytes", [GIB, 2 * GIB])
def test_tcp_mem_of_gibibytes_is_an_oom_recipe(memory_bytes):
    """Article A's values on a small VPS let TCP take more than half of the memory."""
    found = host({f"{S}tcp_mem": [262144, 524288, 1048576], "memory.total_bytes": memory_bytes})
    wanted = [int(word) for word in sysctls("tcp-mem", found)["net.ipv4.tcp_mem"].split()]
    assert wanted[2] * 4096 <= memory_bytes / 2
    assert wanted == sorted(wanted)


def test_tcp_mem_is_left_alone_where_nothing_presses():
    """The same values are no fault on a host of 64 GiB."""
    assert (
        BY_ID["tcp-mem"].check(
            host({f"{S}tcp_mem": [262144, 524288, 1048576], "memory.total_bytes": 64 * GIB})
        )
        is None
    )


def test_swappiness_is_a_remark_while_nothing_is_swapped():
    """60 is every distribution's default: a warning only where pages move."""
    assert severity("swappiness", host({"swap.total_bytes": GIB})) == Severity.INFO
    assert (
        severity("swappiness", host({"swap.total_bytes": GIB}, counters={"pages_swapped_in": 90_000}))
        == Severity.WARNING
    )


def test_bbr_needs_loss_distance_a_kernel_and_a_module():
    """No loss, a short path, BBR in use, an old kernel, no module: each alone keeps the rule silent."""
    rule, lossy = BY_ID["congestion-control"], [long_path(segments_retransmitted=1_000)]
    assert rule.check(host(paths=[long_path(segments_retransmitted=0)])) is None
    assert rule.check(host(paths=[path(segments_retransmitted=1_000)])) is None
    assert rule.check(host({f"{S}tcp_congestion_control": "bbr"}, paths=lossy)) is None
    assert rule.check(host({"kernel.release": "4.4.0-210-generic"}, paths=lossy)) is None
    assert rule.check(host({"modules.available": ["vxlan"]}, paths=lossy)) is None
    with pytest.raises(NotKnown):
        rule.check(host({"modules.available": ABSENT}, paths=lossy))


def test_the_mathis_limit_is_stated():
    """1448 bytes at 160 ms and 1% loss: 883 kbit/s for a loss-based sender."""
    figures = BY_ID["congestion-control"].check(host(paths=[long_path(segments_retransmitted=1_000)])).figures
    assert figures["limit"] == "883 kbit/s"


@pytest.mark.parametrize(
    ("counter", "word"),
    [("syn", "SYN"), ("timeout", "timeouts"), ("fast", "fast"), ("spurious_dsack", "needless")],
)
def test_the_dominating_kind_decides_the_advice(counter, word):
    """SYN, timeout, fast and spurious retransmissions each point elsewhere."""
    found = host(counters={"tcp_segments_retransmitted": 40_000, f"tcp_retransmits_{counter}": 35_000})
    assert word in BY_ID["retransmits"].check(found).figures["kind"]


def test_a_retransmit_ratio_of_few_segments_is_noise():
    """40 of 90 segments to one peer is not 44%."""
    assert BY_ID["retransmits"].check(host(paths=[path(segments_sent=90, segments_retransmitted=40)])) is None


def test_zero_window_tells_a_slow_program_from_a_small_buffer():
    """Pruned queues mean a small buffer; none mean that nobody read."""
    slow = BY_ID["zero-window"].check(host(counters={"tcp_to_zero_window": 900}))
    small = BY_ID["zero-window"].check(host(counters={"tcp_to_zero_window": 900, "tcp_collapsed": 5_000}))
    assert "program here reads too slowly" in slow.figures["who"]
    assert "too small" in small.figures["who"]


def test_softnet_advice_follows_the_counter():
    """Drops ask for backlog, squeezes for budget, one hot CPU for steering."""
    assert set(sysctls("softnet", host(counters={"softnet_dropped": 5_000}))) == {
        "net.core.netdev_max_backlog"
    }
    squeezed = host(counters={"softnet_time_squeeze": 40_000})
    assert sysctls("softnet", squeezed) == {
        "net.core.netdev_budget": "600",
        "net.core.netdev_budget_usecs": "16000",
    }
    crowded = steps("softnet", host(gauges={"net_rx_per_second": 9_000.0}), Command)
    assert crowded[0].run == "echo 3 > /sys/class/net/eth0/queues/rx-0/rps_cpus"


def test_gro_and_tso_are_never_switched_off():
    """Whatever their state, no measured comparison, no advice."""
    features = ("generic-receive-offload", "tcp-segmentation-offload", "generic-segmentation-offload")
    for enabled in (True, False):
        state = {f"interface.eth0.offload.{name}": {"enabled": enabled, "fixed": False} for name in features}
        assert BY_ID["offloads"].check(host(state)) is None


def test_lro_is_a_fault_on_a_host_that_forwards():
    """Only there, and only where it can be switched."""
    lro = {"interface.eth0.offload.large-receive-offload": {"enabled": True, "fixed": False}}
    assert BY_ID["offloads"].check(host(lro)) is None
    forwards = lro | {f"{S}ip_forward": 1}
    assert steps("offloads", host(forwards), Command)[0].run == "ethtool -K eth0 lro off"


def test_missing_vmx_proves_nothing():
    """Inside a guest it tells of nested virtualisation only."""
    assert BY_ID["virt-acceleration"].check(host({"cpu.flags.vmx": False, "cpu.flags.svm": False})) is None


@pytest.mark.parametrize(
    ("facts", "gauges"),
    [({"clock.source": "acpi_pm"}, {}), ({"clock.source": "hpet"}, {}), ({}, {"steal_ratio": 0.08})],
)
def test_a_slow_clock_and_stolen_time_ask_for_another_host(facts, gauges):
    """What the guest cannot cure goes to the provider."""
    assert steps("virt-acceleration", host(facts, gauges=gauges), Request)


def test_a_real_e1000e_is_no_fault():
    """Servers have such cards; only a guest's is emulated."""
    card = {"interface.eth0.driver": "e1000e"}
    assert BY_ID["nic-driver"].check(host(card | {"virtualisation.kind": "none"})) is None
    assert (
        BY_ID["nic-driver"].check(host(card | {"virtualisation.kind": "vmware"})).figures["better"]
        == "vmxnet3"
    )
    with pytest.raises(NotKnown):
        BY_ID["nic-driver"].check(host(card | {"virtualisation.kind": ABSENT}))


def test_a_black_hole_gets_clamp_route_and_request():
    """The MSS is the path MTU less 40 bytes; the route carries the MTU; the provider is asked for ICMP."""
    found = BY_ID["pmtu-black-hole"].check(host(paths=[path(**HOLE)]))
    commands = [step.run for step in found.steps if isinstance(step, Command)]
    assert "maxseg size set 1360" in commands[0]
    assert commands[1] == "ip route replace 198.51.100.7 via 192.0.2.1 dev eth0 mtu 1400"
    assert any(isinstance(step, Request) for step in found.steps)


@pytest.mark.parametrize("name", ["eth0; rm -rf /", "$(reboot)", "a b", "-x"])
def test_a_strangers_names_never_reach_a_command(name):
    """Facts come from agents: what is no plain interface name or address stays out of every command."""
    routes = {"route.ipv4.default": [{"interface": name, "gateway": "1.1.1.1; reboot"}]}
    for rule in ("pmtu-black-hole", "path-mtu", "qos"):
        evidence = host(
            routes, paths=[path(path_mtu_bytes=1400, black_hole=rule != "path-mtu", loaded_p50_ns=400 * MS)]
        )
        found = BY_ID[rule].check(evidence)
        assert not any(
            name in step.run or "reboot" in step.run for step in found.steps if isinstance(step, Command)
        )


@pytest.mark.parametrize(
    ("kind", "family", "underlay", "right"),
    [
        ("ipip", "ipv4", 1500, 1480), ("vxlan", "ipv4", 1500, 1450), ("vxlan", "ipv6", 1500, 1430),
        ("wireguard", "ipv4", 1500, 1440), ("wireguard", "ipv6", 1500, 1420), ("gre", "ipv4", 1500, 1476),
        ("vxlan", "ipv4", 1450, 1400), ("wireguard", "ipv4", 9001, 8941), ("geneve", "ipv4", 9000, 8950),
    ],
)  # fmt: skip
def test_overlay_mtu_is_exact(kind, family, underlay, right):
    """Path MTU less the overhead, to the byte: fitting is silent, one byte more is not."""
    facts = VXLAN | {
        "overlay.flannel.1.kind": kind, "overlay.flannel.1.underlay_family": family,
        "overlay.flannel.1.underlay_mtu": underlay, "overlay.flannel.1.mtu": right,
    }  # fmt: skip
    assert BY_ID["overlay-mtu"].check(host(facts, paths=[])) is None
    found = BY_ID["overlay-mtu"].check(host(facts | {"overlay.flannel.1.mtu": right + 1}, paths=[]))
    assert found.severity == Severity.WARNING
    assert found.steps[0].run == f"ip link set dev flannel.1 mtu {right}"


def test_wg0_of_1420_is_right_on_1500_only():
    """1420 leaves room for an IPv6 underlay; on a path of 1450 it is too large."""
    facts = VXLAN | {"overlay.flannel.1.kind": "wireguard", "overlay.flannel.1.mtu": 1420}
    assert BY_ID["overlay-mtu"].check(host(facts)) is None
    found = BY_ID["overlay-mtu"].check(host(facts, paths=[path(path_mtu_bytes=1450)]))
    assert "1390" in found.figures["reasons"]


def test_an_overlay_configured_for_1500_on_a_link_of_1450():
    """The Hong Kong case: the file says 1450 inside, the link carries 1450 outside."""
    facts = {
        "interface.eth0.mtu": 1450,
        "overlay_config.flannel.0": {
            "kind": "vxlan",
            "when": "always",
            "mtu": 1450,
            "underlay_family": "ipv4",
        },
    }
    found = BY_ID["overlay-mtu"].check(host(facts, paths=[]))
    assert found.severity == Severity.WARNING
    assert "1400" in next(step for step in found.steps if isinstance(step, Stanza)).lines


def test_ciliums_devices_keep_the_outer_mtu():
    """Cilium sets the inner MTU on routes, so its device of 1500 is no fault."""
    facts = {
        "overlay.cilium_vxlan.kind": "vxlan",
        "overlay.cilium_vxlan.mtu": 1500,
        "overlay.cilium_vxlan.underlay_mtu": 1500,
    }
    assert BY_ID["overlay-mtu"].check(host(facts)) is None


def test_vxlan_headers_are_worth_two_percent():
    """The articles claim 12% to 30%; 30 bytes of 1500 are 2%."""
    assert BY_ID["overlay-kind"].check(host(VXLAN)).figures["saving"] == "2%"


def test_route_and_tail_are_told_apart():
    """A minimum over the limit is the route's fault, else it is the queue's."""
    route = BY_ID["p99-over-floor"].check(host(paths=[path(min_ns=60 * MS, p50_ns=70 * MS, p99_ns=90 * MS)]))
    tail = BY_ID["p99-over-floor"].check(host(paths=[path(p99_ns=90 * MS)]))
    assert "indirect" in route.figures["causes"]
    assert "tail" in tail.figures["causes"]


def test_shaping_is_at_95_percent_of_the_measured_rate():
    """And only where a rate was measured."""
    found = BY_ID["qos"].check(host(paths=[path(loaded_p50_ns=400 * MS)]))
    assert found.steps[0].run == "tc qdisc replace dev eth0 root cake bandwidth 855000000bit"
    assert (
        not BY_ID["qos"]
        .check(host(paths=[path(loaded_p50_ns=400 * MS, throughput_bits_per_second=None)]))
        .steps
    )


def test_ipv6_is_never_switched_off():
    """A slower IPv6 is preferred less; one that is off is reported."""
    slower = BY_ID["ipv6"].check(host(paths=[path(), path(family="ipv6", p50_ns=45 * MS)]))
    assert slower.steps[0].file == "/etc/gai.conf"
    off = BY_ID["ipv6"].check(host({"sysctl.net.ipv6.conf.all.disable_ipv6": 1}))
    assert not off.steps
    assert "switched off" in off.figures["reasons"]


@pytest.mark.parametrize(("lifetime", "interval"), [(30.0, 15), (180.0, 30)])
def test_keepalive_is_half_the_lifetime_and_at_most_30_s(lifetime, interval):
    """RFC 4787 asks NATs for two minutes; many give 30 s."""
    found = BY_ID["udp-keepalive"].check(host(paths=[path(nat=True, mapping_lifetime_seconds=lifetime)]))
    assert f"PersistentKeepalive = {interval}" in found.steps[0].lines


def test_retransmits_ask_for_the_next_measurement():
    """The command that tells the path from the host is given, with the peer's address."""
    found = BY_ID["retransmits"].check(host(paths=[path(segments_retransmitted=9_000)]))
    assert [step.run for step in found.steps if isinstance(step, Measurement)] == [
        "lightfloor-agent probe udp 198.51.100.7:10981 -c 500 -i 0.02"
    ]


def test_bytes_count_where_the_kernel_counts_them():
    """Kernels since 4.19 tell bytes: 9 MB of 100 MB sent again are 9%; of 400 kB, noise."""
    counted = {"segments_sent": None, "segments_retransmitted": None}
    much = path(bytes_sent=100_000_000, bytes_retransmitted=9_000_000, **counted)
    little = path(bytes_sent=400_000, bytes_retransmitted=100_000, **counted)
    assert BY_ID["retransmits"].check(host(paths=[much])).figures["ratio"] == "9%"
    assert BY_ID["retransmits"].check(host(paths=[little])) is None


def test_an_assumed_figure_says_that_it_is_assumed():
    """Without a measured path or window the words mark what they reckon with, in both languages; measured, they do not."""
    off = {f"{S}tcp_window_scaling": 0}
    guessed = BY_ID["tcp-window-scaling"].check(host(off, paths=[]))
    assert "assumed" in guessed.figures["rtt"]
    assert "假定" in guessed.figures_zh["rtt"]
    assert "assumed" not in BY_ID["tcp-window-scaling"].check(host(off, paths=[long_path()])).figures["rtt"]
    idle = BY_ID["slow-start-after-idle"]
    assert "assumed" in idle.check(host(paths=[long_path()])).figures["window"]
    assert idle.check(host(paths=[long_path(cwnd_segments=320.0)])).figures["window"] == "320"


def test_an_mtu_that_is_not_known_is_no_evidence():
    """A black hole is reported with what was measured; an interface's MTU that nobody read is left out, not 1500."""
    hole = path(**HOLE | {"interface_mtu_bytes": None})
    found = BY_ID["pmtu-black-hole"].check(bare(paths=[hole]))
    assert {each.name.rpartition(".")[2] for each in found.evidence} == {"path_mtu_bytes", "icmp_seen"}


def test_header_shares_need_the_mtu_below():
    """Shares of an underlay whose MTU nobody knows are not reckoned with 1500."""
    with pytest.raises(NotKnown):
        BY_ID["overlay-kind"].check(bare({"overlay.t0.kind": "vxlan", "overlay.t0.mtu": 1450}))
