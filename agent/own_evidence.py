"""Evidence of this host, or of a captured tree, without any collector: facts, counters since boot, spooled windows."""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from agent.advice.evidence import Counted, Evidence, PathEvidence
from agent.clock import SystemClock
from agent.hostcounters import Reading
from agent.hostfacts import collect
from agent.kernel.counters import Increments
from agent.kernel.parse_error import ParseError
from agent.kernel.softirqs import busiest_share
from agent.kernel.text import text_of
from agent.net.counter_reader import CounterReader
from agent.net.procfs import ProcRoot
from agent.net.tcp_counters import TcpCounterReader, TcpReading
from agent.passive_windows import OWN_TEST, kernel_counters
from agent.wire.batch import Window, WireError, decode
from agent.wire.histogram import Histogram
from agent.wire.series import ANSWERED, LOST, Family

LATENCY_PROBES = ("udp", "syn", "tcp", "icmp")
"""Whose round trips stand for the path, best first; latencies of two probes are never mixed."""

LEAST_LOADED_SAMPLES = 10


def own_evidence(root: Path, time_s: int, spool: Path | None = None) -> Evidence:
    """What is known here and now. root: "/" or a captured tree; time_s: now, seconds since the epoch.

    spool: folder of windows that the agent has closed and the collector does not have yet; None: no paths are judged.
    Raises NotADirectoryError when root is no folder.
    """
    facts = {fact.name: fact for fact in collect(root, time_s)}
    windows = [] if spool is None else list(spooled_windows(spool))
    name = windows[0].series.source if windows else _hostname(root)
    return Evidence(name, facts, _since_boot(ProcRoot(root), time_s), paths_of(windows))


def _hostname(root: Path) -> str:
    for path in ("proc/sys/kernel/hostname", "etc/hostname"):
        try:
            found = (root / path).read_text(errors="replace").strip()
        except OSError:
            continue
        if found:
            return found
    return "this-host"


def _since_boot(tree: ProcRoot, time_s: int) -> Counted | None:
    """The kernel's totals as increments from boot to now; None where not one file could be read."""
    tcp = TcpCounterReader(tree.read, SystemClock()).read()
    reader = CounterReader(tree, SystemClock())
    try:
        host = reader.read()
    finally:
        reader.close()
    uptime = _uptime_seconds(tree)
    counters = dict(kernel_counters(Increments(uptime or 0.0, tcp.totals.counters)))
    counters |= _host_totals(host)
    gauges = _gauges(host, tcp, uptime)
    if not counters and not gauges:
        return None
    start_s = None if uptime is None else time_s - int(uptime)
    return Counted(
        "proc/net/snmp, proc/net/netstat, proc/net/softnet_stat", start_s, time_s, counters, gauges
    )


def _uptime_seconds(tree: ProcRoot) -> float | None:
    try:
        return float(text_of("proc/uptime", tree.read("proc/uptime")).split()[0])
    except (OSError, ParseError, ValueError, IndexError):
        return None


def _host_totals(host: Reading) -> dict[str, int]:
    totals = {}
    if host.softnet is not None:
        for figure in ("processed", "dropped", "time_squeeze"):
            totals[f"softnet_{figure}"] = sum(getattr(cpu, figure) for cpu in host.softnet)
    if host.memory is not None:
        for figure in ("pages_swapped_in", "pages_swapped_out"):
            count = getattr(host.memory, figure)
            if count is not None:
                totals[figure] = count
    return totals


def _gauges(host: Reading, tcp: TcpReading, uptime: float | None) -> dict[str, float]:
    gauges = {}
    if host.stat is not None and host.stat.total.steal is not None and host.stat.total.total:
        gauges["steal_ratio"] = host.stat.total.steal / host.stat.total.total
    receiving = (host.softirqs or {}).get("NET_RX", {})
    busiest = busiest_share(receiving)
    if busiest is not None and uptime:
        gauges["net_rx_busiest_cpu_ratio"] = busiest[1]
        gauges["net_rx_per_second"] = sum(receiving.values()) / uptime
    pages = tcp.states.get("TCP", {}).get("mem")
    if pages is not None:
        gauges["tcp_memory_pages"] = float(pages)
    return gauges


def spooled_windows(spool: Path) -> Iterator[Window]:
    """Windows of every batch below the folder; a batch that the disk damaged is left out. Raises OSError."""
    for path in sorted(spool.glob("*.json.gz")):
        try:
            yield from decode(gzip.decompress(path.read_bytes())).windows
        except (WireError, gzip.BadGzipFile, EOFError, zlib.error, FileNotFoundError):
            continue


