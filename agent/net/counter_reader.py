"""Reads one Reading of this host's volatile counters: a dozen small files and, with Amazon's driver, one ioctl."""

from collections.abc import Callable
from typing import TypeVar

from agent.clock import Clock
from agent.hostcounters import Conntrack, Memory, Reading, Throttling
from agent.kernel.cgroup import parse_flat_keyed, throttled_seconds
from agent.kernel.conntrack import parse_conntrack_stat
from agent.kernel.ethtool import allowance_exceeded
from agent.kernel.meminfo import parse_meminfo, parse_vmstat
from agent.kernel.net_dev import parse_net_dev
from agent.kernel.parse_error import ParseError
from agent.kernel.softirqs import Softirqs, parse_softirqs
from agent.kernel.softnet import parse_softnet
from agent.kernel.stat import parse_stat
from agent.kernel.sysctl import parse_value
from agent.net.adjtimex import clock_state
from agent.net.cgroupfs import group_folders
from agent.net.ethtool import Ethtool
from agent.net.procfs import ProcRoot, missing_reason

T = TypeVar("T")
PACKET_SOFTIRQS = ("NET_RX", "NET_TX")
ALLOWANCE_DRIVERS = frozenset({"ena"})


class CounterReader:
    """Keeps what need not be asked again between readings. close() frees its socket."""

    def __init__(self, root: ProcRoot, clock: Clock) -> None:
        self._root = root
        self._clock = clock
        self._ethtool = Ethtool() if root.is_live else None
        self._drivers: dict[str, str | None] = {}

    def close(self) -> None:
        if self._ethtool is not None:
            self._ethtool.close()

    def read(self) -> Reading:
        """Everything that can be read now; never raises for a part that cannot."""
        unreadable: dict[str, str] = {}

        def part(name: str, question: Callable[[], T]) -> T | None:
            try:
                return question()
            except (OSError, ParseError) as error:
                unreadable[name] = missing_reason(error)
                return None

        read = self._root.read
        wall_ns, mono_ns = self._clock.wall_ns(), self._clock.mono_ns()
        interfaces = part("interfaces", lambda: parse_net_dev(read("proc/net/dev")))
        return Reading(
            wall_ns=wall_ns,
            mono_ns=mono_ns,
            stat=part("stat", lambda: parse_stat(read("proc/stat"))),
            throttling=part("throttling", self._throttling),
            softnet=part("softnet", lambda: parse_softnet(read("proc/net/softnet_stat"))),
            softirqs=part("softirqs", lambda: _of_packets(parse_softirqs(read("proc/softirqs")))),
            conntrack=part("conntrack", self._conntrack),
            memory=part("memory", self._memory),
            interfaces=interfaces,
            allowance_exceeded=part("allowance_exceeded", lambda: self._allowances(list(interfaces or ())))
            or {},
            clock=part("clock", clock_state) if self._root.is_live else None,
            unreadable=unreadable,
        )

    def _throttling(self) -> Throttling:
        """Summed over the group and its ancestors, because any of their quotas stops the agent."""
        periods = throttled_periods = 0
        seconds: float | None = None
        for folder in group_folders(self._root, "cpu")[1]:
            counts = parse_flat_keyed(self._root.read(f"{folder}/cpu.stat"))
            own_seconds = throttled_seconds(counts)
            if own_seconds is not None:
                seconds = (seconds or 0.0) + own_seconds
                periods += counts.get("nr_periods", 0)
                throttled_periods += counts.get("nr_throttled", 0)
        if seconds is None:
            raise FileNotFoundError("no group with a CPU quota")
        return Throttling(periods, throttled_periods, seconds)

    def _conntrack(self) -> Conntrack:
        entries = self._integer("proc/sys/net/netfilter/nf_conntrack_count")
        limit = self._integer("proc/sys/net/netfilter/nf_conntrack_max")
        try:
            counters = parse_conntrack_stat(self._root.read("proc/net/stat/nf_conntrack"))
        except FileNotFoundError:  # a kernel built without CONFIG_NF_CONNTRACK_PROCFS
            counters = {}
        return Conntrack(
            entries=entries,
            limit=limit,
            drops=counters.get("drop"),
            early_drops=counters.get("early_drop"),
            insert_failures=counters.get("insert_failed"),
        )

    def _integer(self, path: str) -> int:
        value = parse_value(self._root.read(path))
        if not isinstance(value, int):
            raise ParseError(path, "file", "one number was expected", str(value))
        return value

    def _memory(self) -> Memory:
        amounts = parse_meminfo(self._root.read("proc/meminfo"))
        pages = parse_vmstat(self._root.read("proc/vmstat"))
        if "MemTotal" not in amounts:
            raise ParseError("proc/meminfo", "file", "no line 'MemTotal:'")
        return Memory(
            total_bytes=amounts["MemTotal"],
            available_bytes=amounts.get("MemAvailable"),
            swap_total_bytes=amounts.get("SwapTotal"),
            swap_free_bytes=amounts.get("SwapFree"),
            pages_swapped_in=pages.get("pswpin"),
            pages_swapped_out=pages.get("pswpout"),
        )

    def _allowances(self, interfaces: list[str]) -> dict[str, dict[str, int]]:
        if self._ethtool is None:
            return {}
        found: dict[str, dict[str, int]] = {}
        for interface in interfaces:
            if interface not in self._drivers:
                link = self._root.link(f"sys/class/net/{interface}/device/driver")
                self._drivers[interface] = link.rpartition("/")[2] if link else None
            if self._drivers[interface] in ALLOWANCE_DRIVERS:
                found[interface] = allowance_exceeded(self._ethtool.statistics(interface))
        self._drivers = {name: driver for name, driver in self._drivers.items() if name in interfaces}
        return found


def _of_packets(softirqs: Softirqs) -> Softirqs:
    return {kind: softirqs[kind] for kind in PACKET_SOFTIRQS if kind in softirqs}
