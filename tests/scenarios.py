"""Diagnosis scenarios as data: a node's recorded facts, counters and paths with known faults, and the causes to be named."""

from agent.advice.evidence import Evidence
from hosts import ABSENT, GIB, MS, host, path

S = "sysctl.net.ipv4."
VXLAN = {
    "interfaces.names": ["eth0", "flannel.1", "lo"],
    "overlay.flannel.1.kind": "vxlan",
    "overlay.flannel.1.mtu": 1450,
    "overlay.flannel.1.underlay_interface": "eth0",
    "overlay.flannel.1.underlay_mtu": 1500,
    "overlay.flannel.1.underlay_family": "ipv4",
}


def far(destination="SIN", **figures):
    """A healthy path of 160 ms."""
    usual = {
        "p50_ns": 160 * MS,
        "min_ns": 155 * MS,
        "p99_ns": 170 * MS,
        "floor_ns": 110 * MS,
        "limit_ns": 220 * MS,
    }
    return path(destination, **(usual | figures))


def peers(*bad, well=3, **of_the_well):
    """These paths and some that nothing is wrong with."""
    return [*bad, *(path(name, **of_the_well) for name in ("AMS", "LON", "PAR")[:well])]


HOLE = {"path_mtu_bytes": 1400, "black_hole": True, "icmp_seen": False}
LOSSY = {"lost": 72, "answered": 3528, "segments_retransmitted": 6_500}
TAIL = {"p99_ns": 90 * MS}
DETOUR = {"min_ns": 60 * MS, "p50_ns": 62 * MS, "p99_ns": 70 * MS}
TIMEOUTS = {
    "tcp_segments_retransmitted": 40_000,
    "tcp_retransmits_timeout": 24_000,
    "tcp_retransmits_slow_start": 15_000,
}
FAST = {"tcp_segments_retransmitted": 40_000, "tcp_retransmits_fast": 32_000}
SYNS = {"tcp_segments_retransmitted": 40_000, "tcp_retransmits_syn": 30_000}
RETRANSMITTING = {"segments_retransmitted": 7_000}
NAMES = ("FRA", "AMS", "LON")


def everywhere(**figures):
    return [path(name, **figures) for name in NAMES]


