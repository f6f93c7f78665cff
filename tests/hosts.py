"""Evidence of made-up hosts for the advice tests: a healthy VPS, and what each test changes about it."""

from agent.advice.evidence import Counted, Evidence, PathEvidence
from agent.wire.batch import Fact

NOW_S = 1_790_000_000
MS = 1_000_000
GIB = 1 << 30

FACTS = {
    "kernel.release": "6.1.0-21-cloud-amd64",
    "kernel.architecture": "x86_64",
    "distribution.id": "debian",
    "memory.total_bytes": 2 * GIB,
    "swap.total_bytes": 0,
    "modules.loaded": ["nf_conntrack", "virtio_net"],
    "modules.available": ["sch_cake", "sch_fq", "tcp_bbr", "virtio_net", "vxlan", "wireguard"],
    "tuners.running": [],
    "sysctl.net.core.default_qdisc": "fq_codel",
    "sysctl.net.core.netdev_budget": 300,
    "sysctl.net.core.netdev_budget_usecs": 8000,
    "sysctl.net.core.netdev_max_backlog": 1000,
    "sysctl.net.core.rmem_max": 212992,
    "sysctl.net.core.somaxconn": 4096,
    "sysctl.net.core.wmem_max": 212992,
    "sysctl.net.ipv4.ip_forward": 0,
    "sysctl.net.ipv4.tcp_available_congestion_control": "reno cubic",
    "sysctl.net.ipv4.tcp_congestion_control": "cubic",
    "sysctl.net.ipv4.tcp_max_syn_backlog": 1024,
    "sysctl.net.ipv4.tcp_mem": [22560, 30081, 45120],
    "sysctl.net.ipv4.tcp_moderate_rcvbuf": 1,
    "sysctl.net.ipv4.tcp_mtu_probing": 0,
    "sysctl.net.ipv4.tcp_rmem": [4096, 131072, 6291456],
    "sysctl.net.ipv4.tcp_sack": 1,
    "sysctl.net.ipv4.tcp_slow_start_after_idle": 1,
    "sysctl.net.ipv4.tcp_window_scaling": 1,
    "sysctl.net.ipv4.tcp_wmem": [4096, 16384, 4194304],
    "sysctl.net.ipv6.conf.all.disable_ipv6": 0,
    "sysctl.vm.swappiness": 60,
    "cpu.count": 2,
    "cpu.flags.hypervisor": True,
    "cpu.flags.vmx": False,
    "cpu.flags.svm": False,
    "clock.source": "kvm-clock",
    "virtualisation.kind": "kvm",
    "virtualisation.accelerated": True,
    "container.kind": "none",
    "interfaces.names": ["eth0", "lo"],
    "interface.eth0.mtu": 1500,
    "interface.eth0.driver": "virtio_net",
    "interface.eth0.rx_queues": 1,
    "interface.eth0.rps_enabled": False,
    "interface.eth0.offload.rx-checksumming": {"enabled": True, "fixed": True},
    "interface.eth0.offload.tx-checksumming": {"enabled": True, "fixed": False},
    "interface.eth0.offload.generic-receive-offload": {"enabled": True, "fixed": False},
    "interface.eth0.offload.large-receive-offload": {"enabled": False, "fixed": True},
    "route.ipv4.default": [{"destination": "0.0.0.0/0", "interface": "eth0", "gateway": "192.0.2.1"}],
    "route.ipv6.default": [{"destination": "::/0", "interface": "eth0", "gateway": "fe80::1"}],
}
COUNTERS = {
    "tcp_segments_sent": 500_000,
    "tcp_segments_retransmitted": 2_000,
    "tcp_retransmits_fast": 900,
    "tcp_retransmits_syn": 200,
    "tcp_retransmits_timeout": 300,
    "tcp_retransmits_slow_start": 100,
    "tcp_retransmits_spurious_dsack": 150,
    "tcp_retransmits_spurious_timeout": 10,
    "tcp_to_zero_window": 2,
    "tcp_from_zero_window": 2,
    "tcp_want_zero_window": 2,
    "tcp_window_probes_sent": 1,
    "tcp_listen_overflows": 0,
    "tcp_listen_drops": 0,
    "tcp_syncookies_sent": 0,
    "tcp_pruned": 0,
    "tcp_collapsed": 0,
    "tcp_memory_pressures": 0,
    "tcp_aborts_on_memory": 0,
    "softnet_processed": 3_000_000,
    "softnet_dropped": 0,
    "softnet_time_squeeze": 3,
    "pages_swapped_in": 0,
    "pages_swapped_out": 0,
}
GAUGES = {
    "steal_ratio": 0.004,
    "tcp_memory_pages": 500.0,
    "net_rx_busiest_cpu_ratio": 0.9,
    "net_rx_per_second": 150.0,
}
ABSENT = object()
"""As the value of a change: this fact or counter is not known."""


def path(destination="FRA", family="ipv4", **figures):
    """A path of 20 ms, measured well, that nothing is wrong with."""
    healthy = {
        "probe": "udp", "start_s": NOW_S - 3600, "end_s": NOW_S, "samples": 3600, "answered": 3600, "lost": 0,
        "min_ns": 19 * MS, "p50_ns": 20 * MS, "p99_ns": 22 * MS, "floor_ns": 15 * MS, "limit_ns": 35 * MS,
        "path_mtu_bytes": 1500, "interface_mtu_bytes": 1500, "black_hole": False, "icmp_seen": False,
        "segments_sent": 100_000, "segments_retransmitted": 50, "busy_seconds": 600.0, "rwnd_limited_seconds": 3.0,
        "sndbuf_limited_seconds": 1.0, "throughput_bits_per_second": 9e8, "route_changes": 0,
        "address": "198.51.100.7" if family == "ipv4" else "2001:db8::7",
    }  # fmt: skip
    return PathEvidence(destination, family, **(healthy | figures))


def host(facts=None, counters=None, gauges=None, paths=None, node="web1"):
    """The healthy VPS with these changes."""
    wanted = {**FACTS, **(facts or {})}
    known = {
        name: Fact(name, value, f"proc of {node}", NOW_S)
        for name, value in wanted.items()
        if value is not ABSENT
    }
    counted = {name: n for name, n in {**COUNTERS, **(counters or {})}.items() if n is not ABSENT}
    kernel = Counted("kernel", NOW_S - 3600, NOW_S, counted, {**GAUGES, **(gauges or {})})
    return Evidence(node, known, kernel, (path(),) if paths is None else tuple(paths))


def bare(facts=None, paths=()):
    """A host of which only these facts and paths are known."""
    known = {name: Fact(name, value, "a file", NOW_S) for name, value in (facts or {}).items()}
    return Evidence("web1", known, None, tuple(paths))


def long_path(**figures):
    return path(
        "SIN",
        p50_ns=160 * MS,
        min_ns=155 * MS,
        p99_ns=170 * MS,
        floor_ns=110 * MS,
        limit_ns=220 * MS,
        **figures,
    )


VXLAN = {
    "interfaces.names": ["eth0", "flannel.1", "lo"],
    "overlay.flannel.1.kind": "vxlan",
    "overlay.flannel.1.mtu": 1450,
    "overlay.flannel.1.underlay_interface": "eth0",
    "overlay.flannel.1.underlay_mtu": 1500,
    "overlay.flannel.1.underlay_family": "ipv4",
}
HOLE = {"path_mtu_bytes": 1400, "black_hole": True, "icmp_seen": False}
