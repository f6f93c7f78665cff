"""The text of lscpu."""

import pytest

from agent.kernel.lscpu import parse_lscpu
from agent.kernel.parse_error import ParseError
from tests.corpus import field_file
from tests.host_samples import recorded


@pytest.mark.corpus
def test_lscpu_of_the_field():
    """Properties and both tables of real dumps; no hypervisor is named on either."""
    vmware = parse_lscpu(field_file("7-host/utillinux_lscpu-vmware_fpe.txt"))
    assert (vmware.properties["CPU(s)"], vmware.properties["Virtualization"]) == ("16", "AMD-V")
    assert vmware.hypervisor_vendor is None
    assert vmware.cpus[15] == {
        "CPU": 15,
        "Core": 7,
        "Socket": 1,
        "Node": 3,
        "L1d": 71,
        "L1i": 35,
        "L2": 35,
        "L3": 17,
    }
    epyc = parse_lscpu(field_file("7-host/utillinux_lscpu-x86_64-epyc_7451.txt"))
    assert epyc.properties["Model name"] == "AMD EPYC 7451 24-Core Processor"
    assert len(epyc.cpus) == 192  # its two tables, logical and physical numbers, one after the other


def test_hypervisor_vendor_of_a_guest():
    """On a KVM guest lscpu names the vendor that CPUID signs with."""
    lscpu = parse_lscpu(recorded("lscpu_2.38_kvm.txt"))
    assert (lscpu.hypervisor_vendor, lscpu.properties["CPU(s)"]) == ("KVM", "2")


@pytest.mark.parametrize("text", [b"", b"no colon here\n", b"# CPU,Core\n0,x\n", b"# CPU,Core\n0\n"])
def test_malformed(text):
    """Neither properties nor a whole table is an error."""
    with pytest.raises(ParseError):
        parse_lscpu(text)
