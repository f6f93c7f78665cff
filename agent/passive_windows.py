"""What the kernel counted in a minute, as windows beside the probes': one series for each peer, one for the node. Pure.

Series of kind `sockets` go from the node to a peer, one for each family; the series of kind `kernel` goes from the
node to itself, and counts both families under ipv4, as the kernel does. Neither has outcomes or a round-trip time.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields

from agent.hostcounters import Reading
from agent.kernel.counters import Discontinuity, Increments, retransmits_by_kind, tcp_trouble
from agent.kernel.softirqs import COUNTER_MODULUS as SOFTIRQ_MODULUS
from agent.kernel.softirqs import busiest_share
from agent.kernel.softnet import COUNTER_MODULUS
from agent.quality import same_cpus, steal_ratio
from agent.sockets import GroupReading, Quantiles, SocketReading
from agent.wire.assignment import Peer
from agent.wire.batch import Window
from agent.wire.series import Family, SeriesKey, TimeSource

OWN_TEST = "own_test_seconds"
"""The one quality flag that passive windows carry: an own bandwidth test's segments are not the path's usual traffic.
Steal and the rest make times wrong; what was counted stays counted."""


def group_names(peer: Peer) -> dict[Family, str]:
    """The socket groups of a peer by family. The name of the peer itself stands for both (names have no slash)."""
    hosts = {Family.IPV4: peer.ipv4, Family.IPV6: peer.ipv6}
    own = [family for family, host in hosts.items() if host is not None]
    return {family: peer.name if len(own) == 1 else f"{peer.name}/{family}" for family in own}


class PassiveWindows:
    """Adds up readings until the minute closes. The latest reading's gauges stand for the minute."""

    def __init__(self) -> None:
        self._kernel: Counter[str] = Counter()
        self._traffic: dict[str, Counter[str]] = {}
        self._groups: dict[str, GroupReading] = {}
        self._tcp_memory_pages: int | None = None

    def add_counters(
        self, since: Increments | Discontinuity | None, states: Mapping[str, Mapping[str, int]]
    ) -> None:
        """TCP counters since the reading before, nothing where that is not known; states: sockstat's."""
        if isinstance(since, Increments):
            self._kernel.update(dict(kernel_counters(since)))
        self._tcp_memory_pages = states.get("TCP", {}).get("mem")

    def add_sockets(self, reading: SocketReading) -> None:
        """Sockets at one reading; traffic counts what was sent since the reading before."""
        for name, group in reading.groups.items():
            self._groups[name] = group
            if group.traffic is None:
                continue
            figures = self._traffic.setdefault(name, Counter())
            figures[f"{group.traffic.unit}_sent"] += group.traffic.sent
            figures[f"{group.traffic.unit}_retransmitted"] += group.traffic.retransmitted
            for part in ("busy", "rwnd_limited", "sndbuf_limited"):
                seconds = getattr(group.traffic, f"{part}_seconds")
                if seconds is not None:
                    figures[f"{part}_us"] += round(seconds * 1e6)

    def close(
        self,
        node: str,
        peers: Iterable[Peer],
        host: tuple[Reading, Reading],
        span: tuple[int, int],
        quality: Mapping[str, float],
    ) -> list[Window]:
        """The minute's windows; empty ones are left out. host: this host's counters at both ends; span: start, length in s."""
        flags = {OWN_TEST: quality[OWN_TEST]} if OWN_TEST in quality else {}
        start_s, length_s = span
        counters, gauges = _host_figures(*host)
        if self._tcp_memory_pages is not None:
            gauges["tcp_memory_pages"] = float(self._tcp_memory_pages)
        windows = [
            Window(
                SeriesKey(node, node, "kernel", Family.IPV4, TimeSource.NONE),
                start_s, length_s, {}, counters=dict(self._kernel) | counters, gauges=gauges, quality=flags,
            )
        ]  # fmt: skip
        for peer in peers:
            for family, name in group_names(peer).items():
                group = self._groups.get(name)
                if group is None or (not group.connections and not any(self._traffic.get(name, {}).values())):
                    continue
                key = SeriesKey(node, peer.name, "sockets", family, TimeSource.NONE)
                own = {figure: count for figure, count in self._traffic.get(name, {}).items() if count >= 0}
                windows.append(
                    Window(key, start_s, length_s, {}, counters=own, gauges=_gauges(group), quality=flags)
                )
        self._kernel.clear()
        self._traffic.clear()
        self._groups.clear()
        return [window for window in windows if window.counters or window.gauges]


