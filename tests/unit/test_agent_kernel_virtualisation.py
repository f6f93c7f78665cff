"""Which hypervisor, and whether it accelerates, from signs that lie one by one."""

import pytest

from agent.kernel.cpuinfo import parse_cpuinfo
from agent.kernel.virtualisation import Signs, identify
from tests.corpus import field_file


def cpu(flags="", model="Intel Core Processor (Haswell, no TSX)"):
    return parse_cpuinfo(f"processor\t: 0\nmodel name\t: {model}\nflags\t\t: fpu {flags}\n".encode())


QEMU = {"sys_vendor": "QEMU", "product_name": "Standard PC (Q35 + ICH9, 2009)"}


@pytest.mark.parametrize(
    ("signs", "kind", "accelerated", "platform"),
    [
        (Signs(cpu("hypervisor"), dmi=QEMU, clocksources=("kvm-clock", "tsc")), "kvm", True, None),
        (Signs(cpu("hypervisor tsc_known_freq"), dmi=QEMU, clocksources=("tsc",)), "kvm", True, None),
        (Signs(cpu("hypervisor"), dmi=QEMU, clocksources=("tsc", "hpet")), "qemu", None, None),
        (Signs(cpu("hypervisor"), dmi=QEMU, clocksources=("hpet", "acpi_pm")), "qemu-tcg", False, None),
        (Signs(cpu("hypervisor svm", "QEMU TCG CPU version 2.5+"), dmi=QEMU), "qemu-tcg", False, None),
        (Signs(cpu("hypervisor"), cpuid_vendor="TCGTCGTCGTCG", dmi=QEMU), "qemu-tcg", False, None),
        (Signs(cpu("hypervisor"), dmi=QEMU), "qemu", None, None),
        (Signs(cpu("hypervisor"), cpuid_vendor="KVMKVMKVM\0\0\0"), "kvm", True, None),
        (
            Signs(cpu("hypervisor"), dmi={"sys_vendor": "Amazon EC2", "product_name": "m5.large"}),
            "kvm",
            True,
            "aws-nitro",
        ),
        (
            Signs(cpu(""), dmi={"sys_vendor": "Amazon EC2", "product_name": "m5.metal"}),
            "none",
            True,
            "aws-nitro",
        ),
        (
            Signs(cpu("hypervisor"), dmi={"sys_vendor": "Google", "product_name": "Google Compute Engine"}),
            "kvm",
            True,
            "gce",
        ),
        (Signs(cpu("hypervisor"), dmi={"sys_vendor": "VMware, Inc."}), "vmware", True, None),
        (
            Signs(cpu("hypervisor"), dmi={"sys_vendor": "innotek GmbH", "product_name": "VirtualBox"}),
            "virtualbox",
            True,
            None,
        ),
        (Signs(hypervisor_type="xen", guest_type="HVM"), "xen", True, None),
        (
            Signs(cpu("hypervisor"), hypervisor_type="xen", dmi={"bios_version": "4.11.amazon"}),
            "xen",
            True,
            "aws-xen",
        ),
        (
            Signs(
                cpu("hypervisor"),
                dmi={
                    "sys_vendor": "Microsoft Corporation",
                    "product_name": "Virtual Machine",
                    "chassis_asset_tag": "7783-7084-3265-9085-8269-3286-77",
                },
            ),
            "hyperv",
            True,
            "azure",
        ),
        (Signs(cpu("hypervisor"), modules=frozenset({"hv_vmbus"})), "hyperv", True, None),
        (Signs(device_tree="linux,kvm"), "kvm", True, None),
        (
            Signs(cpu("vmx"), dmi={"sys_vendor": "Dell Inc.", "product_name": "PowerEdge R640"}),
            "none",
            True,
            None,
        ),
        (Signs(cpu("hypervisor")), None, None, None),
        (Signs(cpu("vmx")), None, None, None),
        (Signs(), None, None, None),
    ],
)
def test_kind_acceleration_and_platform(signs, kind, accelerated, platform):
    """Each set of signs gives its answer, and "cannot tell" where they do not tell."""
    answer = identify(signs)
    assert (answer.kind, answer.accelerated, answer.platform) == (kind, accelerated, platform)


def test_the_evidence_names_what_decided():
    """An undecided QEMU says what was missing, for whoever asks the provider."""
    evidence = identify(Signs(cpu("hypervisor"), dmi=QEMU, clocksources=("tsc",))).evidence
    assert evidence == (
        "DMI sys_vendor is 'QEMU'",
        "CPU flag hypervisor present",
        "kvm-clock is not offered: software emulation, or KVM hidden from the guest",
    )


@pytest.mark.corpus
@pytest.mark.parametrize(
    "name",
    [
        "pcp_cpuinfo_metal_i7_vmx",
        "node_exporter_cpuinfo",
        "pcp_cpuinfo_32cpu_amd6132_svm",
        "utillinux_cpuinfo_vmware_svm",
    ],
)
def test_no_hypervisor_flag_alone_is_no_bare_metal(name):
    """cpuinfo without the flag may be metal or a guest whose hypervisor hides (the VMware dump): cannot tell."""
    signs = Signs(parse_cpuinfo(field_file(f"7-host/{name}.txt")))
    assert identify(signs).kind is None


@pytest.mark.corpus
def test_guests_of_the_field():
    """A Haswell guest with kvm-clock is KVM; old QEMU without even the flag is QEMU, accelerator unknown."""
    haswell = parse_cpuinfo(field_file("7-host/pcp_cpuinfo_kvm_haswell_no_vmx.txt"))
    assert identify(Signs(haswell, clocksources=("kvm-clock",))).kind == "kvm"
    old = identify(Signs(parse_cpuinfo(field_file("7-host/percona_cpuinfo_qemu_0.14.txt"))))
    assert (old.kind, old.accelerated) == ("qemu", None)
