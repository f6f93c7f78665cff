"""TCP connections put together by group: how many, how fast, how much was sent again, what held them back. Pure.

The values that a reading gives. Never one per socket: agent.socket_census puts sockets together as they are read.
"""

from dataclasses import dataclass

MINIMUM_SENT = {"bytes": 1_000_000, "segments": 1000}
"""What a group must have sent before its retransmit ratio is more than noise, by unit."""


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Nearest-rank quantiles over the sockets of a group at one moment."""

    minimum: float
    p50: float
    p90: float
    p99: float
    maximum: float


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a group's sockets did since the reading before.

    Counted are sockets that both readings saw, and those that began in between with all they did. What a socket
    did between its last reading and its end is not known. unit: "bytes" since Linux 4.19, "segments" before.
    The times are sums over sockets, None before Linux 4.10; rwnd_limited and sndbuf_limited are parts of busy.
    """

    unit: str
    sent: int
    retransmitted: int
    busy_seconds: float | None
    rwnd_limited_seconds: float | None
    sndbuf_limited_seconds: float | None

    def retransmit_ratio(self) -> float | None:
        """Retransmitted ÷ sent (which includes the retransmitted); None below MINIMUM_SENT."""
        if self.sent < MINIMUM_SENT[self.unit]:
            return None
        return self.retransmitted / self.sent

    def rwnd_limited_ratio(self) -> float | None:
        """Share of the busy time spent waiting for the peer's receive window; None without busy time."""
        return _share(self.rwnd_limited_seconds, self.busy_seconds)

    def sndbuf_limited_ratio(self) -> float | None:
        """Share of the busy time spent waiting for room in the own send buffer; None without busy time."""
        return _share(self.sndbuf_limited_seconds, self.busy_seconds)


@dataclass(frozen=True, slots=True)
class GroupReading:
    """One group at one reading. Quantiles are None where no socket had the figure.

    opened: sockets not seen at the reading before; closed: those seen then and no more; both None unless the two
    readings were whole. ssthresh_unset: sockets still in their first slow start. congestion: sockets by algorithm.
    traffic: None at the first reading, and where the kernel does not count (before Linux 4.2).
    """

    connections: int
    opened: int | None
    closed: int | None
    rtt_seconds: Quantiles | None
    min_rtt_seconds: Quantiles | None
    cwnd_segments: Quantiles | None
    ssthresh_segments: Quantiles | None
    delivery_rate_bits_per_second: Quantiles | None
    ssthresh_unset: int
    congestion: dict[str, int]
    traffic: Traffic | None


@dataclass(frozen=True, slots=True)
class SocketReading:
    """All groups at one reading. source: "inet_diag" or "ss".

    cut: the maximum of sockets was reached. interrupted: the kernel's tables changed while they were dumped, or a
    part of the dump was lost. Either way connections may be missing from the counts.
    """

    source: str
    sockets: int
    cut: bool
    interrupted: bool
    groups: dict[str, GroupReading]


def _share(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None
