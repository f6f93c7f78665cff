"""What the collector tells one agent to measure: GET /v1/assignment, kept on the agent's disk."""

from typing import Annotated, Any

import msgspec

from agent.wire.series import Name

Seconds = Annotated[float, msgspec.Meta(gt=0, le=86400)]
PathSeconds = Annotated[float, msgspec.Meta(ge=0, le=60)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class ProbeSpec(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """One kind of probe towards one peer. options belong to the kind and are checked by the agent's own probe table."""

    kind: Name
    interval_seconds: Seconds = 10.0
    timeout_seconds: Seconds = 2.0
    options: dict[str, Any] = {}


class Peer(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """One destination. An address is a literal or a name to resolve; a family without one is not probed.

    floor_seconds: light's round trip in fibre; limit_seconds: what the SLA allows; None where unknown.
    """

    name: Name
    ipv4: str | None = None
    ipv6: str | None = None
    port: Port = 10981
    probes: tuple[ProbeSpec, ...] = (ProbeSpec("tcp"),)
    floor_seconds: PathSeconds | None = None
    limit_seconds: PathSeconds | None = None

    def __post_init__(self) -> None:
        if self.ipv4 is None and self.ipv6 is None:
            raise ValueError(f"peer {self.name} has neither an ipv4 nor an ipv6 address")


class Assignment(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """All of one node's work. max_probes_per_second caps what the agent may send, whatever the peers ask for."""

    node: Name
    peers: tuple[Peer, ...] = ()
    max_probes_per_second: Annotated[float, msgspec.Meta(gt=0, le=10000)] = 200.0
