"""/proc/net/netstat and /proc/net/snmp: pairs of lines, names then values, one pair per protocol.

Kernel: net/ipv4/proc.c, netstat_seq_show and snmp_seq_show. Columns are found by their name, never by place:
kernels insert them anywhere (InCsumErrors in 3.10, TcpExt ever since). Every counter found is kept.
"""

import re
from collections.abc import Mapping

from agent.kernel.parse_error import ParseError
from agent.kernel.text import text_of

Counters = Mapping[str, Mapping[str, int]]
"""{group: {counter: value}}; values are totals, or increments of them."""

_HEADER = re.compile(r"([A-Za-z][A-Za-z0-9]*):((?: +[A-Za-z][A-Za-z0-9_]*)*) *")
_VALUES = re.compile(r"([A-Za-z][A-Za-z0-9]*):((?: +-?[0-9]{1,20})*) *")


def parse_netstat(data: bytes, source: str = "netstat") -> dict[str, dict[str, int]]:
    """{group: {counter: int}} of /proc/net/netstat. MaxConn is −1 on every host, so values are signed.

    A group may come in several pairs: they are one group, and of a counter given twice the later value counts.
    Raises ParseError.
    """
    lines = text_of(source, data).split("\n")
    if lines[-1] == "":
        lines.pop()
    if not lines:
        raise ParseError(source, "line 1", "empty; the kernel always prints at least one group")
    groups: dict[str, dict[str, int]] = {}
    for number in range(0, len(lines), 2):
        header = _HEADER.fullmatch(lines[number])
        if header is None:
            raise ParseError(source, f"line {number + 1}", "not 'Group: Name Name …'", lines[number])
        if number + 1 == len(lines):
            raise ParseError(source, f"line {number + 1}", "names without a line of values", lines[number])
        values = _VALUES.fullmatch(lines[number + 1])
        if values is None or values[1] != header[1]:
            reason = f"not '{header[1]}: 1 2 …', the values of the line before"
            raise ParseError(source, f"line {number + 2}", reason, lines[number + 1])
        names, figures = header[2].split(), values[2].split()
        if len(names) != len(figures):
            reason = f"{len(names)} names but {len(figures)} values of {header[1]}"
            raise ParseError(source, f"line {number + 2}", reason, lines[number + 1])
        groups.setdefault(header[1], {}).update(zip(names, map(int, figures), strict=True))
    return groups


def parse_snmp(data: bytes) -> dict[str, dict[str, int]]:
    """{group: {counter: int}} of /proc/net/snmp, the same format. Raises ParseError."""
    return parse_netstat(data, "snmp")
