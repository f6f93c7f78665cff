"""What is known of the route to one target, and when it has changed. Pure.

A load balancer's alternatives are one route: an address that was seen at its distance lately is no change, and a
new one is none while a known one still answers to some other flow. A silent hop says nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

REMEMBERED_RUNS = 20
"""An address not seen in so many traces is forgotten."""


@dataclass(slots=True)
class Hop:
    """All answers at one distance. codes: what unreachable messages said, as traceroute(8) marks it."""

    ttl: int
    sent: int = 0
    addresses: list[str] = field(default_factory=list)
    rtts_ns: list[int] = field(default_factory=list)
    received: int = 0
    codes: list[str] = field(default_factory=list)
    mtu_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """One trace. reached: the target itself answered at the last hop."""

    hops: Sequence[Hop]
    reached: bool

    @property
    def length(self) -> int | None:
        """Hops to the target, None where it did not answer."""
        return len(self.hops) if self.reached else None

    def addresses(self) -> dict[int, set[str]]:
        """Who answered at each distance, without the silent ones."""
        return {hop.ttl: set(hop.addresses) for hop in self.hops if hop.addresses}


class RouteMemory:
    """seen: by distance, the traces (counted) in which an address last answered there."""

    def __init__(self) -> None:
        self.runs = 0
        self.latest_s: int | None = None
        self._seen: dict[int, dict[str, int]] = {}
        self._lengths: dict[int, int] = {}

    @property
    def alternatives(self) -> dict[int, list[str]]:
        """Known addresses by distance."""
        return {ttl: sorted(addresses) for ttl, addresses in sorted(self._seen.items())}

    @property
    def length(self) -> int | None:
        """Hops to the target when it last answered, None where it never did."""
        return max(self._lengths, key=lambda length: self._lengths[length], default=None)

    def is_new(self, route: Route) -> bool:
        """Whether something in it was not seen lately, so that a closer look is due."""
        if route.length is not None and self._lengths and route.length not in self._lengths:
            return True
        return any(
            not addresses <= self._seen.get(ttl, {}).keys() for ttl, addresses in route.addresses().items()
        )

    def differs(self, routes: Iterable[Route]) -> bool:
        """Whether what all flows see now is another route: no known address, or no known length, is left somewhere."""
        routes = list(routes)
        now = merged(routes)
        lengths = {route.length for route in routes if route.length is not None}
        if self._lengths and lengths and not lengths & self._lengths.keys():
            return True
        return any(
            ttl in self._seen and not addresses & self._seen[ttl].keys() for ttl, addresses in now.items()
        )

    def forget(self) -> None:
        """A new route begins."""
        self._seen.clear()
        self._lengths.clear()

    def add(self, routes: Iterable[Route], wall_s: int) -> None:
        """These flows were seen in one trace."""
        self.runs += 1
        self.latest_s = wall_s
        routes = list(routes)
        for ttl, addresses in merged(routes).items():
            self._seen.setdefault(ttl, {}).update(dict.fromkeys(addresses, self.runs))
        self._lengths.update({route.length: self.runs for route in routes if route.length is not None})
        oldest = self.runs - REMEMBERED_RUNS
        self._lengths = {length: run for length, run in self._lengths.items() if run > oldest}
        for ttl in list(self._seen):
            self._seen[ttl] = {address: run for address, run in self._seen[ttl].items() if run > oldest}
            if not self._seen[ttl]:
                del self._seen[ttl]


def merged(routes: Iterable[Route]) -> Mapping[int, set[str]]:
    """Every address that answered at each distance."""
    found: dict[int, set[str]] = {}
    for route in routes:
        for ttl, addresses in route.addresses().items():
            found.setdefault(ttl, set()).update(addresses)
    return found
