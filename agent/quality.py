"""What this host itself did to a minute of measurement, from its counters at both ends. Pure.

A minute with a flag is kept, listed, and left out of the verdict: its delay or loss may be ours. A flag is there
only when its figure is over the threshold; a figure that cannot be known gives no flag and is no proof of health.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from agent.hostcounters import Reading
from agent.kernel.softnet import COUNTER_MODULUS, SoftnetCpu

NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Threshold:
    """When a figure spoils the minute. over: the largest clean value, of what `compared` names; figure: what is reported."""

    flag: str
    over: float
    compared: str
    figure: str
    reason: str


THRESHOLDS: dict[str, Threshold] = {
    threshold.flag: threshold
    for threshold in (
        Threshold(
            flag="steal_ratio",
            over=0.05,
            compared="stolen CPU time ÷ all CPU time",
            figure="the same ratio, 0 to 1",
            reason="the ratio at which the advice asks for another host; below it a woken process rarely waits",
        ),
        Threshold(
            flag="throttled_seconds",
            over=0.01,
            compared="time throttled ÷ length of the minute",
            figure="seconds in which the agent's cgroup was kept from running by its CPU quota",
            reason="P99 decides the verdict: 1% of the minute without a CPU can move it alone",
        ),
        Threshold(
            flag="schedule_delay_seconds",
            over=0.250,
            compared="99th percentile of how late the agent woke for its probes",
            figure="the same, in seconds",
            reason="the kernel's times do not depend on when the agent wakes (measured: no change at 25 ms), but an "
            "agent kept waiting this long shares its CPU with work that delays the kernel's receive path too",
        ),
        Threshold(
            flag="clock_step_seconds",
            over=0.010,
            compared="|wall clock's advance − monotonic clock's advance|",
            figure="the step, negative when the wall clock was set back",
            reason="frequency corrections move both clocks alike, so any difference is a step; reading two "
            "clocks in turn may be interrupted for a few milliseconds, and no time daemon steps by less than 10",
        ),
        Threshold(
            flag="softnet_dropped",
            over=0.001,
            compared="packets dropped by the receive backlog ÷ packets it saw",
            figure="packets dropped",
            reason="at 0.1% about one minute in eighty loses one of six probes to this host",
        ),
        Threshold(
            flag="conntrack_dropped",
            over=0.0,
            compared="new flows refused by a full connection table",
            figure="the same count",
            reason="every connecting probe is a new flow; the table refuses no old ones",
        ),
        Threshold(
            flag="allowance_exceeded",
            over=0.001,
            compared="packets over the instance's allowance ÷ packets of that interface",
            figure="packets queued or dropped by the provider's shaper, all interfaces",
            reason="as for softnet_dropped; link-local excess is left out, probes do not go there",
        ),
        Threshold(
            flag="own_test_seconds",
            over=0.0,
            compared="time in which an own bandwidth test ran",
            figure="the same, in seconds",
            reason="a bandwidth test fills the queues that the probes measure",
        ),
    )
}


def quality_flags(
    before: Reading,
    after: Reading,
    *,
    schedule_delay_seconds: float | None = None,
    own_test_seconds: float = 0.0,
) -> dict[str, float]:
    """Flag → figure, only those over their threshold; empty for a clean minute.

    before, after: readings at the minute's start and end. schedule_delay_seconds: 99th percentile of the
    wake-up delays in between, None if nothing was due. own_test_seconds: how long an own test overlapped it.
    Raises ValueError when after is not later than before on the monotonic clock.
    """
    elapsed_seconds = (after.mono_ns - before.mono_ns) / NS
    if elapsed_seconds <= 0:
        raise ValueError(f"the second reading must be later than the first, not {elapsed_seconds} s")
    steal = steal_ratio(before, after)
    throttled = throttled_seconds(before, after)
    step = clock_step_seconds(before, after)
    dropped, drop_ratio = _softnet_drops(before, after)
    exceeded, exceeded_ratio = _allowance_exceeded(before, after)
    refused = _conntrack_drops(before, after)
    candidates: tuple[tuple[str, float | None, float | None], ...] = (
        ("steal_ratio", steal, steal),
        ("throttled_seconds", throttled, None if throttled is None else throttled / elapsed_seconds),
        ("schedule_delay_seconds", schedule_delay_seconds, schedule_delay_seconds),
        ("clock_step_seconds", step, abs(step)),
        ("softnet_dropped", dropped, drop_ratio),
        ("conntrack_dropped", refused, refused),
        ("allowance_exceeded", exceeded, exceeded_ratio),
        ("own_test_seconds", own_test_seconds, own_test_seconds),
    )
    return {
        flag: figure
        for flag, figure, compared in candidates
        if figure is not None and compared is not None and compared > THRESHOLDS[flag].over
    }


def clock_step_seconds(before: Reading, after: Reading) -> float:
    """How far the wall clock was set (or the machine suspended) in between; negative when set back."""
    return ((after.wall_ns - before.wall_ns) - (after.mono_ns - before.mono_ns)) / NS


def steal_ratio(before: Reading, after: Reading) -> float | None:
    """Stolen ÷ all CPU time in between, over all CPUs; None where the kernel does not say or counters ran backwards."""
    if before.stat is None or after.stat is None:
        return None
    first, last = before.stat.total, after.stat.total
    if first.steal is None or last.steal is None:
        return None
    stolen, all_time = last.steal - first.steal, last.total - first.total
    return stolen / all_time if 0 <= stolen <= all_time and all_time > 0 else None


def throttled_seconds(before: Reading, after: Reading) -> float | None:
    """Time throttled in between; None without a quota's counters, or when the cgroup was replaced."""
    if before.throttling is None or after.throttling is None:
        return None
    seconds = after.throttling.throttled_seconds - before.throttling.throttled_seconds
    return seconds if seconds >= 0 else None


