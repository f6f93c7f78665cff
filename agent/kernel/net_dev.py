"""/proc/net/dev: packets, bytes, errors and drops per interface (net/core/net-procfs.c dev_seq_printf_stats).

The drop columns are sums that the kernel makes: received ones hold rx_dropped (no handler, backlog) and
rx_missed_errors (the card's ring was full).
"""

from dataclasses import dataclass

from agent.kernel.parse_error import ParseError
from agent.kernel.text import number, text_of

SOURCE = "proc/net/dev"
COLUMNS = 16  # eight received (bytes packets errs drop fifo frame compressed multicast), eight transmitted


@dataclass(frozen=True, slots=True)
class DeviceCounters:
    """Counts of one interface since it was made."""

    rx_bytes: int
    rx_packets: int
    rx_errors: int
    rx_dropped: int
    tx_bytes: int
    tx_packets: int
    tx_errors: int
    tx_dropped: int


def parse_net_dev(data: bytes) -> dict[str, DeviceCounters]:
    """Counters by interface. Raises ParseError. A name may contain colons (an old alias eth0:1)."""
    lines = text_of(SOURCE, data).splitlines()
    if len(lines) < 2 or not lines[0].startswith("Inter-|"):
        raise ParseError(
            SOURCE, "line 1", "the two lines of the heading were expected", lines[0] if lines else ""
        )
    devices: dict[str, DeviceCounters] = {}
    for line_number, line in enumerate(lines[2:], 3):
        where = f"line {line_number}"
        name, colon, rest = line.rpartition(":")
        words = rest.split()
        if not colon or len(words) != COLUMNS:
            raise ParseError(SOURCE, where, f"a name, a colon and {COLUMNS} numbers were expected", line)
        column = [number(SOURCE, where, word) for word in words]
        devices[name.strip()] = DeviceCounters(*column[0:4], *column[8:12])
    return devices
