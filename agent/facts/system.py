"""Kernel, distribution, memory, modules, and the kernel parameters that advice rests on."""

from functools import partial

from agent.facts.notebook import NOT_SET, Missing, Notebook, asked, present, stripped
from agent.kernel.assignments import parse_assignments
from agent.kernel.meminfo import parse_meminfo
from agent.kernel.modules import parse_module_list, parse_modules
from agent.kernel.sysctl import Setting, parse_sysctl_file, parse_value, path_of

SYSCTLS: tuple[str, ...] = (
    "kernel.perf_event_paranoid",
    "net.core.busy_poll",
    "net.core.busy_read",
    "net.core.default_qdisc",
    "net.core.dev_weight",
    "net.core.netdev_budget",
    "net.core.netdev_budget_usecs",
    "net.core.netdev_max_backlog",
    "net.core.optmem_max",
    "net.core.rmem_default",
    "net.core.rmem_max",
    "net.core.rps_sock_flow_entries",
    "net.core.somaxconn",
    "net.core.wmem_default",
    "net.core.wmem_max",
    "net.ipv4.conf.all.rp_filter",
    "net.ipv4.ip_forward",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_no_pmtu_disc",
    "net.ipv4.route.min_pmtu",
    "net.ipv4.route.mtu_expires",
    "net.ipv4.tcp_adv_win_scale",
    "net.ipv4.tcp_allowed_congestion_control",
    "net.ipv4.tcp_available_congestion_control",
    "net.ipv4.tcp_base_mss",
    "net.ipv4.tcp_congestion_control",
    "net.ipv4.tcp_dsack",
    "net.ipv4.tcp_early_retrans",
    "net.ipv4.tcp_ecn",
    "net.ipv4.tcp_fastopen",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_frto",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_limit_output_bytes",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_mem",
    "net.ipv4.tcp_moderate_rcvbuf",
    "net.ipv4.tcp_mtu_probe_floor",
    "net.ipv4.tcp_mtu_probing",
    "net.ipv4.tcp_no_metrics_save",
    "net.ipv4.tcp_notsent_lowat",
    "net.ipv4.tcp_recovery",
    "net.ipv4.tcp_reordering",
    "net.ipv4.tcp_retries2",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_sack",
    "net.ipv4.tcp_slow_start_after_idle",
    "net.ipv4.tcp_syn_retries",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_timestamps",
    "net.ipv4.tcp_tw_reuse",
    "net.ipv4.tcp_window_scaling",
    "net.ipv4.tcp_wmem",
    "net.ipv4.udp_mem",
    "net.ipv6.conf.all.disable_ipv6",
    "net.ipv6.conf.all.forwarding",
    "net.netfilter.nf_conntrack_buckets",
    "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_tcp_timeout_established",
    "net.netfilter.nf_conntrack_udp_timeout",
    "net.netfilter.nf_conntrack_udp_timeout_stream",
    "vm.min_free_kbytes",
    "vm.overcommit_memory",
    "vm.swappiness",
)
MODULES = frozenset(
    {
        "bareudp", "ena", "e1000", "e1000e", "8139cp", "8139too", "fou", "geneve", "gve", "hv_netvsc", "hv_vmbus",
        "ip6_gre", "ip6_tunnel", "ip_gre", "ip_vs", "ipip", "ixgbevf", "kvm", "kvm_amd", "kvm_intel", "mlx5_core",
        "nf_conntrack", "sch_cake", "sch_fq", "sch_fq_codel", "sit", "tcp_bbr", "tcp_bbr1", "tcp_hybla", "tcp_illinois",
        "tcp_westwood", "tls", "tun", "vboxguest", "veth", "vhost_net", "virtio_net", "vmw_balloon", "vmxnet3", "vxlan",
        "wireguard", "xen_netfront",
    }
)  # fmt: skip
"""Modules that a rule or a reader of a report asks for; all others would only make noise between siblings."""
SYSCTL_FOLDER, SYSCTL_FILE = "etc/sysctl.d", "etc/sysctl.conf"
MODULES_FOLDER = "lib/modules"
OS_RELEASE = "etc/os-release"