def paths_of(windows: Iterable[Window]) -> tuple[PathEvidence, ...]:
    """One PathEvidence for each peer and family; minutes with quality flags give neither latencies nor losses."""
    by_path: dict[tuple[str, Family], list[Window]] = {}
    for window in windows:
        if window.series.source != window.series.destination:
            by_path.setdefault((window.series.destination, window.series.family), []).append(window)
    return tuple(_path(destination, family, found) for (destination, family), found in by_path.items())


def _path(destination: str, family: Family, windows: list[Window]) -> PathEvidence:
    probe, latency = _latency(windows)
    clean = [window for window in windows if window.series.probe == probe and not window.quality]
    answered = sum(window.outcomes.get(outcome, 0) for window in clean for outcome in ANSWERED)
    lost = sum(window.outcomes.get(outcome, 0) for window in clean for outcome in LOST)
    counted = _counters(windows, "sockets")
    mtu, nat, sockets, bandwidth = (
        _last_gauges(windows, kind) for kind in ("mtu", "nat", "sockets", "iperf3")
    )
    handshake = Histogram()
    for window in windows:
        if window.series.probe == "tls" and "tls_handshake_ns" in window.times:
            handshake.merge(window.times["tls_handshake_ns"])
    limits = [window.limit_ns for window in clean if window.limit_ns is not None]
    return PathEvidence(
        destination, family.value, None, probe,
        start_s=min(w.start_s for w in windows), end_s=max(w.start_s + w.length_s for w in windows),
        samples=latency.count, answered=answered, lost=lost, min_ns=latency.min_ns,
        p50_ns=latency.quantile_ns(0.5), p99_ns=latency.quantile_ns(0.99), limit_ns=limits[-1] if limits else None,
        path_mtu_bytes=_whole(mtu.get("path_mtu_bytes")), interface_mtu_bytes=_whole(mtu.get("interface_mtu_bytes")),
        black_hole=_truth(mtu.get("black_hole")), icmp_seen=_truth(mtu.get("icmp_seen")),
        tcp_mss_bytes=_whole(mtu.get("tcp_mss_bytes")),
        bytes_sent=counted.get("bytes_sent"), bytes_retransmitted=counted.get("bytes_retransmitted"),
        segments_sent=counted.get("segments_sent"), segments_retransmitted=counted.get("segments_retransmitted"),
        busy_seconds=_seconds(counted.get("busy_us")), rwnd_limited_seconds=_seconds(counted.get("rwnd_limited_us")),
        sndbuf_limited_seconds=_seconds(counted.get("sndbuf_limited_us")),
        cwnd_segments=sockets.get("cwnd_p50_segments"),
        throughput_bits_per_second=bandwidth.get("forward_bits_per_second"),
        delivery_rate_bits_per_second=sockets.get("delivery_rate_p50_bits_per_second"),
        loaded_p50_ns=_loaded_p50_ns(windows, probe),
        tls_handshake_p50_ns=handshake.quantile_ns(0.5), tls_resumed=_truth(_last_gauges(windows, "tls").get("resumed")),
        nat=_truth(nat.get("nat")), mapping_lifetime_seconds=nat.get("mapping_lifetime_seconds"),
    )  # fmt: skip


def _latency(windows: list[Window]) -> tuple[str, Histogram]:
    """The best latency probe of these windows and its round trips in clean minutes."""
    kinds = {window.series.probe for window in windows}
    for probe in LATENCY_PROBES:
        if probe in kinds:
            merged = Histogram()
            for window in windows:
                if window.series.probe == probe and not window.quality:
                    merged.merge(window.rtt)
            return probe, merged
    return "", Histogram()


def _loaded_p50_ns(windows: list[Window], probe: str) -> float | None:
    """The median of samples taken while an own bandwidth test ran.

    A test is shorter than its minute: these are the slowest of the minute's samples, as many as the test's share of it.
    """
    merged, test_s, length_s = Histogram(), 0.0, 0
    for window in windows:
        if window.series.probe == probe and window.quality.keys() == {OWN_TEST}:
            merged.merge(window.rtt)
            test_s += window.quality[OWN_TEST]
            length_s += window.length_s
    share = min(1.0, test_s / length_s) if length_s else 0.0
    return merged.quantile_ns(1 - share / 2) if merged.count * share >= LEAST_LOADED_SAMPLES else None


def _counters(windows: list[Window], probe: str) -> dict[str, int]:
    """Sums over minutes without an own bandwidth test, whose segments are not the path's usual traffic."""
    sums: dict[str, int] = {}
    for window in windows:
        if window.series.probe == probe and OWN_TEST not in window.quality:
            for name, count in window.counters.items():
                sums[name] = sums.get(name, 0) + count
    return sums


def _last_gauges(windows: list[Window], probe: str) -> dict[str, float]:
    gauges: dict[str, float] = {}
    for window in windows:
        if window.series.probe == probe:
            gauges |= window.gauges
    return gauges


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _truth(value: float | None) -> bool | None:
    return None if value is None else bool(value)


def _seconds(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / 1e6
