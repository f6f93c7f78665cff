"""Which hypervisor runs this machine, whether it accelerates or emulates the CPU, and how we know. Pure.

No single sign decides. The flag `hypervisor` can be hidden (VMware's and KVM's own options do), DMI is free text of
whoever sells the machine, and QEMU's name stands for KVM and for its software emulation (TCG) alike. Whether
vmx or svm is there says, inside a guest, only whether nested virtualisation is offered; TCG offers svm to some CPU
models. So the answer carries its evidence, and "cannot tell" (None) is an answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.kernel.cpuinfo import CpuInfo


@dataclass(frozen=True, slots=True)
class Signs:
    """What could be read. None or empty: not readable here.

    cpuid_vendor: leaf 0x40000000. dmi: files of /sys/class/dmi/id by name. hypervisor_type, guest_type:
    /sys/hypervisor. xen_capabilities: /proc/xen/capabilities. clocksources: those offered, the one in use first.
    device_tree: /proc/device-tree/hypervisor/compatible. modules: names loaded.
    """

    cpu: CpuInfo | None = None
    cpuid_vendor: str | None = None
    dmi: Mapping[str, str] = field(default_factory=dict)
    hypervisor_type: str | None = None
    guest_type: str | None = None
    xen_capabilities: str | None = None
    clocksources: tuple[str, ...] = ()
    device_tree: str | None = None
    modules: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Virtualisation:
    """kind: "kvm", "qemu-tcg", "qemu" (KVM or TCG, undecided), "xen", "vmware", "hyperv", …, "none" for bare metal.

    accelerated: False where the CPU is emulated in software, None when that cannot be told. platform: the provider's
    product where DMI names it ("aws-nitro", "gce"). evidence: the signs that decided, for people.
    """

    kind: str | None
    accelerated: bool | None
    platform: str | None
    evidence: tuple[str, ...]


CPUID_VENDORS: dict[str, str] = {
    "KVMKVMKVM": "kvm",
    "TCGTCGTCGTCG": "qemu-tcg",
    "Linux KVM Hv": "kvm",  # KVM showing Hyper-V's interface
    "Microsoft Hv": "hyperv",
    "VMwareVMware": "vmware",
    "XenVMMXenVMM": "xen",
    "VBoxVBoxVBox": "virtualbox",
    "prl hyperv": "parallels",
    "bhyve bhyve": "bhyve",
    "ACRNACRNACRN": "acrn",
}
ACCELERATED_KINDS = frozenset({"kvm", "xen", "vmware", "hyperv", "parallels", "bhyve", "acrn", "virtualbox"})


@dataclass(frozen=True, slots=True)
class DmiSign:
    """A vendor or product string and what it says. kind None: the platform runs bare metal as well as guests."""

    file: str
    contains: str
    kind: str | None
    platform: str | None = None


# In order; the first match names the kind, the first with a platform names the platform.
DMI_SIGNS: tuple[DmiSign, ...] = (
    DmiSign("sys_vendor", "Amazon EC2", "kvm", "aws-nitro"),
    DmiSign("bios_version", "amazon", "xen", "aws-xen"),
    DmiSign("product_name", "Google Compute Engine", "kvm", "gce"),
    DmiSign("chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77", "hyperv", "azure"),
    DmiSign("chassis_asset_tag", "OracleCloud.com", None, "oracle-cloud"),
    DmiSign("sys_vendor", "Alibaba Cloud", "kvm", "alibaba"),
    DmiSign("sys_vendor", "Tencent Cloud", "kvm", "tencent"),
    DmiSign("sys_vendor", "DigitalOcean", "kvm", "digitalocean"),
    DmiSign("sys_vendor", "Vultr", "kvm", "vultr"),
    DmiSign("sys_vendor", "Linode", "kvm", "linode"),
    DmiSign("sys_vendor", "Akamai", "kvm", "linode"),
    DmiSign("sys_vendor", "Hetzner", "kvm", "hetzner"),
    DmiSign("sys_vendor", "UpCloud", "kvm", "upcloud"),
    DmiSign("sys_vendor", "Scaleway", "kvm", "scaleway"),
    DmiSign("product_name", "OpenStack", "qemu", "openstack"),
    DmiSign("sys_vendor", "OpenStack", "qemu", "openstack"),
    DmiSign("product_name", "KubeVirt", "qemu", "kubevirt"),
    DmiSign("sys_vendor", "VMware", "vmware"),
    DmiSign("product_name", "VirtualBox", "virtualbox"),
    DmiSign("product_name", "HVM domU", "xen"),
    DmiSign("sys_vendor", "Xen", "xen"),
    DmiSign("sys_vendor", "Parallels", "parallels"),
    DmiSign("product_name", "BHYVE", "bhyve"),
    DmiSign("bios_vendor", "BHYVE", "bhyve"),
    DmiSign("sys_vendor", "Nutanix", "kvm", "nutanix"),
    DmiSign("product_name", "RHEV", "kvm", "ovirt"),
    DmiSign("product_name", "KVM", "kvm"),
    DmiSign("sys_vendor", "QEMU", "qemu"),
    DmiSign("product_name", "Standard PC", "qemu"),
    DmiSign("bios_vendor", "Bochs", "qemu"),
)
CLOCKSOURCES: dict[str, str] = {
    "kvm-clock": "kvm",
    "xen": "xen",
    "hyperv_clocksource_tsc_page": "hyperv",
    "hyperv_clocksource_msr": "hyperv",
}
MODULES: dict[str, str] = {
    "hv_vmbus": "hyperv",
    "vmw_balloon": "vmware",
    "vmxnet3": "vmware",
    "vboxguest": "virtualbox",
    "xen_netfront": "xen",
}


def identify(signs: Signs) -> Virtualisation:
    """The hypervisor by the strongest sign: CPUID, Xen's own files, DMI, clock source, CPU model, modules."""
    found = [sign for sign in (_cpuid(signs), _xen(signs)) if sign]
    dmi, platform = _dmi(signs)
    found += [
        sign
        for sign in (dmi, _device_tree(signs), _clocksource(signs), _cpu_model(signs), _module(signs))
        if sign
    ]
    kind = found[0][0] if found else None
    evidence = [text for _, text in found]
    flag = signs.cpu.has_flag("hypervisor") if signs.cpu else None
    if flag is not None:
        evidence.append(f"CPU flag hypervisor {'present' if flag else 'absent'}")
    if kind == "qemu":
        kind = _qemu_accelerator(signs, found, evidence) or kind
    if platform == "aws-nitro" and (flag is False or "metal" in signs.dmi.get("product_name", "")):
        kind = "none"  # m5.metal and its like carry the same vendor string
    if kind is None and flag is False and signs.dmi.get("sys_vendor"):
        kind = "none"
        evidence.append(
            f"DMI names hardware: {signs.dmi['sys_vendor']} {signs.dmi.get('product_name', '')}".strip()
        )
    return Virtualisation(kind, _accelerated(kind), platform, tuple(evidence))


