"""The text of lscpu (util-linux): "Key:   value" lines, and the parsable table of `lscpu -p` where it follows.

lscpu asks the CPUID instruction itself, so "Hypervisor vendor" tells what /proc/cpuinfo cannot.
"""

from dataclasses import dataclass

from agent.kernel.parse_error import ParseError
from agent.kernel.text import text_of

SOURCE = "lscpu"


@dataclass(frozen=True, slots=True)
class Lscpu:
    """properties: value by key, without older versions' indentation. cpus: rows of the parsable table by column."""

    properties: dict[str, str]
    cpus: tuple[dict[str, int | None], ...] = ()

    @property
    def hypervisor_vendor(self) -> str | None:
        """As CPUID names it ("KVM", "Xen", "VMware", "Microsoft"); None where lscpu names none."""
        return self.properties.get("Hypervisor vendor")


def parse_lscpu(data: bytes) -> Lscpu:
    """Raises ParseError for a line that is neither "Key: value" nor a row of the table announced by "# CPU,..."."""
    properties: dict[str, str] = {}
    columns: list[str] = []
    cpus: list[dict[str, int | None]] = []
    for line_number, line in enumerate(text_of(SOURCE, data).splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("# CPU"):
            columns = stripped[2:].split(",")
        elif not stripped or stripped.startswith("#"):
            continue
        elif columns:
            cpus.append(_row(columns, stripped, f"line {line_number}"))
        else:
            key, colon, value = stripped.partition(":")
            if not colon:
                raise ParseError(SOURCE, f"line {line_number}", "'Key: value' was expected", line)
            properties[key.strip()] = value.strip()
    if not properties and not cpus:
        raise ParseError(SOURCE, "file", "neither properties nor a table")
    return Lscpu(properties, tuple(cpus))


def _row(columns: list[str], line: str, where: str) -> dict[str, int | None]:
    values = line.split(",")
    if len(values) != len(columns) or not all(
        v == "" or (v.isascii() and v.isdigit() and len(v) < 10) for v in values
    ):
        raise ParseError(SOURCE, where, f"{len(columns)} numbers were expected", line)
    return {name: int(value) if value else None for name, value in zip(columns, values, strict=True) if name}
