"""CPUs of every architecture at hand."""

import pytest

from agent.kernel.cpuinfo import parse_cpuinfo
from agent.kernel.parse_error import ParseError
from tests.corpus import field_file
from tests.host_samples import recorded


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("name", "count", "model", "vmx", "svm", "hypervisor"),
    [
        ("node_exporter_cpuinfo", 8, "Intel(R) Core(TM) i7-8650U CPU @ 1.90GHz", True, False, False),
        ("pcp_cpuinfo_32cpu_amd6132_svm", 32, "AMD Opteron(tm) Processor 6132 HE", False, True, False),
        ("pcp_cpuinfo_kvm_haswell_no_vmx", 4, "Intel Core Processor (Haswell, no TSX)", False, False, True),
        ("pcp_cpuinfo_metal_i7_vmx", 8, "Intel(R) Core(TM) i7-4810MQ CPU @ 2.80GHz", True, False, False),
        (
            "pcp_cpuinfo_nested_vmx_and_hypervisor",
            8,
            "Intel(R) Core(TM) i7-4810MQ CPU @ 2.80GHz",
            True,
            False,
            True,
        ),
        ("percona_cpuinfo_qemu_0.14", 1, "QEMU Virtual CPU version 0.14.1", False, False, False),
        ("utillinux_cpuinfo_vmware_svm", 16, "AMD Opteron(tm) Processor 6328", False, True, False),
        ("pcp_cpuinfo_8cpu_aarch64", 8, "AArch64 Processor rev 0 (aarch64)", None, None, None),
    ],
)
def test_cpuinfo_of_the_field(name, count, model, vmx, svm, hypervisor):
    """Count, model and the three flags of every real file; on ARM the flags are not told, which is not "no"."""
    cpu = parse_cpuinfo(field_file(f"7-host/{name}.txt"))
    assert (cpu.count, cpu.model) == (count, model)
    assert tuple(cpu.has_flag(flag) for flag in ("vmx", "svm", "hypervisor")) == (vmx, svm, hypervisor)


@pytest.mark.corpus
def test_arm_has_features_and_an_implementer():
    """What ARM prints in place of flags and vendor is kept."""
    cpu = parse_cpuinfo(field_file("7-host/pcp_cpuinfo_8cpu_aarch64.txt"))
    assert cpu.flags == {"fp", "asimd", "evtstrm"}
    assert (cpu.vendor, cpu.microcode, cpu.properties["Hardware"]) == (
        "0x50",
        None,
        "APM X-Gene Mustang board",
    )


def test_own_recording():
    """A guest on EPYC under 6.18."""
    cpu = parse_cpuinfo(recorded("cpuinfo_6.18_epyc_guest.txt"))
    assert (cpu.count, cpu.vendor, cpu.microcode) == (2, "AuthenticAMD", "0x1000065")
    assert cpu.has_flag("hypervisor")


def test_flags_are_those_of_every_cpu():
    """A flag that one CPU lacks is not reported."""
    cpu = parse_cpuinfo(b"processor : 0\nflags : fpu vmx\nprocessor : 1\nflags : fpu svm\n")
    assert [cpu.has_flag(flag) for flag in ("fpu", "vmx", "svm")] == [True, False, False]


def test_s390_numbers_its_cpus_in_the_key():
    """s390 writes "processor 0: ..." and its features in small letters."""
    text = b"vendor_id       : IBM/S390\n# processors    : 2\nfeatures\t: esan3 zarch\n"
    text += b"processor 0: version = FF,  identification = 123\nprocessor 1: version = FF,  identification = 124\n"
    cpu = parse_cpuinfo(text)
    assert (cpu.count, cpu.vendor, cpu.has_flag("svm")) == (2, "IBM/S390", None)


@pytest.mark.parametrize("text", [b"", b"model name : x\n", b"processor 0\n"])
def test_no_cpu_is_an_error(text):
    """A file without a processor is not a host without one."""
    with pytest.raises(ParseError):
        parse_cpuinfo(text)
