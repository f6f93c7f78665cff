"""Which stated locations cannot be true, by round trips shorter than light in fibre allows. Pure.

A pair below its floor contradicts one of its two places. The smallest set of nodes that has an end of every such pair
explains them all (a minimum vertex cover); where each of those really lies is bounded by its round trips to the others.
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from collector.fleet import Fleet
from collector.floor import LIGHT_KM_PER_SECOND, REFRACTIVE_INDEX, Coordinates
from collector.sla import PathVerdict

EARTH_RADIUS_KM = 6371.0
ELLIPSOID_SLACK = 1.006
"""A great circle on the sphere is up to 0.6% shorter or longer than the geodesic on WGS-84."""
MOST_SETS = 200_000
"""Sets of nodes that are tried for the smallest one."""
MOST_ALTERNATIVES = 5
COARSE_POINTS, FINE_POINTS = 20_000, 20_000
MOST_RADIUS_KM = 5000.0
"""A larger region tells nobody where a server is."""


@dataclass(frozen=True, slots=True)
class PairMinimum:
    """The least round trip of a pair in either direction. lowest_seconds: the floor if both stand as near as is uncertain."""

    a: str
    b: str
    min_seconds: float
    lowest_seconds: float
    floor_seconds: float


class Contradiction(msgspec.Struct, frozen=True):
    """A pair that is faster than light in fibre."""

    other: str
    min_seconds: float
    floor_seconds: float


class Region(msgspec.Struct, frozen=True):
    """Where a node can be: within radius_km of this point."""

    latitude: float
    longitude: float
    radius_km: float


class Suspect(msgspec.Struct, frozen=True):
    """A node whose stated place is wrong. pairs: that prove it; region: None with the reason why it cannot be told."""

    node: str
    latitude: float
    longitude: float
    pairs: tuple[Contradiction, ...]
    region: Region | None
    reason: str | None


class Audit(msgspec.Struct, frozen=True):
    """contradictions: pairs below their floor. exact: no smaller set of suspects explains them all.

    alternatives: other sets of the same size, at most five; with any, these data do not decide between them.
    """

    pairs: int
    contradictions: int
    suspects: tuple[Suspect, ...]
    exact: bool
    alternatives: tuple[tuple[str, ...], ...]


def audit(places: Mapping[str, Coordinates], pairs: Iterable[PairMinimum]) -> Audit:
    """Audit the places by the pairs; of several pairs of the same two nodes the least time counts."""
    least: dict[tuple[str, str], PairMinimum] = {}
    for pair in pairs:
        key = (min(pair.a, pair.b), max(pair.a, pair.b))
        if pair.a != pair.b and (key not in least or pair.min_seconds < least[key].min_seconds):
            least[key] = pair
    broken = {key: pair for key, pair in least.items() if pair.min_seconds < pair.lowest_seconds}
    cover, others, exact = smallest_cover(list(broken))
    suspects = tuple(_suspect(node, places, least, broken, set(cover)) for node in cover)
    return Audit(len(least), len(broken), suspects, exact, others)


def pairs_measured(
    fleet: Fleet, rows: Iterable[PathVerdict]
) -> tuple[dict[str, Coordinates], list[PairMinimum]]:
    """The nodes' stated places and the least times between them, for audit: of nodes with known places only."""
    sites = {name: fleet.coordinates[node.site] for name, node in fleet.nodes.items()}
    places = {name: place for name, place in sites.items() if place is not None}
    pairs = [
        PairMinimum(
            row.source, row.destination, row.min_seconds, row.floor.lowest_seconds, row.floor.floor_seconds
        )
        for row in rows
        if row.floor is not None
        and row.min_seconds is not None
        and {row.source, row.destination} <= places.keys()
    ]
    return places, pairs


def smallest_cover(
    edges: Sequence[tuple[str, str]],
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...], bool]:
    """A smallest set with an end of each edge, other sets of that size, and whether it is known to be smallest.

    Parts that share no node are looked at apart, and in each all sets in order of size, up to MOST_SETS; beyond, the
    node with most open edges is taken first. Of several smallest sets the one whose nodes have most edges comes
    first: one liar is likelier than its neighbours.
    """
    chosen: list[str] = []
    alternatives: list[tuple[set[str], tuple[str, ...]]] = []
    exact = True
    for part in _parts(edges):
        found = _smallest_sets(part)
        if not found:
            exact = False
            found = [_greedy(part)]
        chosen += found[0]
        alternatives += [(set(found[0]), other) for other in found[1:]]
    others = [tuple(sorted({*chosen} - mine | {*other})) for mine, other in alternatives[:MOST_ALTERNATIVES]]
    return tuple(sorted(chosen)), tuple(others), exact