def _softnet_drops(before: Reading, after: Reading) -> tuple[float | None, float | None]:
    """Packets dropped, and their share of the packets seen, over the CPUs present in both readings."""
    if before.softnet is None or after.softnet is None:
        return None, None
    pairs = list(same_cpus(before.softnet, after.softnet))
    if not pairs:
        return None, None
    # unsigned 32-bit counters: the difference modulo 2**32 is right across one wrap
    dropped = sum((last.dropped - first.dropped) % COUNTER_MODULUS for first, last in pairs)
    processed = sum((last.processed - first.processed) % COUNTER_MODULUS for first, last in pairs)
    return float(dropped), dropped / (dropped + processed) if dropped else 0.0


def same_cpus(
    before: tuple[SoftnetCpu, ...], after: tuple[SoftnetCpu, ...]
) -> Iterable[tuple[SoftnetCpu, SoftnetCpu]]:
    """Lines of the same CPU. Without CPU numbers a line's place says which, unless a CPU came or went."""
    if all(line.cpu is not None for line in (*before, *after)):
        first = {line.cpu: line for line in before}
        return ((first[line.cpu], line) for line in after if line.cpu in first)
    return zip(before, after, strict=True) if len(before) == len(after) else ()


def _conntrack_drops(before: Reading, after: Reading) -> float | None:
    if before.conntrack is None or after.conntrack is None:
        return None
    first, last = before.conntrack.drops, after.conntrack.drops
    return float(last - first) if first is not None and last is not None and last >= first else None


def _allowance_exceeded(before: Reading, after: Reading) -> tuple[float | None, float | None]:
    """Packets over an allowance on all interfaces, and the worst interface's share of its packets."""
    if not after.allowance_exceeded:
        return None, None
    total, worst = 0, 0.0
    for interface, counts in after.allowance_exceeded.items():
        first = before.allowance_exceeded.get(interface, {})
        excess = sum(
            max(0, count - first[limit])
            for limit, count in counts.items()
            if limit in first and limit != "linklocal"
        )
        total += excess
        if excess:
            worst = max(worst, excess / max(_packets(before, after, interface), excess))
    return float(total), worst


def _packets(before: Reading, after: Reading, interface: str) -> int:
    """Packets of an interface in between; 0 when unknown, which makes any excess count in full."""
    first, last = (before.interfaces or {}).get(interface), (after.interfaces or {}).get(interface)
    if first is None or last is None:
        return 0
    return last.rx_packets + last.tx_packets - first.rx_packets - first.tx_packets
