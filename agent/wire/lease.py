"""Leases of bandwidth tests: what the collector lets one node do, and what the node tells of it.

GET /v1/leases waits until there is a lease for the node that asks, or answers without one; POST /v1/leases/ID takes
a LeaseReport. Times are durations, never clock readings, because the clocks of nodes differ: a lease must be over
seconds_left after the collector answered, and the agent, which knows when it asked and is told how long the
collector waited, counts from no later than that.
"""

from typing import Annotated, Literal

import msgspec

from agent.wire.assignment import Port
from agent.wire.batch import Count
from agent.wire.series import Family, Name

LeaseId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}$")]
Kind = Literal["iperf3", "qperf"]
Duration = Annotated[float, msgspec.Meta(ge=0, le=3600)]

MOST_WAIT_SECONDS = 15.0


class Terms(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What may be done: iperf3 is TCP from client to server; qperf is the latency of TCP (tcp_lat).

    bits_per_second: the most that iperf3 may send; its server ends a test that sends more.
    """

    kind: Kind
    duration_seconds: Annotated[int, msgspec.Meta(ge=1, le=60)]
    bits_per_second: Annotated[int, msgspec.Meta(ge=1_000)]


class Lease(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """One node's part in one test. own_address and peer_address are as in the fleet file, names or literals.

    seconds_left: until everything the node started for it must have ended. start_seconds: how long a server waits
    for its client. port: where the peer listens, for a client only; qperf's data port is the one above it.
    """

    id: LeaseId
    role: Literal["server", "client"]
    peer: Name
    family: Family
    own_address: str
    peer_address: str
    terms: Terms
    seconds_left: Duration
    start_seconds: Duration = 0.0
    port: Port | None = None

    def __post_init__(self) -> None:
        if (self.role == "client") != (self.port is not None):
            raise ValueError("a client's lease has the server's port, a server's has none")


class LeaseAnswer(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The answer to GET /v1/leases. waited_seconds: between the request's arrival and this answer."""

    waited_seconds: Duration
    lease: Lease | None = None


class LeaseReport(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """What a node tells: ready (a server listens on port), refused (with the reason), or ended.

    ended means that nothing runs any more. outcome: how the client's test ended; bytes: payload it sent, None where
    nobody counted.
    """

    state: Literal["ready", "refused", "ended"]
    port: Port | None = None
    reason: Annotated[str, msgspec.Meta(max_length=500)] = ""
    outcome: Name | None = None
    bytes: Count | None = None

    def __post_init__(self) -> None:
        if (self.state == "ready") != (self.port is not None):
            raise ValueError("a port belongs to the state ready, and to no other")
