"""The fleet: what is measured, how far apart it is, and what was promised. Made from fleet.toml (fleet_file.py)."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import msgspec

from agent.wire.assignment import Assignment, Peer, ProbeSpec
from agent.wire.series import Family
from agent.wire.settings import ConfigError, decode_toml
from collector import fleet_check, gazetteer
from collector.config import read_text
from collector.contract import ContractTable, End, SlaClass
from collector.fleet_file import FleetDocument, Maintenance, Node, Override, Provider, Site
from collector.floor import (
    REFRACTIVE_INDEX,
    Coordinates,
    Floor,
    floor_between,
    floor_of_length,
    limit_seconds,
)
from collector.groups import probes_by_pair
from collector.store.schema import MINUTE_S
from collector.store.tiers import Period


@dataclass(frozen=True, slots=True)
class FleetPath:
    """One directed path: source to destination, what it runs, and what it is judged by at one time.

    floor: None where an end's coordinates are unknown. sla: the class in force, with an override's multiplier;
    None where none is. limit_seconds: None where floor or sla is.
    """

    source: Node
    destination: Node
    probes: tuple[ProbeSpec, ...]
    families: tuple[Family, ...]
    floor: Floor | None
    sla: SlaClass | None

    @property
    def limit_seconds(self) -> float | None:
        """What the SLA allows a sample to take."""
        if self.floor is None or self.sla is None:
            return None
        return limit_seconds(self.floor.floor_seconds, self.sla.multiplier, self.sla.allowance_ms / 1000)


@dataclass(frozen=True, slots=True)
class Terms:
    """The class in force on a path throughout a period; None where none was."""

    sla: SlaClass | None
    period: Period


class Fleet:
    """A checked fleet file with its places looked up. Made by parse_fleet; never changes."""

    def __init__(self, document: FleetDocument, coordinates: dict[str, Coordinates | None]) -> None:
        self.document = document
        self.providers: dict[str, Provider] = {p.name: p for p in document.providers}
        self.sites: dict[str, Site] = {s.name: s for s in document.sites}
        self.nodes: dict[str, Node] = {n.name: n for n in document.nodes}
        self.maintenance: tuple[Maintenance, ...] = document.maintenance
        self.coordinates = coordinates
        self._contracts = ContractTable(document.classes, document.applications)
        self._overrides: dict[tuple[str, ...], Override] = {o.selector: o for o in document.overrides}
        self._floors: dict[tuple[str, str, Override | None], Floor | None] = {}

    @cached_property
    def pairs(self) -> dict[tuple[str, str], tuple[ProbeSpec, ...]]:
        """(source, destination) → probes, for each pair that has an address family in common."""
        return {pair: probes for pair, probes in self._wanted().items() if self.families(*pair)}

    @cached_property
    def agents(self) -> tuple[str, ...]:
        """The nodes that run an agent: all but overlay addresses."""
        return tuple(name for name, node in self.nodes.items() if node.overlay_of is None)

    def _wanted(self) -> dict[tuple[str, str], tuple[ProbeSpec, ...]]:
        """Pairs that the groups name. An overlay address measures nothing, and its own server does not measure it."""
        wanted = probes_by_pair(self.document.groups, tuple(self.nodes))
        return {
            (source, destination): probes
            for (source, destination), probes in wanted.items()
            if self.nodes[source].overlay_of is None and self.nodes[destination].overlay_of != source
        }

    @cached_property
    def pairs_without_family(self) -> list[tuple[str, str]]:
        """Pairs a group names that cannot be measured: one end has IPv4 only, the other IPv6 only."""
        return [pair for pair in self._wanted() if not self.families(*pair)]

    def path(self, source: str, destination: str, at: datetime) -> FleetPath:
        """One path as judged at that time; its probes are empty where no group measures it. Raises KeyError."""
        a, b = self.nodes[source], self.nodes[destination]
        return FleetPath(
            source=a,
            destination=b,
            probes=self.pairs.get((source, destination), ()),
            families=self.families(source, destination),
            floor=self.floor(source, destination),
            sla=self.sla(source, destination, at),
        )

    def paths(self, at: datetime) -> Iterator[FleetPath]:
        """Every path that a group measures, with the class in force at that time."""
        return (self.path(source, destination, at) for source, destination in self.pairs)

    def floor(self, source: str, destination: str) -> Floor | None:
        """The floor between two nodes. Raises KeyError for an unknown name."""
        override = self._override(source, destination)
        low, high = sorted((self.nodes[source].site, self.nodes[destination].site))
        key = (low, high, override)
        if key not in self._floors:
            self._floors[key] = _floor(self.coordinates[low], self.coordinates[high], override)
        return self._floors[key]

    def sla(self, source: str, destination: str, at: datetime) -> SlaClass | None:
        """The class a path is judged by at that time. Raises KeyError for an unknown name."""
        sla = self._contracts.class_at(self._end(source), self._end(destination), at)
        override = self._override(source, destination)
        if sla is None or override is None or override.multiplier is None:
            return sla
        return msgspec.structs.replace(sla, multiplier=override.multiplier)

    def multiplier_of_override(self, source: str, destination: str) -> str | None:
        """Where the path's multiplier is stated if not in its class, in words. Raises KeyError for an unknown name."""
        override = self._override(source, destination)
        if override is None or override.multiplier is None:
            return None
        kind, *pair = override.selector
        return f"multiplier stated for the {kind} {' and '.join(pair)}"

    def terms(self, source: str, destination: str, period: Period) -> tuple[Terms, ...]:
        """What a path was promised over a period, in order of time: one entry unless the promise changed inside it.

        A change counts from the next whole minute; a contract renewed on the same terms is none. Raises KeyError for
        an unknown name.
        """
        changes = (math.ceil(at.timestamp() / MINUTE_S) * MINUTE_S for at in self._contracts.changes)
        starts = [period.start_s, *sorted({at for at in changes if period.start_s < at < period.end_s})]
        found: list[Terms] = []
        for start_s, end_s in itertools.pairwise([*starts, period.end_s]):
            sla = self.sla(source, destination, datetime.fromtimestamp(end_s - 1, UTC))
            if found and _promise(found[-1].sla) == _promise(sla):
                found[-1] = Terms(sla, Period(found[-1].period.start_s, end_s))
            else:
                found.append(Terms(sla, Period(start_s, end_s)))
        return tuple(found)

    def assignment(self, node: str, at: datetime) -> Assignment:
        """What this node's agent measures. Raises KeyError for an unknown name."""
        paths = (self.path(source, destination, at) for source, destination in self.pairs if source == node)
        peers = tuple(_peer(path) for path in paths)
        return Assignment(
            node=self.nodes[node].name, peers=peers, max_probes_per_second=self.document.max_probes_per_second
        )

    def families(self, source: str, destination: str) -> tuple[Family, ...]:
        """Address families that both nodes have. Raises KeyError for an unknown name."""
        return tuple(sorted(self.nodes[source].families & self.nodes[destination].families))

    def _end(self, name: str) -> End:
        node = self.nodes[name]
        return End(node=name, provider=node.provider, region=self.sites[node.site].region)

    def _override(self, source: str, destination: str) -> Override | None:
        """What is stated for the pair of nodes, else for the pair of their sites."""
        of_nodes = self._overrides.get(("nodes", *sorted((source, destination))))
        sites = sorted((self.nodes[source].site, self.nodes[destination].site))
        return of_nodes or self._overrides.get(("sites", *sites))


