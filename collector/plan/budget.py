"""How many bytes a test may move, and how many a node may move in a day and a month. Pure."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

from agent.wire.lease import Terms

HEADERS_RATIO = 1.06
"""Bytes on the wire per payload byte: Ethernet, IPv4 and TCP with timestamps at an MTU of 1500 (1514 / 1448), rounded up."""

LATENCY_BYTES_PER_SECOND = 5_000_000
"""Bound on qperf's tcp_lat: 30,000 round trips a second on a path of 33 µs, 2 × 66 bytes each, rounded up."""

DAYS_PER_MONTH = 30
DAY_S = 86400


@dataclass(frozen=True, slots=True)
class Budget:
    """What one node may move for tests, both directions together, in a calendar day and month (UTC)."""

    day_bytes: int
    month_bytes: int


def budget_of(transfer_allowance_bytes: int, ratio: float) -> Budget:
    """The share of a month's allowance that tests may use, and a thirtieth of that for each day."""
    month = int(transfer_allowance_bytes * ratio)
    return Budget(month // DAYS_PER_MONTH, month)


def most_bytes(terms: Terms) -> int:
    """What a test moves at the most, headers included."""
    if terms.kind == "qperf":
        return LATENCY_BYTES_PER_SECOND * terms.duration_seconds
    return wire_bytes(terms.bits_per_second * terms.duration_seconds // 8)


def wire_bytes(payload_bytes: int) -> int:
    """Payload with its headers."""
    return int(payload_bytes * HEADERS_RATIO)


class Usage:
    """Bytes by node and day, of tests that ran or may be running: reserved at the lease, settled when it ends."""

    def __init__(self) -> None:
        self._days: Counter[tuple[str, int]] = Counter()

    def add(self, node: str, at_s: int, size_bytes: int) -> None:
        """Bytes of a test that was leased at at_s; negative to give back what was not used."""
        self._days[node, at_s // DAY_S] += size_bytes

    def used(self, node: str, now_s: int) -> tuple[int, int]:
        """Bytes of this day and of this month so far."""
        today = now_s // DAY_S
        first = today - datetime.fromtimestamp(now_s, UTC).day + 1
        return self._days[node, today], sum(self._days[node, day] for day in range(first, today + 1))

    def refusal(self, node: str, budget: Budget, wanted_bytes: int, now_s: int) -> str | None:
        """Why a test of this size would be too much for the node; None when it fits."""
        day, month = self.used(node, now_s)
        for name, used, allowed in (("day", day, budget.day_bytes), ("month", month, budget.month_bytes)):
            if used + wanted_bytes > allowed:
                return f"{node}: over the {name}'s budget: {used:,} of {allowed:,} bytes used, {wanted_bytes:,} wanted"
        return None