def _accelerated(kind: str | None) -> bool | None:
    if kind == "qemu-tcg":
        return False
    return True if kind in ACCELERATED_KINDS or kind == "none" else None


def _qemu_accelerator(signs: Signs, found: list[tuple[str, str]], evidence: list[str]) -> str | None:
    """KVM or TCG under QEMU; None when it cannot be told."""
    for kind in ("qemu-tcg", "kvm"):
        if any(sign == kind for sign, _ in found):
            return kind
    if signs.cpu is not None and signs.cpu.x86:
        # the kernel sets this flag only when a hypervisor tells it the TSC's frequency; QEMU's TCG does not
        if signs.cpu.has_flag("hypervisor") and signs.cpu.has_flag("tsc_known_freq"):
            evidence.append("CPU flag tsc_known_freq present")
            return "kvm"
        if signs.clocksources and not {"kvm-clock", "tsc"} & set(signs.clocksources):
            # KVM hidden from its guest leaves it a stable TSC; the one that TCG makes of host time is thrown out
            evidence.append("neither kvm-clock nor a stable TSC is offered")
            return "qemu-tcg"
        if signs.clocksources:
            evidence.append("kvm-clock is not offered: software emulation, or KVM hidden from the guest")
    return None


def _cpuid(signs: Signs) -> tuple[str, str] | None:
    vendor = (signs.cpuid_vendor or "").rstrip("\0 ")
    return (CPUID_VENDORS[vendor], f"CPUID names {vendor}") if vendor in CPUID_VENDORS else None


def _xen(signs: Signs) -> tuple[str, str] | None:
    if signs.hypervisor_type != "xen":
        return None
    if "control_d" in (signs.xen_capabilities or ""):
        return "xen", "/proc/xen/capabilities says control domain"
    return "xen", f"/sys/hypervisor says xen, guest type {signs.guest_type or 'not told'}"


def _dmi(signs: Signs) -> tuple[tuple[str, str] | None, str | None]:
    matches = [sign for sign in DMI_SIGNS if sign.contains in signs.dmi.get(sign.file, "")]
    platform = next((sign.platform for sign in matches if sign.platform), None)
    for sign in matches:
        if sign.kind:
            return (sign.kind, f"DMI {sign.file} is {signs.dmi[sign.file]!r}"), platform
    if signs.dmi.get("product_name") == "Virtual Machine" and "Microsoft" in signs.dmi.get("sys_vendor", ""):
        return ("hyperv", "DMI says Microsoft Corporation Virtual Machine"), platform
    return None, platform


def _device_tree(signs: Signs) -> tuple[str, str] | None:
    for name, kind in (("linux,kvm", "kvm"), ("xen,xen", "xen"), ("vmware", "vmware")):
        if name in (signs.device_tree or ""):
            return kind, f"device tree names {name}"
    return None


def _clocksource(signs: Signs) -> tuple[str, str] | None:
    for name in signs.clocksources:
        if name in CLOCKSOURCES:
            return CLOCKSOURCES[name], f"clock source {name} is offered"
    return None


def _cpu_model(signs: Signs) -> tuple[str, str] | None:
    model = (signs.cpu.model or "") if signs.cpu else ""
    if "QEMU TCG CPU" in model:
        return "qemu-tcg", f"CPU model is {model!r}"
    if "QEMU Virtual CPU" in model or "Common KVM processor" in model or "Common 32-bit KVM" in model:
        return "qemu", f"CPU model is {model!r}"
    return None


def _module(signs: Signs) -> tuple[str, str] | None:
    for name in sorted(signs.modules or ()):
        if name in MODULES:
            return MODULES[name], f"module {name} is loaded"
    return None
