"""/proc/net/sockstat and sockstat6: "TCP: inuse 5 orphan 0 tw 0 alloc 8 mem 1" (net/ipv4/proc.c, sockstat_seq_show).

All values are states of the moment, not counters: never take their difference for a count of events.
"""

import re

from agent.kernel.parse_error import ParseError
from agent.kernel.text import text_of

_LINE = re.compile(r"([A-Za-z][A-Za-z0-9-]*):((?: +[a-z_]+ +-?[0-9]{1,20})+) *")


def parse_sockstat(data: bytes) -> dict[str, dict[str, int]]:
    """{"sockets": {"used": …}, "TCP": {"inuse": …, "mem": pages, …}, …}. Raises ParseError."""
    lines = text_of("sockstat", data).split("\n")
    if lines[-1] == "":
        lines.pop()
    if not lines:
        raise ParseError("sockstat", "line 1", "empty; the kernel always prints at least one group")
    groups: dict[str, dict[str, int]] = {}
    for number, line in enumerate(lines, 1):
        found = _LINE.fullmatch(line)
        if found is None:
            raise ParseError("sockstat", f"line {number}", "not 'GROUP: name value name value …'", line)
        words = found[2].split()
        groups[found[1]] = dict(zip(words[::2], map(int, words[1::2]), strict=True))
    return groups
