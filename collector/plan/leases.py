"""The leases that are out, and which nodes they hold. Pure: time comes in as seconds of one monotonic clock.

offered → ready → running → ended. The server is held from the offer until it says that nothing runs any more, or
until the time it was given is over; so is the client from the moment it was handed the lease. Both ends stop by
themselves within the time they were given, so a node that is not held here runs no test, whoever died meanwhile.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from agent.wire.lease import Terms

PREPARE_SECONDS = 10.0
"""For the server's agent to start its server and say so."""
START_SECONDS = 10.0
"""For the client's agent to take the lease; it usually waits for it."""
MARGIN_SECONDS = 10.0
"""Beyond the test's own duration: connecting, the client's deadline (6 s after the duration at most), SIGTERM's grace."""

Phase = Literal["offered", "ready", "running", "over"]


def run_seconds(terms: Terms) -> float:
    """How long a client may take."""
    return terms.duration_seconds + MARGIN_SECONDS


def longest_seconds(terms: Terms) -> float:
    """How long a lease can hold its server."""
    return PREPARE_SECONDS + START_SECONDS + run_seconds(terms)


@dataclass(slots=True)
class LeaseState:
    """One lease. *_until_s: when that end surely runs nothing any more; None while it runs nothing yet, or after."""

    id: str
    client: str
    server: str
    terms: Terms
    phase: Phase
    phase_until_s: float
    server_until_s: float | None
    client_until_s: float | None = None
    port: int | None = None

    def holds(self, node: str) -> bool:
        """Whether this node must not be in another test."""
        if node == self.server:
            return self.server_until_s is not None
        waiting = self.phase in ("offered", "ready")
        return node == self.client and (waiting or self.client_until_s is not None)


class LeaseTable:
    """quiet_until_s: before it nothing is leased, because nodes may still work on leases of an earlier process."""

    def __init__(self, quiet_until_s: float) -> None:
        self._quiet_until_s = quiet_until_s
        self._leases: dict[str, LeaseState] = {}

    def may_lease(self, node: str, now_s: float) -> bool:
        """Whether a new test may involve this node."""
        self._advance(now_s)
        return now_s >= self._quiet_until_s and not any(lease.holds(node) for lease in self._leases.values())

    def offer(self, lease_id: str, client: str, server: str, terms: Terms, now_s: float) -> LeaseState:
        """A new lease, for its server to prepare. Raises ValueError when a node is held or is both ends."""
        if client == server or not (self.may_lease(client, now_s) and self.may_lease(server, now_s)):
            raise ValueError(f"{client} and {server} cannot be leased now")
        lease = LeaseState(
            lease_id,
            client,
            server,
            terms,
            "offered",
            now_s + PREPARE_SECONDS,
            now_s + longest_seconds(terms),
        )
        self._leases[lease_id] = lease
        return lease

    def ready(self, lease_id: str, node: str, port: int, now_s: float) -> bool:
        """The server listens; False when that comes too late, or from somebody else."""
        lease = self._known(lease_id, now_s)
        if lease is None or lease.phase != "offered" or node != lease.server:
            return False
        lease.phase, lease.port, lease.phase_until_s = "ready", port, now_s + START_SECONDS
        return True

    def waiting_for_client(self, client: str, now_s: float) -> LeaseState | None:
        """The lease that this client may take now."""
        self._advance(now_s)
        return next((x for x in self._leases.values() if x.phase == "ready" and x.client == client), None)

    def hand_over(self, lease: LeaseState, now_s: float) -> None:
        """The client has been told and may start."""
        lease.phase = "running"
        lease.client_until_s = lease.phase_until_s = now_s + run_seconds(lease.terms)

    def ended(self, lease_id: str, node: str, now_s: float) -> LeaseState | None:
        """This end runs nothing any more, and a lease that had not begun is over. None when nobody waits for that."""
        lease = self._known(lease_id, now_s)
        if lease is None or node not in (lease.client, lease.server):
            return None
        if node == lease.server:
            lease.server_until_s = None
        else:
            lease.client_until_s = None
        if lease.phase in ("offered", "ready") or node == lease.client:
            lease.phase = "over"
        return lease

    def is_live(self, lease_id: str, node: str, now_s: float) -> bool:
        """Whether this server is still needed."""
        lease = self._known(lease_id, now_s)
        return lease is not None and lease.phase != "over" and node == lease.server

    def take_over(self, now_s: float) -> Iterator[LeaseState]:
        """Leases that hold nobody any more; each is given once and forgotten."""
        self._advance(now_s)
        for lease in list(self._leases.values()):
            if not lease.holds(lease.server) and not lease.holds(lease.client):
                del self._leases[lease.id]
                yield lease

    def _known(self, lease_id: str, now_s: float) -> LeaseState | None:
        self._advance(now_s)
        return self._leases.get(lease_id)

    def _advance(self, now_s: float) -> None:
        """What time alone ends."""
        for lease in self._leases.values():
            if lease.phase_until_s <= now_s:
                lease.phase = "over"
            if lease.server_until_s is not None and lease.server_until_s <= now_s:
                lease.server_until_s = None
            if lease.client_until_s is not None and lease.client_until_s <= now_s:
                lease.client_until_s = None
