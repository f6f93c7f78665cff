"""fleet.toml as it is written: one struct per table, checked each by itself. fleet.py resolves and joins them."""

from typing import Annotated

import msgspec

from agent.wire.assignment import Port
from agent.wire.lease import Kind, Terms
from agent.wire.series import Family, Name
from collector.contract import Application, Instant, SlaClass
from collector.groups import Group

Latitude = Annotated[float, msgspec.Meta(ge=-90, le=90)]
Longitude = Annotated[float, msgspec.Meta(ge=-180, le=180)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
Address = Annotated[str, msgspec.Meta(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9.:_%-]+$")]
Kilometres = Annotated[float, msgspec.Meta(ge=0, le=20_040)]


class Provider(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Who rents out the servers. contact: where a report goes. price_per_gigabyte: of 10**9 bytes sent."""

    name: Name
    contact: Text | None = None
    price_per_gigabyte: Annotated[float, msgspec.Meta(ge=0)] | None = None
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")] = "EUR"


class Site(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A place: coordinates, or an IATA code or city to look up, or none of these where nobody knows it."""

    name: Name
    region: Name | None = None
    latitude: Latitude | None = None
    longitude: Longitude | None = None
    iata: Annotated[str, msgspec.Meta(pattern="^[A-Za-z]{3}$")] | None = None
    city: Text | None = None
    uncertainty_km: Kilometres | None = None

    def __post_init__(self) -> None:
        if (self.latitude is None) != (self.longitude is None):
            raise ValueError("latitude and longitude are given together or not at all")
        ways = [w for w in (self.latitude, self.iata, self.city) if w is not None]
        if len(ways) > 1:
            raise ValueError("give one of: latitude and longitude, iata, city")
        if not ways and self.uncertainty_km is not None:
            raise ValueError("uncertainty_km needs latitude and longitude, iata or city beside it")


class Node(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One rented server. Addresses are literals or names to resolve; transfer_allowance_bytes is per month.

    overlay_of: this is no server but the overlay address (WireGuard, VXLAN, …) of that one: others measure it beside the
    server's own address, and an incident of the overlay alone is told from one of the way beneath.
    """

    name: Name
    provider: Name
    site: Name
    ipv4: Address | None = None
    ipv6: Address | None = None
    port: Port = 10981
    metrics_port: Port = 10980
    tags: tuple[Name, ...] = ()
    role: Name | None = None
    image: Text | None = None
    overlay_of: Name | None = None
    transfer_allowance_bytes: Annotated[int, msgspec.Meta(ge=1)] | None = None

    def __post_init__(self) -> None:
        if self.ipv4 is None and self.ipv6 is None:
            raise ValueError(f"node {self.name} needs an ipv4 or an ipv6 address, or both")

    @property
    def families(self) -> frozenset[Family]:
        """The address families it has an address of."""
        return frozenset(f for f, a in ((Family.IPV4, self.ipv4), (Family.IPV6, self.ipv6)) if a is not None)


class Override(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What is known better about one pair, in both directions: of nodes, or of all nodes at two sites.

    length_km: of the fibre, one way, in place of the geodesic. refractive_index: of that fibre.
    multiplier: in place of the class's.
    """

    nodes: tuple[Name, Name] | None = None
    sites: tuple[Name, Name] | None = None
    length_km: Annotated[float, msgspec.Meta(gt=0, le=200_000)] | None = None
    refractive_index: Annotated[float, msgspec.Meta(ge=1, le=3)] | None = None
    multiplier: Annotated[float, msgspec.Meta(ge=1, le=1000)] | None = None

    def __post_init__(self) -> None:
        if (self.nodes is None) == (self.sites is None):
            raise ValueError("give nodes or sites, two names")
        if self.length_km is None and self.refractive_index is None and self.multiplier is None:
            raise ValueError("give at least one of length_km, refractive_index, multiplier")

    @property
    def selector(self) -> tuple[str, ...]:
        """What it selects, as a key: the same for both orders of the pair."""
        if self.nodes is not None:
            return ("nodes", *sorted(self.nodes))
        return ("sites", *sorted(self.sites or ()))


class Maintenance(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Announced work, from start until just before end. Scope: any of the lists; the whole fleet where all are empty.

    It covers every path with at least one end in scope.
    """

    start: Instant
    end: Instant
    reason: Text
    providers: tuple[Name, ...] = ()
    sites: tuple[Name, ...] = ()
    nodes: tuple[Name, ...] = ()

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise ValueError("end must be later than start")


class Bandwidth(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Tests that the collector leases to pairs of nodes, each path once per interval_hours and kind.

    budget_ratio: the share of each node's transfer_allowance_bytes that tests may use; a node that states no
    allowance is in no test. bits_per_second: the most that iperf3 sends.
    """

    kinds: Annotated[tuple[Kind, ...], msgspec.Meta(min_length=1)] = ("iperf3",)
    interval_hours: Annotated[float, msgspec.Meta(ge=0.25, le=8760)] = 168.0
    duration_seconds: Annotated[int, msgspec.Meta(ge=1, le=60)] = 10
    bits_per_second: Annotated[int, msgspec.Meta(ge=100_000)] = 200_000_000
    budget_ratio: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.05

    @property
    def terms(self) -> tuple[Terms, ...]:
        """One for each kind, each kind once."""
        return tuple(
            Terms(kind, self.duration_seconds, self.bits_per_second) for kind in dict.fromkeys(self.kinds)
        )


class FleetDocument(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The whole file."""

    max_probes_per_second: Annotated[float, msgspec.Meta(gt=0, le=10_000)] = 200.0
    providers: tuple[Provider, ...] = ()
    sites: tuple[Site, ...] = ()
    nodes: tuple[Node, ...] = ()
    classes: tuple[SlaClass, ...] = ()
    applications: tuple[Application, ...] = ()
    overrides: tuple[Override, ...] = ()
    groups: tuple[Group, ...] = ()
    maintenance: tuple[Maintenance, ...] = ()
    bandwidth: Bandwidth | None = None
