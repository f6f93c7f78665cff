"""What one probe run returns. Never leaves the agent: the ledger turns it into counts."""

from dataclasses import dataclass

from agent.wire.series import Outcome, TimeSource


@dataclass(frozen=True, slots=True)
class Sample:
    """How one probe ended, with its round-trip time where there is one.

    rtt_ns: None unless the peer answered and the time can be trusted. detail: for people, why it ended so.
    """

    outcome: Outcome
    rtt_ns: int | None = None
    time_source: TimeSource = TimeSource.NONE
    detail: str = ""
