"""What happened between two readings of the kernel's network counters.

Counters belong to one network namespace and one boot; nothing can be subtracted across either. A counter that
fell has wrapped or was set back, and only where a wrap explains it is there a difference.
"""

from dataclasses import dataclass
from enum import StrEnum

from agent.kernel.netstat import Counters

_STATES = {
    "Ip": frozenset({"Forwarding", "DefaultTTL"}),
    "Tcp": frozenset({"RtoAlgorithm", "RtoMin", "RtoMax", "MaxConn", "CurrEstab"}),
    "MPTcpExt": frozenset({"MPCurrEstab"}),
}
"""What netstat and snmp print among the counters that is a setting or a state of the moment."""

_ALWAYS_COUNTING = (("Tcp", "OutSegs"), ("Tcp", "InSegs"), ("Ip", "InReceives"), ("IpExt", "InOctets"))
"""Counters that grow on any host that has a network. One of them set back means that all were."""

_EVENTS_PER_SECOND = 50_000_000
"""No host counts faster than this; a 32-bit counter that would have to have done so did not wrap."""

MINIMUM_SEGMENTS = 1000
"""Sent segments below which a retransmit ratio is noise: 5% of fewer is fewer than 50 events."""


class Discontinuity(StrEnum):
    """Why two readings cannot be compared."""

    BOOT = "boot"
    NAMESPACE = "namespace"
    RESET = "reset"
    CLOCK = "clock"


@dataclass(frozen=True, slots=True)
class CounterReading:
    """Counters of one moment. boot: the kernel's boot id. namespace: inode of /proc/self/ns/net."""

    mono_ns: int
    boot: str
    namespace: int
    counters: Counters


@dataclass(frozen=True, slots=True)
class Increments:
    """Events by {group: {counter: number}} over elapsed_seconds; a counter with no known difference is absent."""

    elapsed_seconds: float
    counters: Counters


def increments(before: CounterReading, after: CounterReading) -> Increments | Discontinuity:
    """What was counted from one reading to the other, or why that is not known."""
    if before.boot != after.boot:
        return Discontinuity.BOOT
    if before.namespace != after.namespace:
        return Discontinuity.NAMESPACE
    elapsed_seconds = (after.mono_ns - before.mono_ns) / 1e9
    if elapsed_seconds <= 0:
        return Discontinuity.CLOCK
    counted: dict[str, dict[str, int]] = {}
    for group, counters in after.counters.items():
        earlier, states = before.counters.get(group, {}), _STATES.get(group, frozenset())
        counted[group] = {}
        for name, value in counters.items():
            if name in states or name not in earlier:
                continue
            difference = counter_increase(earlier[name], value, elapsed_seconds)
            if difference is not None:
                counted[group][name] = difference
            elif (group, name) in _ALWAYS_COUNTING:
                return Discontinuity.RESET
    return Increments(elapsed_seconds, counted)


def counter_increase(before: int, after: int, elapsed_seconds: float) -> int | None:
    """after − before, across a wrap of 32 or 64 bits; None where the counter fell for another reason."""
    if after >= before:
        return int(after - before)
    for bits in (32, 64):
        wrapped = after - before + 2**bits
        if 2 ** (bits - 1) <= before < 2**bits and wrapped <= elapsed_seconds * _EVENTS_PER_SECOND:
            return int(wrapped)
    return None


def value(counters: Counters, group: str, *names: str) -> int | None:
    """The sum of these counters of a group; None unless each of them is there."""
    found = counters.get(group, {})
    figures = [found[name] for name in names if name in found]
    return sum(figures) if len(figures) == len(names) else None


def counts(group: str, name: str) -> bool:
    """Whether this only ever grows; False for a setting or a state of the moment."""
    return name not in _STATES.get(group, frozenset())


