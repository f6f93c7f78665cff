"""Every fact's name, what its value is, and what it is for: docs/facts.md is made of this, and a test holds it current.

`python -m agent.facts.catalogue` prints the page.
"""

import re
from dataclasses import dataclass

from agent.facts.processor import DMI_FILES, FLAGS
from agent.facts.system import SYSCTLS
from agent.kernel.tunnels import OVERHEADS
from agent.quality import THRESHOLDS

PLACEHOLDER = re.compile(r"<[a-z]+>")


@dataclass(frozen=True, slots=True)
class Entry:
    """name: with <placeholders>; value: type and unit; meaning: one line."""

    name: str
    value: str
    meaning: str

    def matches(self, fact_name: str) -> bool:
        """Whether a fact of this name is one of these. A placeholder stands for any word, dots included."""
        pieces = [re.escape(piece) for piece in PLACEHOLDER.split(self.name)]
        return re.fullmatch(".+".join(pieces), fact_name) is not None


CATALOGUE: tuple[Entry, ...] = (
    Entry("kernel.release", "string", "as `uname -r`"),
    Entry("kernel.version", "string", "build, as `uname -v`"),
    Entry("kernel.architecture", "string", "as `uname -m`; kernels from 6.1 on tell it in a file"),
    Entry("distribution.id", "string", "ID of os-release"),
    Entry("distribution.version", "string", "VERSION_ID of os-release"),
    Entry("distribution.name", "string", "PRETTY_NAME of os-release"),
    Entry("memory.total_bytes", "bytes", "memory the kernel manages"),
    Entry("swap.total_bytes", "bytes", "0: no swap"),
    Entry("modules.loaded", "list of names", "those that a rule asks for; built-in ones only where the kernel has no modules"),
    Entry("modules.available", "list of names", "of those: loadable or built in, as depmod lists them for this kernel"),
    Entry("tuners.running", "list of names", "other tuners at work: tuned, bpftune, …"),
    Entry("tuners.tuned_profile", "string", "tuned's active profile"),
    Entry("sysctl.<key>", "integer, list of integers, or string", "kernel parameter in force"),
    Entry("sysctl_file.<key>", "{value, file, line}", "what a file sets at boot; may differ from what is in force"),
    Entry("sysctl_file.unreadable.<file>", "none", "a file that is there and cannot be read"),
    Entry("cpu.count", "CPUs", "online processors"),
    Entry("cpu.vendor", "string", "x86 vendor_id, ARM implementer"),
    Entry("cpu.model", "string", "as the kernel or the hypervisor names it"),
    Entry("cpu.microcode", "string", "revision; a guest may see a made-up one"),
    Entry("cpu.flags.<flag>", "boolean", "inside a guest vmx and svm mean only that nested virtualisation is offered"),
    Entry("clock.source", "string", "clock source in use"),
    Entry("clock.sources_available", "list of names", "clock sources offered"),
    Entry("clock.synchronised", "boolean", "whether something disciplines the wall clock (adjtimex)"),
    Entry("dmi.<file>", "string", "what the firmware says of the machine"),
    Entry("virtualisation.kind", "string", "kvm, qemu-tcg, qemu (undecided), xen, vmware, hyperv, …, none"),
    Entry("virtualisation.accelerated", "boolean", "false: the CPU is emulated in software"),
    Entry("virtualisation.platform", "string", "the provider's product where DMI names it"),
    Entry("virtualisation.evidence", "list of strings", "the signs that decided"),
    Entry("container.kind", "string", "kubernetes, docker, podman, containerd, lxc, openvz, …, none"),
    Entry("container.evidence", "list of strings", "the signs that decided"),
    Entry("kubernetes.role", "string", "pod or node"),
    Entry("kubernetes.pod_uid", "string", "from the control group's path"),
    Entry("cgroup.version", "1 or 2", "which hierarchy rules the CPU"),
    Entry("cgroup.cpu_limit_cores", 'CPUs, or "max"', "tightest quota of the agent's group and its ancestors"),
    Entry("cgroup.memory_limit_bytes", 'bytes, or "max"', "tightest limit of the agent's group and its ancestors"),
    Entry("interfaces.names", "list of names", "all interfaces but the node's ends of its pods' links"),
    Entry("interfaces.pod_link_mtus", "list of bytes", "the MTUs of those ends"),
    Entry("interface.<name>.mtu", "bytes", ""),
    Entry("interface.<name>.operstate", "string", "up, down, unknown, …"),
    Entry("interface.<name>.tx_queue_length", "packets", ""),
    Entry("interface.<name>.kind", "string", "device, bridge, veth, vxlan, …"),
    Entry("interface.<name>.driver", "string", "absent: no device below"),
    Entry("interface.<name>.qdisc", "string", "root queueing discipline"),
    Entry("interface.<name>.speed_bits_per_second", "bit/s", "as negotiated or claimed"),
    Entry("interface.<name>.duplex", "string", ""),
    Entry("interface.<name>.rx_queues", "queues", ""),
    Entry("interface.<name>.tx_queues", "queues", ""),
    Entry("interface.<name>.rps_enabled", "boolean", "whether any receive queue is steered to other CPUs"),
    Entry("interface.<name>.driver_version", "string", ""),
    Entry("interface.<name>.channels", "{combined, rx, tx, max_…}", "queues in use and the most the device has"),
    Entry("interface.<name>.timestamping", "list of names", "which stamps the device gives"),
    Entry("interface.<name>.offload", "none", "why the driver could not be asked"),
    Entry("interface.<name>.offload.<feature>", "{enabled, fixed}", "fixed: the driver lets nobody change it"),
    Entry("route.ipv4.default", "list of routes", "best first; empty: none"),
    Entry("route.ipv6.default", "list of routes", "best first; empty: none"),
    Entry("route.with_mtu", "list of routes", "IPv4 and IPv6 routes with an own MTU or MSS; files tell the IPv4 MSS only"),
    Entry("overlay.<interface>.kind", "string", "vxlan, wireguard, ipip, …"),
    Entry("overlay.<interface>.mtu", "bytes", "inner MTU"),
    Entry("overlay.<interface>.underlay_interface", "name", "the interface that carries its packets"),
    Entry("overlay.<interface>.underlay_mtu", "bytes", "of that interface; the path may carry less"),
    Entry("overlay.<interface>.underlay_family", "ipv4 or ipv6", "of the outer addresses"),
    Entry("overlay.<interface>.overhead_bytes", "bytes", "added to each packet"),
    Entry("overlay_config.<owner>.<n>", "{kind, when, mtu, underlay_mtu, …}", "mtu is inner; from underlay_mtu the plugin subtracts its overhead"),
    Entry("overlay_config.unreadable.<file>", "none", "a file that is there and cannot be read"),
    Entry("cloud.<name>", "string", "from the provider's metadata service, only when asked for"),
)  # fmt: skip


