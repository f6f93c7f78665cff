"""What one probe run returns. Never leaves the agent: the ledger turns it into counts."""

from dataclasses import dataclass

from agent.wire.series import Family, Outcome


@dataclass(frozen=True, slots=True)
class Target:
    """Where one probe goes: a peer of the fleet by name, at one literal address.

    limit_ns: round-trip time that the SLA allows on this path; None where none is known.
    """

    destination: str
    family: Family
    address: str
    port: int
    limit_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """How one probe ended, with its round-trip time where there is one.

    rtt_ns: None unless the peer answered and the time can be trusted. detail: for people, why it ended so.
    """

    outcome: Outcome
    rtt_ns: int | None = None
    detail: str = ""