SCENARIOS: dict[str, tuple[Evidence, tuple[str, ...]]] = {
    # one setting
    "sack off": (host({f"{S}tcp_sack": 0}), ("tcp-sack",)),
    "sack off on a lossy path": (
        host({f"{S}tcp_sack": 0}, FAST, paths=peers(path(**LOSSY))), ("path-loss", "tcp-sack"),
    ),
    "window scaling off, long path": (host({f"{S}tcp_window_scaling": 0}, paths=[far()]), ("tcp-window-scaling",)),
    "window scaling off, fast and long": (
        host({f"{S}tcp_window_scaling": 0}, paths=[far(rwnd_limited_seconds=400.0)]), ("tcp-window-scaling",),
    ),
    "buffers too small": (host(paths=[far(rwnd_limited_seconds=240.0)]), ("tcp-buffers",)),
    "minimum of four megabytes": (host({f"{S}tcp_rmem": [4 << 20, 16 << 20, 16 << 20]}), ("tcp-buffers",)),
    "no automatic buffers": (host({f"{S}tcp_moderate_rcvbuf": 0}, paths=[far()]), ("tcp-buffers",)),
    "TCP short of memory": (host(counters={"tcp_memory_pressures": 12}), ("tcp-mem",)),
    "TCP aborts for want of memory": (host(counters={"tcp_memory_pressures": 40, "tcp_aborts_on_memory": 9}), ("tcp-mem",)),
    "tcp_mem of gibibytes on a small server": (
        host({f"{S}tcp_mem": [262144, 524288, 1048576], "memory.total_bytes": GIB}), ("tcp-mem",),
    ),
    "swapping": (host({"swap.total_bytes": GIB}, {"pages_swapped_in": 90_000}), ("swappiness",)),
    "lossy long path under cubic": (
        host(counters=FAST, paths=peers(far(segments_retransmitted=6_000, lost=60, answered=3540))), ("path-loss", "congestion-control"),
    ),
    # this host's queues
    "accept queue overflows": (host(counters={"tcp_listen_overflows": 400, "tcp_listen_drops": 400}), ("listen-queue",)),
    "SYNs dropped and sent again": (
        host(counters={"tcp_listen_overflows": 4_000, "tcp_listen_drops": 4_000, **SYNS}), ("listen-queue",),
    ),
    "a slow reader": (host(counters={"tcp_to_zero_window": 900}), ("zero-window",)),
    "a slow reader at the peer": (host(counters={"tcp_window_probes_sent": 5_000}), ("zero-window",)),
    "backlog drops": (host(counters={"softnet_dropped": 5_000}), ("softnet",)),
    "backlog drops, retransmits everywhere": (
        host(counters={"softnet_dropped": 90_000, **FAST}, paths=everywhere(**RETRANSMITTING)), ("softnet",),
    ),
    "backlog drops, loss on every path": (
        host(counters={"softnet_dropped": 90_000, **FAST}, paths=everywhere(**LOSSY)), ("softnet", "path-loss"),
    ),
    "receive budget exhausted": (host(counters={"softnet_time_squeeze": 9_000}), ("softnet",)),
    # the machine below
    "checksums in software": (host({"interface.eth0.offload.tx-checksumming": {"enabled": False, "fixed": False}}), ("offloads",)),
    "LRO on a router": (
        host({"interface.eth0.offload.large-receive-offload": {"enabled": True, "fixed": False}, f"{S}ip_forward": 1}),
        ("offloads",),
    ),
    "emulated CPU": (host({"virtualisation.kind": "qemu-tcg", "virtualisation.accelerated": False}), ("virt-acceleration",)),
    "emulated CPU, every path slow": (
        host({"virtualisation.kind": "qemu-tcg", "virtualisation.accelerated": False}, paths=everywhere(**TAIL)),
        ("virt-acceleration",),
    ),
    "clock from the HPET": (host({"clock.source": "hpet"}), ("virt-acceleration",)),
    "a tenth of the CPU stolen, every tail long": (host(gauges={"steal_ratio": 0.1}, paths=everywhere(**TAIL)), ("virt-acceleration",)),
    "a third of the CPU stolen": (host(gauges={"steal_ratio": 0.33}), ("virt-acceleration",)),
    "emulated network device": (host({"interface.eth0.driver": "e1000"}), ("nic-driver",)),
    "emulated network device on a full link": (host({"interface.eth0.driver": "rtl8139"}, paths=everywhere()), ("nic-driver",)),
    # sizes of packets
    "narrow path, routers say so": (host(paths=[path(path_mtu_bytes=1450, icmp_seen=True)]), ("path-mtu",)),
    "narrow path, reported late": (host(paths=[path(path_mtu_bytes=1450, icmp_seen=False)]), ("path-mtu",)),
    "black hole": (host(paths=[path(**HOLE)]), ("pmtu-black-hole",)),
    "black hole with timeouts": (host(counters=TIMEOUTS, paths=peers(path(**HOLE, **RETRANSMITTING))), ("pmtu-black-hole",)),
    "overlay larger than its link": (host(VXLAN | {"overlay.flannel.1.mtu": 1500}), ("overlay-mtu",)),
    "overlay for 1500 on a link of 1450": (
        host(VXLAN | {"interface.eth0.mtu": 1450, "overlay.flannel.1.underlay_mtu": 1450}, TIMEOUTS, paths=everywhere(
            interface_mtu_bytes=1450, path_mtu_bytes=1450, **RETRANSMITTING)),
        ("overlay-mtu",),
    ),
    # the way
    "detour to one peer": (host(paths=peers(path(**DETOUR))), ("detour",)),
    "detour after a route change": (host(paths=peers(path(**DETOUR, route_changes=1))), ("detour", "route-change")),
    "loss to one peer, too few probes yet": (
        host(counters=FAST | {"softnet_time_squeeze": 9_000}, paths=peers(path(segments_retransmitted=9_000, answered=50, samples=50))),
        ("path-loss",),
    ),
    "a few drops beside a lossy path": (
        host(counters=FAST | {"softnet_dropped": 30}, paths=peers(path(segments_retransmitted=9_000, answered=50, samples=50), well=1)),
        ("path-loss",),
    ),
    "loss to one peer": (host(counters=FAST, paths=peers(path(**LOSSY))), ("path-loss",)),
    "queue that fills under load": (host(paths=peers(path(loaded_p50_ns=400 * MS, **TAIL))), ("qos",)),
    "bufferbloat alone": (host(paths=[path(loaded_p50_ns=400 * MS)]), ("qos",)),
    "route changed": (host(paths=[path(route_changes=2)]), ("route-change",)),
    "IPv6 slower": (host(paths=[path(), path(family="ipv6", p50_ns=45 * MS)]), ("ipv6",)),
    "old TLS": (host(paths=[path(tls_protocol="TLSv1.1", peer_certificate_key="RSA", tls_handshake_p50_ns=90 * MS)]), ("tls-key",)),
    "short NAT mappings": (host(paths=[path(nat=True, mapping_lifetime_seconds=30.0)]), ("udp-keepalive",)),
    # pairs
    "black hole and sack off": (
        host({f"{S}tcp_sack": 0}, TIMEOUTS, paths=peers(path(**HOLE, **RETRANSMITTING))), ("pmtu-black-hole", "tcp-sack"),
    ),
    "emulated CPU and small buffers": (
        host({"virtualisation.kind": "qemu-tcg", "virtualisation.accelerated": False},
             paths=[far("FRA", rwnd_limited_seconds=240.0), far("SIN", rwnd_limited_seconds=240.0)]),
        ("virt-acceleration", "tcp-buffers"),
    ),
    "overlay too large and accept queue full": (
        host(VXLAN | {"overlay.flannel.1.mtu": 1500}, {"tcp_listen_overflows": 400, "tcp_listen_drops": 400}),
        ("overlay-mtu", "listen-queue"),
    ),
    "stolen CPU and a detour": (
        host(gauges={"steal_ratio": 0.25}, paths=[path("FRA", **DETOUR), path("AMS", **TAIL), path("LON", **TAIL)]),
        ("virt-acceleration", "detour"),
    ),
    "detour and loss to another peer": (
        host(counters=FAST, paths=[path("FRA", **DETOUR), path("SYD", **LOSSY), path("AMS"), path("LON"), path("PAR")]),
        ("detour", "path-loss"),
    ),
    "memory pressure and a slow reader": (
        host(counters={"tcp_memory_pressures": 30, "tcp_to_zero_window": 900, "tcp_pruned": 2_000}), ("tcp-mem", "zero-window"),
    ),
    "emulated device and backlog drops": (
        host({"interface.eth0.driver": "e1000"}, {"softnet_dropped": 90_000, **FAST}, paths=everywhere(**RETRANSMITTING)),
        ("softnet", "nic-driver"),
    ),
    "black hole and bufferbloat": (
        host(counters=TIMEOUTS, paths=peers(path(**HOLE, **RETRANSMITTING), path("SYD", loaded_p50_ns=400 * MS))),
        ("pmtu-black-hole", "qos"),
    ),
}  # fmt: skip
"""Name → (evidence, the causes that are at fault)."""

