"""What is known of one node: its facts, what its kernel counted, and what was measured on its paths.

Nothing here is guessed: what could not be read raises NotKnown when a rule asks for it, so that the rule is reported
as undecided, neither fine nor broken.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.advice.finding import Observed
from agent.wire.batch import Fact


class NotKnown(LookupError):  # noqa: N818 - an answer, not a fault
    """A rule asked for something that nobody could tell. The message names it and says why."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What the kernel counted between start_s and end_s (seconds since the epoch), named as in series of kind `kernel`.

    start_s None: since boot. source: for people. gauges: latest values, by name.
    """

    source: str
    start_s: int | None
    end_s: int
    counters: Mapping[str, int] = field(default_factory=dict)
    gauges: Mapping[str, float] = field(default_factory=dict)
    highest: Mapping[str, float] = field(default_factory=dict)
    """The largest value of a gauge over the time, where it is known."""

    def count(self, name: str) -> int:
        """That counter's increase. Raises NotKnown."""
        if name not in self.counters:
            raise NotKnown(f"counter {name}: not counted here ({self.source})")
        return self.counters[name]

    @property
    def seconds(self) -> int | None:
        """How long was counted; None: since boot."""
        return None if self.start_s is None else self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class PathEvidence:
    """One path from this node, in one family, over one time. Everything that was not measured is None.

    address: the peer's, where known. probe: which probe the latencies are of. samples: answered probes with a time; answered + lost give loss_ratio.
    limit_ns: what the SLA allows; floor_ns: twice light's time in fibre. throughput_bits_per_second: the most that a
    bandwidth test measured; loaded_p50_ns: round trip while such a test ran.
    segments_*, bytes_*: of this node's sockets with the peer (kernels since 4.19 count bytes); busy_, rwnd_limited_, sndbuf_limited_seconds: how long they had
    something to send, and waited for the peer's window or for their own buffer.
    closed_port: how a closed port answered: "rst", "icmp" or "silence". peer_certificate_key: "RSA", "EC", ….
    """

    destination: str
    family: str
    address: str | None = None
    probe: str = ""
    start_s: int | None = None
    end_s: int | None = None
    samples: int = 0
    answered: int = 0
    lost: int = 0
    min_ns: int | None = None
    p50_ns: float | None = None
    p99_ns: float | None = None
    floor_ns: int | None = None
    limit_ns: int | None = None
    path_mtu_bytes: int | None = None
    interface_mtu_bytes: int | None = None
    black_hole: bool | None = None
    icmp_seen: bool | None = None
    tcp_mss_bytes: int | None = None
    segments_sent: int | None = None
    segments_retransmitted: int | None = None
    bytes_sent: int | None = None
    bytes_retransmitted: int | None = None
    busy_seconds: float | None = None
    rwnd_limited_seconds: float | None = None
    sndbuf_limited_seconds: float | None = None
    cwnd_segments: float | None = None
    throughput_bits_per_second: float | None = None
    delivery_rate_bits_per_second: float | None = None
    loaded_p50_ns: float | None = None
    route_changes: int | None = None
    route_changed_s: int | None = None
    tls_protocol: str | None = None
    peer_certificate_key: str | None = None
    tls_handshake_p50_ns: float | None = None
    tls_resumed: bool | None = None
    closed_port: str | None = None
    nat: bool | None = None
    mapping_lifetime_seconds: float | None = None

    @property
    def name(self) -> str:
        """As evidence names it."""
        return f"path.{self.destination}.{self.family}"

    @property
    def loss_ratio(self) -> float | None:
        """Lost ÷ sent; None with fewer than MINIMUM_PROBES."""
        sent = self.answered + self.lost
        return self.lost / sent if sent >= MINIMUM_PROBES else None

    @property
    def retransmit_ratio(self) -> float | None:
        """Retransmitted ÷ sent by the sockets with the peer; None where unknown or below the minimum."""
        for sent, again, fewest in (
            (self.bytes_sent, self.bytes_retransmitted, MINIMUM_BYTES),
            (self.segments_sent, self.segments_retransmitted, MINIMUM_SEGMENTS),
        ):
            if sent is not None and again is not None and sent >= fewest:
                return again / sent
        return None

    @property
    def rate_bits_per_second(self) -> float | None:
        """The best known rate of the path: measured by a test, else as the kernel saw deliveries."""
        return self.throughput_bits_per_second or self.delivery_rate_bits_per_second

    @property
    def bdp_bytes(self) -> float | None:
        """Bandwidth-delay product: rate × median round trip."""
        if self.rate_bits_per_second is None or self.p50_ns is None:
            return None
        return self.rate_bits_per_second / 8 * self.p50_ns / 1e9

    def observed(self, figure: str, value: Any, source: str = "") -> Observed:
        """One figure of this path as evidence."""
        return Observed(f"{self.name}.{figure}", value, source or self.probe or "measured", self.end_s)