RETRANSMIT_KINDS: dict[str, tuple[str, ...]] = {
    "fast": ("TCPFastRetrans",),  # segments, in recovery: three duplicate ACKs, SACK or RACK
    "slow_start": ("TCPSlowStartRetrans",),  # segments, going back after a timeout
    "sack_recovery": ("TCPSackRecovery",),  # episodes of recovery
    "timeout": ("TCPTimeouts",),  # expiries of the retransmission timer, SYN included
    "tail_loss_probe": ("TCPLossProbes",),  # probes sent (RFC 8985, 7)
    "syn": ("TCPSynRetrans",),  # SYN and SYN-ACK segments
    "lost_again": ("TCPLostRetransmit",),  # retransmitted segments that were lost too
    "spurious_dsack": ("TCPDSACKRecv",),  # duplicate-SACKs: the peer had the segment already (RFC 3708)
    "spurious_eifel": ("TCPFullUndo", "TCPPartialUndo"),  # recoveries undone by timestamps (RFC 4015)
    "spurious_timeout": ("TCPSpuriousRTOs",),  # timeouts found needless by F-RTO (RFC 5682)
}
"""TcpExt counters by kind of retransmission. They overlap and differ in unit, so they do not add up to RetransSegs
(Documentation/networking/snmp_counter.rst)."""


def retransmits_by_kind(counters: Counters) -> dict[str, int | None]:
    """Totals or increments by the names of RETRANSMIT_KINDS; None where the kernel does not count that kind."""
    return {kind: value(counters, "TcpExt", *names) for kind, names in RETRANSMIT_KINDS.items()}


@dataclass(frozen=True, slots=True)
class TcpTrouble:
    """The counters that rules ask for, as totals or as increments; None where the kernel has no such counter.

    to_zero_window: times this host's window closed for a peer; from_zero_window: times it opened again;
    want_zero_window: times it should have closed but could not be taken back. window_probes_sent: a peer's window
    was closed to this host. pruned: the receive queue was cut for lack of buffer.
    """

    segments_sent: int | None
    segments_retransmitted: int | None
    to_zero_window: int | None
    from_zero_window: int | None
    want_zero_window: int | None
    window_probes_sent: int | None
    listen_overflows: int | None
    listen_drops: int | None
    syncookies_sent: int | None
    pruned: int | None
    collapsed: int | None
    memory_pressures: int | None
    aborts_on_memory: int | None

    def retransmit_ratio(self, minimum_segments: int = MINIMUM_SEGMENTS) -> float | None:
        """Retransmitted ÷ sent segments; None where unknown or with fewer segments sent than the minimum."""
        if self.segments_sent is None or self.segments_retransmitted is None:
            return None
        if self.segments_sent < max(minimum_segments, 1):
            return None
        return self.segments_retransmitted / self.segments_sent


def tcp_trouble(counters: Counters) -> TcpTrouble:
    """The named figures of {group: {counter: value}} of snmp and netstat together.

    OutSegs leaves out segments that carry only retransmitted bytes (RFC 4022, tcpOutSegs), so a ratio can pass 1.
    """
    return TcpTrouble(
        segments_sent=value(counters, "Tcp", "OutSegs"),
        segments_retransmitted=value(counters, "Tcp", "RetransSegs"),
        to_zero_window=value(counters, "TcpExt", "TCPToZeroWindowAdv"),
        from_zero_window=value(counters, "TcpExt", "TCPFromZeroWindowAdv"),
        want_zero_window=value(counters, "TcpExt", "TCPWantZeroWindowAdv"),
        window_probes_sent=value(counters, "TcpExt", "TCPWinProbe"),
        listen_overflows=value(counters, "TcpExt", "ListenOverflows"),
        listen_drops=value(counters, "TcpExt", "ListenDrops"),
        syncookies_sent=value(counters, "TcpExt", "SyncookiesSent"),
        pruned=value(counters, "TcpExt", "PruneCalled"),
        collapsed=value(counters, "TcpExt", "TCPRcvCollapsed"),
        memory_pressures=value(counters, "TcpExt", "TCPMemoryPressures"),
        aborts_on_memory=value(counters, "TcpExt", "TCPAbortOnMemory"),
    )
