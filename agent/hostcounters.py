"""One reading of this host's volatile counters: what changes from second to second, kept apart from facts.

Read at the interval of the passive readers for metrics, and at the ends of a minute for its quality flags.
A part that could not be read is None and its reason stands in `unreadable`.
"""

from dataclasses import dataclass, field

from agent.kernel.net_dev import DeviceCounters
from agent.kernel.softirqs import Softirqs
from agent.kernel.softnet import SoftnetCpu
from agent.kernel.stat import Stat


@dataclass(frozen=True, slots=True)
class Throttling:
    """The agent's own cgroup against its CPU quota, since the cgroup was made."""

    periods: int
    throttled_periods: int
    throttled_seconds: float


@dataclass(frozen=True, slots=True)
class Conntrack:
    """Connection tracking. drops: new flows refused since boot because the table was full, over all CPUs."""

    entries: int
    limit: int | None = None
    drops: int | None = None
    early_drops: int | None = None
    insert_failures: int | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes now, and pages swapped since boot."""

    total_bytes: int
    available_bytes: int | None
    swap_total_bytes: int | None
    swap_free_bytes: int | None
    pages_swapped_in: int | None
    pages_swapped_out: int | None


@dataclass(frozen=True, slots=True)
class ClockState:
    """The kernel's own view of its wall clock (adjtimex(2)). synchronised False: nothing disciplines it."""

    synchronised: bool
    offset_seconds: float
    estimated_error_seconds: float
    maximum_error_seconds: float
    frequency_ppm: float


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything volatile at one moment. wall_ns and mono_ns are read as close together as can be.

    allowance_exceeded: by interface, then by limit ("bw_in", "bw_out", "pps", "conntrack", "linklocal"): packets
    that the provider's shaper queued or dropped (Amazon's ENA driver); empty where no driver counts them.
    unreadable: reason by name of the part that is None.
    """

    wall_ns: int
    mono_ns: int
    stat: Stat | None = None
    throttling: Throttling | None = None
    softnet: tuple[SoftnetCpu, ...] | None = None
    softirqs: Softirqs | None = None
    conntrack: Conntrack | None = None
    memory: Memory | None = None
    interfaces: dict[str, DeviceCounters] | None = None
    allowance_exceeded: dict[str, dict[str, int]] = field(default_factory=dict)
    clock: ClockState | None = None
    unreadable: dict[str, str] = field(default_factory=dict)