MINIMUM_PROBES = 200
"""Fewer say little of a loss of a few percent: at 200, none lost still allows 1.5% (rule of three)."""
MINIMUM_SEGMENTS = 1000
"""5% of fewer is fewer than 50 events."""
MINIMUM_BYTES = 1_000_000
"""About as many segments."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything known of one node. kernel: None where no counters are known. paths: from this node."""

    node: str
    facts: Mapping[str, Fact]
    kernel: Counted | None = None
    paths: tuple[PathEvidence, ...] = ()

    def get(self, name: str) -> Any | None:
        """A fact's value; None where it is not known."""
        fact = self.facts.get(name)
        return None if fact is None else fact.value

    def value(self, name: str) -> Any:
        """A fact's value. Raises NotKnown with the reason."""
        fact = self.facts.get(name)
        if fact is None:
            raise NotKnown(f"{name}: no such fact")
        if fact.value is None:
            raise NotKnown(f"{name}: {fact.reason}")
        return fact.value

    def integer(self, name: str) -> int:
        """A fact that is a number. Raises NotKnown."""
        value = self.value(name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise NotKnown(f"{name}: a number was expected, it is {value!r}")
        return value

    def integers(self, name: str, length: int) -> tuple[int, ...]:
        """A fact that is so many numbers, as tcp_rmem. Raises NotKnown."""
        value = self.value(name)
        if (
            not isinstance(value, list)
            or len(value) != length
            or not all(type(each) is int for each in value)
        ):
            raise NotKnown(f"{name}: {length} numbers were expected, it is {value!r}")
        return tuple(value)

    def text(self, name: str) -> str:
        """A fact that is a word or a line. Raises NotKnown."""
        value = self.value(name)
        if not isinstance(value, str):
            raise NotKnown(f"{name}: text was expected, it is {value!r}")
        return value

    def observed(self, *names: str) -> tuple[Observed, ...]:
        """Facts as evidence, with their source and time; those that are not known are left out."""
        found = [self.facts[name] for name in names if name in self.facts]
        return tuple(
            Observed(fact.name, fact.value, fact.source, fact.time_s)
            for fact in found
            if fact.value is not None
        )

    def counts(self) -> Counted:
        """The kernel's counters. Raises NotKnown."""
        if self.kernel is None:
            raise NotKnown("kernel counters: none were read")
        return self.kernel

    def counted(self, *names: str) -> tuple[Observed, ...]:
        """Counters as evidence; those that are not known are left out."""
        if self.kernel is None:
            return ()
        kernel = self.kernel
        span = "since boot" if kernel.seconds is None else f"in {kernel.seconds} s"
        return tuple(
            Observed(name, kernel.counters[name], f"{kernel.source}, {span}", kernel.end_s)
            for name in names
            if name in kernel.counters
        )

    def measured_paths(self) -> tuple[PathEvidence, ...]:
        """The paths. Raises NotKnown where none was measured."""
        if not self.paths:
            raise NotKnown("paths: none was measured")
        return self.paths

    def longest_ns(self) -> float:
        """The largest median round trip of any path. Raises NotKnown."""
        medians = [path.p50_ns for path in self.paths if path.p50_ns is not None]
        if not medians:
            raise NotKnown("round trips: no path was measured")
        return max(medians)

    def names_of(self, prefix: str, suffix: str) -> tuple[str, ...]:
        """What stands between prefix and suffix in facts' names: interfaces, for example."""
        return tuple(
            name[len(prefix) : len(name) - len(suffix)]
            for name in self.facts
            if name.startswith(prefix) and name.endswith(suffix) and len(name) > len(prefix) + len(suffix)
        )
