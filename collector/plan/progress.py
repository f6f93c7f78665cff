"""Which paths are due for a test again, and what tests have moved so far. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from collector.plan.budget import Usage
from collector.plan.matching import Pair

RETRY_SECONDS = 900.0
"""Until a test that was refused, failed or never ended is tried again."""


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """One lease as the store keeps it. outcome: None while it may run, and for ever when nobody told of its end."""

    id: str
    kind: str
    client: str
    server: str
    leased_s: int
    outcome: str | None
    reason: str | None
    bytes: int


def pause_seconds(outcome: str | None, interval_seconds: float) -> float:
    """From a test to the next one of its path."""
    return interval_seconds if outcome == "ok" else min(RETRY_SECONDS, interval_seconds)


class Progress:
    """Made anew at each start from the leases in the store. usage: bytes by node and day."""

    def __init__(self) -> None:
        self.usage = Usage()
        self._open: dict[str, LeaseRecord] = {}
        self._next_s: dict[tuple[str, Pair], float] = {}

    def remember(self, lease: LeaseRecord, interval_seconds: float) -> None:
        """A lease, new or from the store; its bytes count from now on."""
        for node in (lease.client, lease.server):
            self.usage.add(node, lease.leased_s, lease.bytes)
        if lease.outcome is None:
            self._open[lease.id] = lease
        self._postpone(lease, lease.outcome, interval_seconds)

    def settle(self, lease_id: str, outcome: str, size_bytes: int, interval_seconds: float) -> None:
        """How it ended: what was reserved and not used is given back."""
        lease = self._open.pop(lease_id)
        for node in (lease.client, lease.server):
            self.usage.add(node, lease.leased_s, size_bytes - lease.bytes)
        self._postpone(lease, outcome, interval_seconds)

    def due(self, pairs: Iterable[Pair], kind: str, now_s: int) -> list[Pair]:
        """Those whose time has come, the longest overdue first; never tested ones before all, in the given order."""
        times = [(self._next_s.get((kind, pair), 0.0), pair) for pair in pairs]
        return [pair for time_s, pair in sorted((x for x in times if x[0] <= now_s), key=lambda x: x[0])]

    def is_due(self, pair: Pair, kind: str, now_s: int) -> bool:
        """Whether this path's time has come."""
        return self._next_s.get((kind, pair), 0.0) <= now_s

    def _postpone(self, lease: LeaseRecord, outcome: str | None, interval_seconds: float) -> None:
        pair = (lease.client, lease.server)
        self._next_s[lease.kind, pair] = lease.leased_s + pause_seconds(outcome, interval_seconds)