def _parts(edges: Sequence[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """Edges that hang together."""
    parts: list[tuple[set[str], list[tuple[str, str]]]] = []
    for edge in sorted(edges):
        mine = [part for part in parts if part[0] & {*edge}]
        parts = [part for part in parts if not part[0] & {*edge}]
        nodes = {*edge}.union(*(part[0] for part in mine))
        parts.append((nodes, [edge, *(each for part in mine for each in part[1])]))
    return [part[1] for part in parts]


def _smallest_sets(edges: Sequence[tuple[str, str]]) -> list[tuple[str, ...]]:
    """All smallest sets; none where there are too many to try."""
    degree = Counter(end for edge in edges for end in edge)
    nodes, tried = sorted(degree, key=lambda node: (-degree[node], node)), 0
    for size in range(1, len(nodes)):
        tried += math.comb(len(nodes), size)
        if tried > MOST_SETS:
            return []
        found = [
            chosen
            for chosen in itertools.combinations(nodes, size)
            if all(a in chosen or b in chosen for a, b in edges)
        ]
        if found:
            return sorted(found, key=lambda chosen: (-sum(degree[node] for node in chosen), chosen))
    return []


def _greedy(edges: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    left, chosen = set(edges), []
    while left:
        degree = Counter(end for edge in left for end in edge)
        worst = min(degree, key=lambda node: (-degree[node], node))
        chosen.append(worst)
        left = {edge for edge in left if worst not in edge}
    return tuple(sorted(chosen))


def _suspect(
    node: str,
    places: Mapping[str, Coordinates],
    least: Mapping[tuple[str, str], PairMinimum],
    broken: Mapping[tuple[str, str], PairMinimum],
    suspects: set[str],
) -> Suspect:
    bounds = []
    for (a, b), pair in least.items():
        if node in (a, b):
            other = b if node == a else a
            if other not in suspects:
                reach_km = pair.min_seconds * LIGHT_KM_PER_SECOND / REFRACTIVE_INDEX / 2
                bounds.append((places[other], reach_km))
    region, reason = region_of(bounds)
    proof = [
        Contradiction(b if node == a else a, pair.min_seconds, pair.floor_seconds)
        for (a, b), pair in broken.items()
        if node in (a, b)
    ]
    proof.sort(key=lambda pair: (pair.min_seconds / pair.floor_seconds, pair.other))
    return Suspect(node, places[node].latitude, places[node].longitude, tuple(proof), region, reason)


def region_of(bounds: Sequence[tuple[Coordinates, float]]) -> tuple[Region | None, str | None]:
    """Where something within these distances (km) of these places can be, or why that cannot be told."""
    if not bounds:
        return None, "cannot tell: no node with a believable place has measured it"
    centres = _unit([place.latitude for place, _ in bounds], [place.longitude for place, _ in bounds])
    reach = np.array([(km + place.uncertainty_km) * ELLIPSOID_SLACK for place, km in bounds])
    nearest = int(np.argmin(reach))
    # every feasible point lies within the tightest bound: sampling that cap is sampling them all
    points = _cap(centres[nearest], min(reach[nearest] / EARTH_RADIUS_KM, np.pi), COARSE_POINTS)
    inside = points[_feasible(points, centres, reach)]
    if not len(inside):
        return (
            None,
            "cannot tell: no place on Earth is near enough to all that measured it, so another place is wrong too",
        )
    middle = _mean(inside)
    spread = float(np.arccos(np.clip(inside @ middle, -1, 1)).max())
    points = _cap(middle, min(spread * 1.1 + 1e-4, np.pi), FINE_POINTS)
    finer = points[_feasible(points, centres, reach)]
    inside = finer if len(finer) else inside
    middle = _mean(inside)
    radius_km = float(np.arccos(np.clip(inside @ middle, -1, 1)).max()) * EARTH_RADIUS_KM
    if radius_km > MOST_RADIUS_KM:
        return None, f"cannot tell: anywhere within {radius_km:,.0f} km would do"
    latitude, longitude = np.degrees(np.arcsin(middle[2])), np.degrees(np.arctan2(middle[1], middle[0]))
    return Region(round(float(latitude), 2), round(float(longitude), 2), round(radius_km, 1)), None


def _unit(latitudes: Sequence[float], longitudes: Sequence[float]) -> NDArray[np.float64]:
    """Points on the unit sphere, one row each."""
    phi, lam = np.radians(latitudes), np.radians(longitudes)
    return np.column_stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)])


def _cap(centre: NDArray[np.float64], angle: float, count: int) -> NDArray[np.float64]:
    """Points spread evenly over the cap of this angle around the centre, by the golden spiral; the centre first."""
    at = np.arange(count)
    height = 1 - (1 - np.cos(angle)) * at / (count - 1)
    turn = at * np.pi * (3 - np.sqrt(5))
    ring = np.sqrt(np.clip(1 - height**2, 0, None))
    helper = np.array([1.0, 0, 0]) if abs(centre[0]) < 0.9 else np.array([0, 1.0, 0])
    east = np.cross(centre, helper)
    east /= np.linalg.norm(east)
    north = np.cross(centre, east)
    return np.asarray(
        height[:, None] * centre
        + (ring * np.cos(turn))[:, None] * east
        + (ring * np.sin(turn))[:, None] * north
    )


def _feasible(
    points: NDArray[np.float64], centres: NDArray[np.float64], reach: NDArray[np.float64]
) -> NDArray[np.bool_]:
    distances = np.arccos(np.clip(points @ centres.T, -1, 1)) * EARTH_RADIUS_KM
    return np.asarray((distances <= reach).all(axis=1))


def _mean(points: NDArray[np.float64]) -> NDArray[np.float64]:
    middle = points.mean(axis=0)
    return np.asarray(middle / np.linalg.norm(middle))
