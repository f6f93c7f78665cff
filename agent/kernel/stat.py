"""/proc/stat: where the CPUs' time went (fs/proc/stat.c show_stat; proc_stat(5)).

Times are in ticks of USER_HZ, 100 per second on every architecture Linux runs on today. Guest time is already
contained in user and nice, so a total leaves it out.
"""

from dataclasses import dataclass, fields

from agent.kernel.parse_error import ParseError
from agent.kernel.text import number, text_of

SOURCE = "proc/stat"
TICKS_PER_SECOND = 100
MIN_COLUMNS = 4  # user nice system idle: Linux 2.4


@dataclass(frozen=True, slots=True)
class CpuTime:
    """Ticks since boot of one CPU, or of all. A column that this kernel does not print is None."""

    user: int
    nice: int
    system: int
    idle: int
    iowait: int | None = None  # since 2.5.41
    irq: int | None = None
    softirq: int | None = None
    steal: int | None = None  # since 2.6.11: ready to run, but the hypervisor ran somebody else

    @property
    def total(self) -> int:
        """All ticks of these CPUs."""
        return sum(getattr(self, column) or 0 for column in COLUMNS)


COLUMNS = tuple(field.name for field in fields(CpuTime))


@dataclass(frozen=True, slots=True)
class Stat:
    """total: all CPUs together; cpus: by CPU number, online ones only."""

    total: CpuTime
    cpus: dict[int, CpuTime]
    boot_time_s: int | None = None


def parse_stat(data: bytes) -> Stat:
    """The CPU lines and the boot time. Raises ParseError."""
    total: CpuTime | None = None
    boot_time_s: int | None = None
    cpus: dict[int, CpuTime] = {}
    for line_number, line in enumerate(text_of(SOURCE, data).splitlines(), 1):
        words = line.split()
        if not words:
            continue
        where = f"line {line_number}"
        if words[0] == "cpu":
            total = _cpu_time(words, where)
        elif words[0].startswith("cpu"):
            cpus[number(SOURCE, where, words[0][3:])] = _cpu_time(words, where)
        elif words[0] == "btime" and len(words) == 2:
            boot_time_s = number(SOURCE, where, words[1])
    if total is None:
        raise ParseError(SOURCE, "file", "no line begins with 'cpu '")
    return Stat(total, cpus, boot_time_s)


def _cpu_time(words: list[str], where: str) -> CpuTime:
    if len(words) <= MIN_COLUMNS:
        raise ParseError(SOURCE, where, f"a CPU line has at least {MIN_COLUMNS} numbers", " ".join(words))
    return CpuTime(*(number(SOURCE, where, word) for word in words[1 : len(COLUMNS) + 1]))
