"""PROBES: the one list of what the agent can measure.

A probe is one module behind one signature, `async run(burst)`: it probes all targets of the burst and calls
burst.record(target, sample) once for each. To add one: its module, one entry here.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from agent.probes import tcp
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
    """

    summary: str
    options: type[Any]
    run: Callable[[Burst], Awaitable[None]]
    time_source: TimeSource
    has_port: bool = True
    count: int = 10
    overlapping: bool = True
    measures: tuple[Measure, ...] = ()


PROBES: dict[str, Probe] = {
    "tcp": Probe("TCP handshake round trip, timed by the kernel.", tcp.Options, tcp.run, TimeSource.TCP_INFO),
}
