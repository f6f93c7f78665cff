"""PROBES: the one list of what the agent can measure.

A probe is one module behind one signature, `async run(burst)`: it probes all targets of the burst and calls
burst.record(target, sample) once for each. To add one: its module, one entry here.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from agent.probes import icmp, syn, tcp
from agent.sample import Burst
from agent.wire.series import TimeSource


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


@dataclass(frozen=True, slots=True)
class Probe:
    """options: the struct that a probe's `options` table is checked against; time_source: where its times come from.

    has_port: its target is HOST:PORT; count: how many a probe by hand sends unless told; overlapping: False for
    a probe that must have ended before the next one to the same peer starts (that one is then skipped).
    fleet_only: by hand it refuses targets that are no peers.
    """

    summary: str
    options: type[Any]
    run: Callable[[Burst], Awaitable[None]]
    time_source: TimeSource
    has_port: bool = True
    count: int = 10
    overlapping: bool = True
    measures: tuple[Measure, ...] = ()
    fleet_only: bool = False


def _after_the_outcome(probe: str) -> tuple[Measure, ...]:
    """What a packet probe counts of answers that decide nothing any more."""
    return (
        Measure(
            "duplicates", "counter", f"lightfloor_{probe}_duplicates_total", "Second answers to one probe."
        ),
        Measure(
            "late",
            "counter",
            f"lightfloor_{probe}_late_total",
            "Answers up to 30 s after the deadline, already counted as timeout.",
        ),
    )


PROBES: dict[str, Probe] = {
    "tcp": Probe("TCP handshake round trip, timed by the kernel.", tcp.Options, tcp.run, TimeSource.TCP_INFO),
    "syn": Probe(
        "SYN to SYN-ACK round trip of raw packets, timed by the kernel.",
        syn.Options,
        syn.run,
        TimeSource.KERNEL,
        fleet_only=True,
        measures=(
            *_after_the_outcome("syn"),
            Measure(
                "lossy_legs",
                "gauge",
                "lightfloor_syn_lossy_legs",
                "Fixed source ports that lose more than chance explains.",
            ),
            Measure(
                "worst_leg_loss_ratio",
                "gauge",
                "lightfloor_syn_worst_leg_loss_ratio",
                "Loss ratio of the fixed source port that loses most.",
            ),
        ),
    ),
    "icmp": Probe(
        "ICMP echo round trip, timed by the kernel.",
        icmp.Options,
        icmp.run,
        TimeSource.KERNEL,
        has_port=False,
        measures=(
            *_after_the_outcome("icmp"),
            Measure("ttl", "gauge", "lightfloor_icmp_ttl", "TTL or hop limit of the reply as it arrived."),
        ),
    ),
}