def facts_page() -> str:
    """docs/facts.md: the names, the parameters, the overheads, and the quality flags of our own measurement."""
    return "\n".join(
        [
            "# Facts of a host",
            "",
            "Sent to the collector when they change; `lightfloor-agent facts [--root DIR]` prints them. Each has its source",
            "and time. A value of none comes with its reason, which begins with one of: absent (no such file), not permitted,",
            "refused (the kernel or driver said no), malformed (where and why), not (known, told, set …), gone (was there before).",
            "Unusual characters of an interface's name stand as [hex].",
            "",
            *_table(("name", "value", "meaning"), [(f"`{e.name}`", e.value, e.meaning) for e in CATALOGUE]),
            "",
            "Keys of `sysctl.` and `sysctl_file.`: " + ", ".join(f"`{key}`" for key in SYSCTLS) + ".",
            "",
            "Flags of `cpu.flags.`: " + ", ".join(f"`{flag}`" for flag in FLAGS) + ". Files of `dmi.`: "
            + ", ".join(f"`{name}`" for name in DMI_FILES) + ".",
            "",
            "## Bytes a tunnel adds",
            "",
            *_table(
                ("kind", "IPv4 underlay", "IPv6 underlay", "made of"),
                [(o.kind.value, _number(o.ipv4), _number(o.ipv6), o.breakdown) for o in OVERHEADS.values()],
            ),
            "",
            "## Quality of a minute",
            "",
            "What this host did to its own measurement. A minute with a flag is left out of the verdict and listed.",
            "",
            *_table(
                ("flag", "flagged above", "of", "figure", "why there"),
                [(f"`{t.flag}`", f"{t.over:g}", t.compared, t.figure, t.reason) for t in THRESHOLDS.values()],
            ),
            "",
        ]
    )  # fmt: skip


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in (head, ("---",) * len(head), *rows)]


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


if __name__ == "__main__":
    print(facts_page(), end="")