HEALTHY: dict[str, Evidence] = {
    "kernel 4.19": host({"kernel.release": "4.19.0-26-amd64"}),
    "kernel 5.15": host({"kernel.release": "5.15.0-113-generic", "distribution.id": "ubuntu"}),
    "kernel 6.6": host({"kernel.release": "6.6.30"}),
    "ARM": host({"kernel.architecture": "aarch64", "cpu.flags.hypervisor": ABSENT, "clock.source": "arch_sys_counter"}),
    "Xen": host({"virtualisation.kind": "xen", "clock.source": "xen", "interface.eth0.driver": "vif"}),
    "Nitro": host({"virtualisation.kind": "kvm", "virtualisation.platform": "aws-nitro", "interface.eth0.driver": "ena"}),
    "bare metal with e1000e": host({"virtualisation.kind": "none", "interface.eth0.driver": "e1000e", "clock.source": "tsc"}),
    "512 MB": host({"memory.total_bytes": GIB // 2, f"{S}tcp_mem": [5000, 7000, 10000]}),
    "64 GiB": host({"memory.total_bytes": 64 * GIB, f"{S}tcp_mem": [768_000, 1_024_000, 1_536_000]}),
    "already tuned": host({f"{S}tcp_congestion_control": "bbr", f"{S}tcp_available_congestion_control": "reno cubic bbr",
                           "sysctl.net.core.default_qdisc": "fq", f"{S}tcp_rmem": [4096, 131072, 67108864],
                           f"{S}tcp_slow_start_after_idle": 0, "sysctl.vm.swappiness": 10}, paths=[far()]),
    "container": host({"container.kind": "docker"}),
    "pod": host({"container.kind": "kubernetes", "kubernetes.role": "pod", "interface.eth0.mtu": 1450},
                paths=[path(interface_mtu_bytes=1450, path_mtu_bytes=1450)]),
    "overlay that fits": host(VXLAN),
    "WireGuard that fits": host({"overlay.wg0.kind": "wireguard", "overlay.wg0.mtu": 1420, "overlay.wg0.underlay_interface": "eth0",
                                 "overlay.wg0.underlay_mtu": 1500, "overlay.wg0.underlay_family": "ipv4"}),
    "jumbo frames": host({"interface.eth0.mtu": 9000}, paths=[path(interface_mtu_bytes=9000, path_mtu_bytes=9000)]),
    "IPv6 too": host(paths=[path(), path(family="ipv6")]),
    "IPv6 only": host({"route.ipv4.default": []}, paths=[path(family="ipv6")]),
    "short paths": host(paths=[path(p50_ns=MS // 2, min_ns=MS // 3, p99_ns=MS, floor_ns=MS // 100, limit_ns=5 * MS)]),
    "long paths": host(paths=[far(), far("SYD")]),
    "no paths": host(paths=[]),
    "little traffic": host(counters={"tcp_segments_sent": 90, "tcp_segments_retransmitted": 20}, paths=[path(segments_sent=80, segments_retransmitted=20)]),
    "a lost probe in a thousand": host(paths=[path(lost=3, answered=3597)]),
}  # fmt: skip
"""Name → evidence of a node that nothing is wrong with."""