def note_system(notebook: Notebook) -> None:
    """kernel.*, distribution.*, memory.*, swap.*, modules.*, sysctl.*, sysctl_file.*"""
    notebook.note_file("kernel.release", "proc/sys/kernel/osrelease", parse_value)
    notebook.note_file("kernel.version", "proc/sys/kernel/version", parse_value)
    notebook.note_file("kernel.architecture", "proc/sys/kernel/arch", parse_value)
    _note_distribution(notebook)
    _note_memory(notebook)
    _note_modules(notebook)
    _note_modules_available(notebook)
    for key in SYSCTLS:
        notebook.note_file(f"sysctl.{key}", path_of(key), parse_value)
    _note_sysctl_files(notebook)


def _note_distribution(notebook: Notebook) -> None:
    release = notebook.parsed(OS_RELEASE, partial(parse_assignments, source=OS_RELEASE))
    for name, key in (("id", "ID"), ("version", "VERSION_ID"), ("name", "PRETTY_NAME")):
        value = release if isinstance(release, Missing) else release.get(key, Missing(NOT_SET))
        notebook.note(f"distribution.{name}", value, OS_RELEASE)


def _note_memory(notebook: Notebook) -> None:
    amounts = notebook.parsed("proc/meminfo", parse_meminfo)
    for name, key in (("memory.total_bytes", "MemTotal"), ("swap.total_bytes", "SwapTotal")):
        value = amounts if isinstance(amounts, Missing) else amounts.get(key, Missing(NOT_SET))
        notebook.note(name, value, "proc/meminfo")


def _note_modules(notebook: Notebook) -> None:
    """What is loaded; in a kernel without module support, what sys/module shows as built in."""
    loaded = notebook.parsed("proc/modules", parse_modules)
    if not isinstance(loaded, Missing):
        notebook.note("modules.loaded", sorted(loaded & MODULES), "proc/modules")
        return
    built_in = asked(partial(notebook.root.names, "sys/module"))
    if isinstance(built_in, Missing) or not built_in:
        notebook.note("modules.loaded", loaded, "proc/modules")
    else:
        notebook.note("modules.loaded", sorted(MODULES.intersection(built_in)), "sys/module")


def _note_modules_available(notebook: Notebook) -> None:
    """Modules that could be loaded or are built in, by what depmod wrote for the running kernel."""
    release = present(notebook.parsed("proc/sys/kernel/osrelease", stripped))
    folder = f"{MODULES_FOLDER}/{release}"
    lists = [
        notebook.parsed(f"{folder}/{file}", parse_module_list) for file in ("modules.dep", "modules.builtin")
    ]
    found = [names for names in lists if not isinstance(names, Missing)]
    value = sorted(MODULES & frozenset().union(*found)) if found else lists[0]
    notebook.note("modules.available", value, folder)


def _note_sysctl_files(notebook: Notebook) -> None:
    """What files set at boot, for the parameters above; the last file wins, and sysctl.conf is read last."""
    files = present(asked(lambda: notebook.root.names(SYSCTL_FOLDER))) or []
    settings: dict[str, Setting] = {}
    for path in [f"{SYSCTL_FOLDER}/{name}" for name in files if name.endswith(".conf")] + [SYSCTL_FILE]:
        found = notebook.parsed(path, partial(parse_sysctl_file, file=path))
        if isinstance(found, Missing):
            if found.reason != "absent":
                notebook.note(f"sysctl_file.unreadable.{path.rpartition('/')[2]}", found, path)
            continue
        settings |= found
    for key in SYSCTLS:
        if key in settings:
            setting = settings[key]
            value = {"value": setting.value, "file": setting.file, "line": setting.line}
            notebook.note(f"sysctl_file.{key}", value, setting.file)