def _promise(sla: SlaClass | None) -> SlaClass | None:
    """The class without its name and dates."""
    return sla and msgspec.structs.replace(sla, name="-", valid_from=None, valid_until=None)


def _floor(a: Coordinates | None, b: Coordinates | None, override: Override | None) -> Floor | None:
    index = override.refractive_index if override else None
    length_km = override.length_km if override else None
    if length_km is not None:
        return floor_of_length(length_km, index or REFRACTIVE_INDEX)
    if a is None or b is None:
        return None
    return floor_between(a, b, index or REFRACTIVE_INDEX)


def _peer(path: FleetPath) -> Peer:
    there = path.destination
    return Peer(
        name=there.name,
        ipv4=there.ipv4 if Family.IPV4 in path.families else None,
        ipv6=there.ipv6 if Family.IPV6 in path.families else None,
        port=there.port,
        probes=path.probes,
        floor_seconds=path.floor.floor_seconds if path.floor else None,
        limit_seconds=path.limit_seconds,
    )


def parse_fleet(text: str, where: str) -> Fleet:
    """fleet.toml's text as a fleet. Raises ConfigError; where names the file in it."""
    document = decode_toml(text, FleetDocument, where)
    fleet_check.check(document, where)
    coordinates = {site.name: _located(site, f"sites[{i}]", where) for i, site in enumerate(document.sites)}
    return Fleet(document, coordinates)


def read_fleet(path: Path) -> Fleet:
    """The fleet file at path. Raises ConfigError."""
    return parse_fleet(read_text(path), str(path))


def _located(site: Site, key: str, where: str) -> Coordinates | None:
    if site.latitude is not None and site.longitude is not None:
        found = Coordinates(site.latitude, site.longitude, gazetteer.GIVEN_UNCERTAINTY_KM)
    elif site.iata is not None or site.city is not None:
        way = "iata" if site.iata is not None else "city"
        try:
            found = gazetteer.airport(site.iata) if site.iata is not None else gazetteer.city(site.city or "")
        except gazetteer.UnknownPlaceError as error:
            raise ConfigError(where, f"{key}.{way}", str(error)) from error
    else:
        return None
    if site.uncertainty_km is None:
        return found
    return Coordinates(found.latitude, found.longitude, site.uncertainty_km)
