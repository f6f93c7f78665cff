"""/proc/net/snmp6: one "Ip6InReceives  7" per line (net/ipv6/proc.c, snmp6_seq_show)."""

import re

from agent.kernel.parse_error import ParseError
from agent.kernel.text import text_of

_LINE = re.compile(r"([A-Z][A-Za-z]*6)([A-Z][A-Za-z0-9]*)[ \t]+(-?[0-9]{1,20})[ \t]*")


def parse_snmp6(data: bytes) -> dict[str, dict[str, int]]:
    """{"Ip6": {"InReceives": 7, …}, "Icmp6": …, "Udp6": …, "UdpLite6": …}. Raises ParseError."""
    lines = text_of("snmp6", data).split("\n")
    if lines[-1] == "":
        lines.pop()
    if not lines:
        raise ParseError("snmp6", "line 1", "empty; the kernel always prints its counters")
    groups: dict[str, dict[str, int]] = {}
    for number, line in enumerate(lines, 1):
        found = _LINE.fullmatch(line)
        if found is None:
            raise ParseError("snmp6", f"line {number}", "not 'Ip6Name value'", line)
        groups.setdefault(found[1], {})[found[2]] = int(found[3])
    return groups
