"""/proc/cpuinfo: one block per CPU of "key : value" lines, spelled differently on every architecture.

x86 (arch/x86/kernel/cpu/proc.c): vendor_id, model name, flags. ARM: Features, CPU implementer and part, and no
vendor. RISC-V: isa, uarch. POWER: cpu. s390: features, and CPUs as "processor 0: ...".
"""

from dataclasses import dataclass

from agent.kernel.parse_error import ParseError
from agent.kernel.text import text_of

SOURCE = "proc/cpuinfo"
FLAG_KEYS = ("flags", "Features", "features", "isa")
MODEL_KEYS = ("model name", "Processor", "cpu model", "cpu", "uarch")
VENDOR_KEYS = ("vendor_id", "CPU implementer", "mvendorid", "platform")


@dataclass(frozen=True, slots=True)
class CpuInfo:
    """The processors the kernel shows.

    count: online CPUs. flags: those that every CPU has; None on an architecture that prints none. x86: whether the
    flags are x86's, in which vmx, svm and hypervisor have their meaning. properties: every line of the
    first CPU and of the part common to all.
    """

    count: int
    vendor: str | None
    model: str | None
    microcode: str | None
    flags: frozenset[str] | None
    x86: bool
    properties: dict[str, str]

    def has_flag(self, flag: str) -> bool | None:
        """Whether every CPU has an x86 flag; None where the architecture cannot say."""
        return None if self.flags is None or not self.x86 else flag in self.flags


def parse_cpuinfo(data: bytes) -> CpuInfo:
    """Raises ParseError when a line is not "key : value" or no CPU is listed."""
    properties: dict[str, str] = {}
    flags: frozenset[str] | None = None
    count = 0
    for line_number, line in enumerate(text_of(SOURCE, data).splitlines(), 1):
        if not line.strip():
            continue
        key, colon, value = (part.strip() for part in line.partition(":"))
        if not colon:
            raise ParseError(SOURCE, f"line {line_number}", "'key : value' was expected", line)
        words = key.split()
        if (key == "processor" and value.isdigit()) or (words[:1] == ["processor"] and len(words) == 2):
            count += 1
        if key in FLAG_KEYS:
            found = frozenset(value.split())
            flags = found if flags is None else flags & found
        properties.setdefault(key, value)
    if count == 0:
        raise ParseError(SOURCE, "file", "no 'processor' line")
    return CpuInfo(
        count=count,
        vendor=_first(properties, VENDOR_KEYS),
        model=_first(properties, MODEL_KEYS),
        microcode=_first(properties, ("microcode",)),
        flags=flags,
        x86="flags" in properties,
        properties=properties,
    )


def _first(properties: dict[str, str], keys: tuple[str, ...]) -> str | None:
    return next((properties[key] for key in keys if properties.get(key)), None)
