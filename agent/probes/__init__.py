"""PROBES: the one list of what the agent can measure.

A probe is one module behind one signature, `run(options, timeout_seconds, targets, network, record)`: it probes
all targets of a burst and calls record(target, sample) once for each. To add one: its module, one line here.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from agent.probes import tcp
from agent.wire.series import TimeSource

Run = Callable[..., Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Probe:
    """options: the struct that a probe's `options` table is checked against; time_source: where its times come from."""

    options: type[Any]
    run: Run
    time_source: TimeSource


PROBES: dict[str, Probe] = {
    "tcp": Probe(tcp.Options, tcp.run, TimeSource.TCP_INFO),
}
