"""Reads the kernel's TCP counters of this network namespace, and what was counted since the reading before."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.clock import Clock
from agent.kernel.counters import CounterReading, Discontinuity, Increments, increments
from agent.kernel.netstat import parse_netstat, parse_snmp
from agent.kernel.parse_error import ParseError
from agent.kernel.snmp6 import parse_snmp6
from agent.kernel.sockstat import parse_sockstat

FILES = {
    "proc/net/snmp": parse_snmp,
    "proc/net/netstat": parse_netstat,
    "proc/net/snmp6": parse_snmp6,
}
"""Counters. proc/net is proc/self/net: the namespace of this process."""

STATES = {"proc/net/sockstat": parse_sockstat, "proc/net/sockstat6": parse_sockstat}


@dataclass(frozen=True, slots=True)
class TcpReading:
    """One reading of the counters of a network namespace.

    totals: counters since boot, {group: {counter: value}} of all files that could be read. since: what was
    counted since the reading before, the reason why that is not known, or None at the first. states: sockstat.
    unreadable: by file, why ("absent" tells a kernel without IPv6 from one that refuses).
    """

    totals: CounterReading
    since: Increments | Discontinuity | None
    states: dict[str, dict[str, int]]
    unreadable: dict[str, str] = field(default_factory=dict)


class TcpCounterReader:
    """Call read() at an interval. read_file: a file below the root, for example ProcRoot().read."""

    def __init__(self, read_file: Callable[[str], bytes], clock: Clock) -> None:
        self._read_file = read_file
        self._clock = clock
        self._before: CounterReading | None = None

    def read(self) -> TcpReading:
        """The counters now, in less than a millisecond; never raises for a file that cannot be read."""
        unreadable: dict[str, str] = {}
        counters = self._parsed(FILES, unreadable)
        boot = self._text("proc/sys/kernel/random/boot_id", unreadable)
        reading = CounterReading(self._clock.mono_ns(), boot, _namespace(), counters)
        since = increments(self._before, reading) if self._before is not None else None
        self._before = reading
        return TcpReading(reading, since, self._parsed(STATES, unreadable), unreadable)

    def _parsed(
        self, files: Mapping[str, Callable[[bytes], dict[str, dict[str, int]]]], unreadable: dict[str, str]
    ) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        for path, parse in files.items():
            try:
                found |= parse(self._read_file(path))
            except FileNotFoundError:
                unreadable[path] = "absent"
            except (OSError, ParseError) as error:
                unreadable[path] = str(error)
        return found

    def _text(self, path: str, unreadable: dict[str, str]) -> str:
        try:
            return self._read_file(path).decode("ascii", "replace").strip()
        except OSError as error:
            unreadable[path] = str(error)
            return ""


def _namespace() -> int:
    try:
        return Path("/proc/self/ns/net").stat().st_ino
    except OSError:
        return 0
