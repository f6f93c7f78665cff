"""What goes into a probe and what comes out of it. Never leaves the agent: the ledger turns it into counts."""

import errno
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from agent.wire.series import Family, Outcome

if TYPE_CHECKING:
    from agent.net.network import Network

REFUSED_ERRNO = errno.ECONNREFUSED
UNREACHABLE_ERRNOS = frozenset(
    {
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.ENETDOWN,
        errno.ENOPROTOOPT,
        errno.EACCES,
        errno.EPERM,
    }
)
"""What the kernel reports for ICMP errors, a missing route and a firewall that lets nothing out."""


class Target(msgspec.Struct, frozen=True):
    """Where one probe goes: a peer of the fleet by name, at one literal address.

    limit_ns: round-trip time that the SLA allows on this path; None where none is known.
    """

    destination: str
    family: Family
    address: str
    port: int
    limit_ns: int | None = None


class Sample(msgspec.Struct, frozen=True):
    """How one probe ended, with its round-trip time where there is one.

    rtt_ns: None unless the peer answered and the time can be trusted. detail: for people, why it ended so.
    result: what else the probe found, JSON-ready, by the names of its measures and any further ones.
    """

    outcome: Outcome
    rtt_ns: int | None = None
    detail: str = ""
    result: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Burst:
    """One call of a probe: probe every target, and call record(target, sample) once for each.

    memory: what this probe remembers of a target from burst to burst (a session, the last known MTU); the
    runner forgets targets that left. event(target, kind, detail): something to keep as evidence, detail JSON-ready.
    """

    options: Any
    timeout_seconds: float
    targets: Sequence[Target]
    network: "Network"
    record: Callable[[Target, Sample], None]
    event: Callable[[Target, str, Mapping[str, Any]], None]
    memory: MutableMapping[Target, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that a probe finds beside its round-trip time, by its key in Sample.result.

    kind: "gauge" keeps the latest number (booleans as 0 and 1), "counter" adds up, "time" is a duration in
    integer nanoseconds that goes into a histogram of its own. metric: its family on /metrics, with the unit.
    """

    name: str
    kind: Literal["gauge", "counter", "time"]
    metric: str
    help: str
