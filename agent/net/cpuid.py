"""The hypervisor's signature from the CPUID instruction, through the cpuid driver (root only, often not loaded)."""

import os
import struct

DEVICE = "/dev/cpu/0/cpuid"
HYPERVISOR_LEAF = 0x40000000
REGISTERS = struct.Struct("=I12s")  # eax, then ebx ecx edx: twelve letters


def hypervisor_vendor() -> str:
    """As the hypervisor signs itself ("KVMKVMKVM", "TCGTCGTCGTCG"). Raises OSError; on bare metal it means nothing."""
    descriptor = os.open(DEVICE, os.O_RDONLY | os.O_CLOEXEC)
    try:
        answer = os.pread(descriptor, REGISTERS.size, HYPERVISOR_LEAF)
    finally:
        os.close(descriptor)
    signature: bytes = REGISTERS.unpack(answer)[1]
    return signature.decode("ascii", errors="replace").rstrip("\0 ")