def kernel_counters(since: Increments) -> Iterator[tuple[str, int]]:
    """The named figures of what was counted, as series of kind `kernel` carry them; absent where not counted."""
    trouble = tcp_trouble(since.counters)
    for field in fields(trouble):
        number = getattr(trouble, field.name)
        if number is not None:
            yield f"tcp_{field.name}", number
    for kind, number in retransmits_by_kind(since.counters).items():
        if number is not None:
            yield f"tcp_retransmits_{kind}", number


def _gauges(group: GroupReading) -> dict[str, float]:
    found = {"connections": float(group.connections), "ssthresh_unset": float(group.ssthresh_unset)}
    for figure in (
        "rtt_seconds",
        "min_rtt_seconds",
        "cwnd_segments",
        "ssthresh_segments",
        "delivery_rate_bits_per_second",
    ):
        quantiles: Quantiles | None = getattr(group, figure)
        if quantiles is not None:
            name, _, unit = (
                figure.rpartition("_")
                if figure.endswith(("_seconds", "_segments"))
                else ("delivery_rate", "", "bits_per_second")
            )
            found[f"{name}_p50_{unit}"] = quantiles.p50
    if group.min_rtt_seconds is not None:
        found["min_rtt_least_seconds"] = group.min_rtt_seconds.minimum
    found |= {f"congestion_{name}": float(count) for name, count in group.congestion.items() if name}
    return found


def _host_figures(before: Reading, after: Reading) -> tuple[dict[str, int], dict[str, float]]:
    """Counters of the minute and gauges at its end; what could not be read is absent."""
    counters = dict(_softnet(before, after)) | dict(_interfaces(before, after)) | dict(_swap(before, after))
    gauges = dict(_receiving(before, after))
    steal = steal_ratio(before, after)
    if steal is not None:
        gauges["steal_ratio"] = steal
    if after.conntrack is not None:
        gauges["conntrack_entries"] = float(after.conntrack.entries)
        if after.conntrack.limit is not None:
            gauges["conntrack_limit"] = float(after.conntrack.limit)
    if after.memory is not None:
        for name in ("total_bytes", "available_bytes", "swap_total_bytes", "swap_free_bytes"):
            size = getattr(after.memory, name)
            if size is not None:
                gauges[f"memory_{name}"] = float(size)
    if after.clock is not None and after.clock.synchronised:
        gauges["clock_maximum_error_seconds"] = after.clock.maximum_error_seconds
    return counters, gauges


def _softnet(before: Reading, after: Reading) -> Iterator[tuple[str, int]]:
    if before.softnet is None or after.softnet is None:
        return
    pairs = list(same_cpus(before.softnet, after.softnet))
    for figure in ("processed", "dropped", "time_squeeze"):
        rises = ((getattr(last, figure) - getattr(first, figure)) % COUNTER_MODULUS for first, last in pairs)
        yield f"softnet_{figure}", sum(rises)


def _receiving(before: Reading, after: Reading) -> Iterator[tuple[str, float]]:
    """How many receive soft interrupts ran, and the share of the busiest CPU; nothing where none ran."""
    first, last = ((reading.softirqs or {}).get("NET_RX", {}) for reading in (before, after))
    rises = {cpu: (last[cpu] - first[cpu]) % SOFTIRQ_MODULUS for cpu in first.keys() & last.keys()}
    busiest, seconds = busiest_share(rises), (after.mono_ns - before.mono_ns) / 1e9
    if busiest is not None and seconds > 0:
        yield "net_rx_busiest_cpu_ratio", busiest[1]
        yield "net_rx_per_second", sum(rises.values()) / seconds


def _interfaces(before: Reading, after: Reading) -> Iterator[tuple[str, int]]:
    """Sums over the interfaces that were there at both ends, loopback left out."""
    if before.interfaces is None or after.interfaces is None:
        return
    names = before.interfaces.keys() & after.interfaces.keys() - {"lo"}
    for figure in (
        "rx_packets",
        "tx_packets",
        "rx_dropped",
        "tx_dropped",
        "rx_errors",
        "tx_errors",
        "rx_bytes",
        "tx_bytes",
    ):
        rises = (
            getattr(after.interfaces[name], figure) - getattr(before.interfaces[name], figure)
            for name in names
        )
        yield f"interface_{figure}", sum(max(0, rise) for rise in rises)


def _swap(before: Reading, after: Reading) -> Iterator[tuple[str, int]]:
    if before.memory is None or after.memory is None:
        return
    for figure in ("pages_swapped_in", "pages_swapped_out"):
        first, last = getattr(before.memory, figure), getattr(after.memory, figure)
        if first is not None and last is not None and last >= first:
            yield figure, last - first
