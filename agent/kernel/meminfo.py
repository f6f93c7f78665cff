"""/proc/meminfo and /proc/vmstat: "MemTotal:  16315588 kB" and "pswpin 12" lines."""

from agent.kernel.parse_error import ParseError
from agent.kernel.text import number, text_of

SOURCE = "proc/meminfo"
VMSTAT_SOURCE = "proc/vmstat"
KIBIBYTE = 1024


def parse_meminfo(data: bytes) -> dict[str, int]:
    """Value by name; amounts in bytes (the kernel's "kB" is 1024), the HugePages_ rows as counts. Raises ParseError."""
    values: dict[str, int] = {}
    for line_number, line in enumerate(text_of(SOURCE, data).splitlines(), 1):
        where = f"line {line_number}"
        name, colon, rest = line.partition(":")
        words = rest.split()
        if not colon or not (len(words) == 1 or (len(words) == 2 and words[1] == "kB")):
            raise ParseError(SOURCE, where, "'Name: number kB' was expected", line)
        values[name.strip()] = number(SOURCE, where, words[0]) * (KIBIBYTE if len(words) == 2 else 1)
    if not values:
        raise ParseError(SOURCE, "file", "empty")
    return values


def parse_vmstat(data: bytes) -> dict[str, int]:
    """Counter or gauge by name, in pages or events as vmstat has them. Raises ParseError."""
    values: dict[str, int] = {}
    for line_number, line in enumerate(text_of(VMSTAT_SOURCE, data).splitlines(), 1):
        words = line.split()
        if len(words) != 2:
            raise ParseError(VMSTAT_SOURCE, f"line {line_number}", "'name number' was expected", line)
        values[words[0]] = number(VMSTAT_SOURCE, f"line {line_number}", words[1])
    if not values:
        raise ParseError(VMSTAT_SOURCE, "file", "empty")
    return values
