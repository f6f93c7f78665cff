"""Five cities on four continents and a collector, for demonstrations and end-to-end tests.

One-way delays are light's time in fibre over the geodesic times an inflation per pair: the ratio of the lowest
measured round trip to that floor between public test servers in these cities (WonderProxy's published pings,
2020), so some pairs keep within twice the floor and some do not. Jitter and loss are of the size seen there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from geographiclib.geodesic import Geodesic

from lab.link import ManagementLink
from lab.node import Node
from lab.path import Hop
from lab.world import World

COLLECTOR = "collector"
_FIBRE_METRES_PER_MS = 299_792.458 / 1.468
_METRO_DELAY_MS = 0.4  # between two data centres of one city
_LOSS = 0.0002

# name: (provider, region, city, latitude, longitude)
_SITES = {
    "frankfurt": ("alder", "europe", "Frankfurt am Main", 50.1167, 8.6833),
    "newyork": ("alder", "america", "New York", 40.7269, -73.6497),
    "singapore": ("birch", "asia", "Singapore", 1.3667, 103.75),
    "saopaulo": ("cedar", "america", "São Paulo", -23.55, -46.6333),
    "tokyo": ("birch", "asia", "Tokyo", 35.6833, 139.7667),
    COLLECTOR: ("cedar", "europe", "Frankfurt am Main", 50.1167, 8.6833),
}
_INFLATION = {
    ("frankfurt", "newyork"): 1.36,
    ("frankfurt", "singapore"): 1.49,
    ("frankfurt", "saopaulo"): 1.99,
    ("frankfurt", "tokyo"): 2.42,
    ("newyork", "singapore"): 1.62,
    ("newyork", "saopaulo"): 1.69,
    ("newyork", "tokyo"): 1.66,
    ("singapore", "saopaulo"): 2.39,
    ("singapore", "tokyo"): 1.45,
    ("saopaulo", "tokyo"): 1.55,
}


@dataclass(frozen=True, slots=True)
class Member:
    """A node as a fleet file describes it; coordinates in degrees."""

    name: str
    provider: str
    region: str
    city: str
    latitude: float
    longitude: float
    address: str
    address6: str


@dataclass(frozen=True, slots=True)
class Cities:
    """The world, its five members to probe each other, and the collector with its wire to this machine."""

    world: World
    fleet: tuple[Member, ...]
    collector: Node
    management: ManagementLink


@contextmanager
def five_cities(seed: int = 1) -> Iterator[Cities]:
    """Build them; the collector stands in Frankfurt, a node of the same WAN, reachable from every city."""
    with World(list(_SITES), seed=seed) as world:
        names = list(_SITES)
        for index, one in enumerate(names):
            for other in names[index + 1 :]:
                delay_ms = one_way_ms(one, other)
                world.both(
                    one,
                    other,
                    delay_ms=delay_ms,
                    jitter_ms=0.1 + delay_ms / 500,
                    jitter_shape="exponential",
                    loss=_LOSS,
                    hops=_hops(names.index(one), names.index(other)),
                )
        fleet = tuple(
            Member(name, *_SITES[name], world[name].address, world[name].address6)
            for name in names
            if name != COLLECTOR
        )
        yield Cities(world, fleet, world[COLLECTOR], world.management_link(COLLECTOR))


def one_way_ms(one: str, other: str) -> float:
    """The delay of a direction before jitter, milliseconds. The collector's is Frankfurt's and a little more."""
    if COLLECTOR in (one, other):
        city = other if one == COLLECTOR else one
        return _METRO_DELAY_MS + (0.0 if city == "frankfurt" else one_way_ms("frankfurt", city))
    inflation = _INFLATION.get((one, other)) or _INFLATION[other, one]
    (*_, latitude, longitude), (*_, latitude2, longitude2) = _SITES[one], _SITES[other]
    metres = Geodesic.WGS84.Inverse(latitude, longitude, latitude2, longitude2)["s12"]
    return metres / _FIBRE_METRES_PER_MS * inflation


def _hops(one: int, other: int) -> tuple[Hop, ...]:
    """The provider's edge, its transit, the other's transit (two load-balanced routers) and edge."""

    def router(site: int, *numbers: int) -> tuple[str, ...]:
        both = ((f"198.19.{site}.{number}", f"2001:2:0:ff{site:02x}::{number}") for number in numbers)
        return tuple(address for pair in both for address in pair)

    return (
        Hop(addresses=router(one, 1), share=0.004),
        Hop(addresses=router(one, 2), share=0.006),
        Hop(addresses=router(other, 2, 3), share=0.98),
        Hop(addresses=router(other, 1), share=0.006),
    )
