"""SLA classes, and which one applies to a path at a given time. Pure."""

import itertools
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

import msgspec

from agent.wire.series import Name

Ratio = Annotated[float, msgspec.Meta(gt=0, lt=1)]
Instant = Annotated[datetime, msgspec.Meta(tz=True)]
Pair = tuple[Name, Name]


class SlaClass(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What was promised, from valid_from until just before valid_until (None: open).

    At least `objective` of the samples lie within multiplier × floor + allowance. A limit that is None was not promised.
    One name may stand several times with periods that do not overlap: versions of one contract.
    """

    name: Name = "default"
    multiplier: Annotated[float, msgspec.Meta(ge=1, le=1000)] = 2.0
    allowance_ms: Annotated[float, msgspec.Meta(ge=0, le=60_000)] = 0.0
    objective: Ratio = 0.99
    loss_ratio_max: Ratio | None = None
    availability_min: Ratio | None = None
    path_mtu_bytes_min: Annotated[int, msgspec.Meta(ge=68, le=65535)] | None = None
    retransmit_ratio_max: Ratio | None = None
    valid_from: Instant | None = None
    valid_until: Instant | None = None

    def __post_init__(self) -> None:
        if self.valid_from and self.valid_until and self.valid_from >= self.valid_until:
            raise ValueError("valid_until must be later than valid_from")

    def in_force(self, at: datetime) -> bool:
        """Whether this version applies at that time."""
        started = self.valid_from is None or self.valid_from <= at
        return started and (self.valid_until is None or at < self.valid_until)

    def overlaps(self, other: "SlaClass") -> bool:
        """Whether both versions are in force at some time."""
        first, second = sorted(
            (self, other), key=lambda v: v.valid_from.timestamp() if v.valid_from else -1e18
        )
        return first.valid_until is None or second.valid_from is None or second.valid_from < first.valid_until


DEFAULT_CLASS = SlaClass()
"""Judged by where the fleet file states no default: 2 × floor, no allowance, 99 % of samples."""


class Application(msgspec.Struct, forbid_unknown_fields=True, frozen=True, rename={"sla_class": "class"}):
    """Where a class applies: to everything, or by one of the selectors. Pairs hold in both directions."""

    sla_class: Name
    provider: Name | None = None
    providers: Pair | None = None
    regions: Pair | None = None
    nodes: Pair | None = None

    def __post_init__(self) -> None:
        given = [s for s in (self.provider, self.providers, self.regions, self.nodes) if s is not None]
        if len(given) > 1:
            raise ValueError(
                "give one of provider, providers, regions, nodes, or none of them for the default"
            )

    @property
    def selector(self) -> tuple[str, ...]:
        """What it selects, as a key: the same for both orders of a pair."""
        if self.provider is not None:
            return ("provider", self.provider)
        for kind, pair in (("providers", self.providers), ("regions", self.regions), ("nodes", self.nodes)):
            if pair is not None:
                return (kind, *sorted(pair))
        return ("default",)


class End(msgspec.Struct, frozen=True):
    """One end of a path as a contract sees it."""

    node: str
    provider: str
    region: str | None


class ContractTable:
    """The classes of a fleet with the rule that picks one: the most specific application in force wins.

    Order: pair of nodes, pair of providers, pair of regions, the source's provider, the destination's provider,
    default. An application whose class has no version in force at that time is passed over.
    """

    def __init__(self, classes: Iterable[SlaClass], applications: Iterable[Application]) -> None:
        classes = tuple(classes)
        self._versions: dict[str, list[SlaClass]] = {}
        for version in classes:
            self._versions.setdefault(version.name, []).append(version)
        self._class_by_selector = {a.selector: a.sla_class for a in applications}
        bounds = {at for v in classes for at in (v.valid_from, v.valid_until) if at is not None}
        self.changes: tuple[datetime, ...] = tuple(sorted(bounds))
        """When some class comes into force or goes out of it."""

    def class_at(self, source: End, destination: End, at: datetime) -> SlaClass | None:
        """The class of a path at that time; None when the file states a default and it is not in force."""
        for selector in _selectors(source, destination):
            name = self._class_by_selector.get(selector)
            if name is None:
                continue
            for version in self._versions[name]:
                if version.in_force(at):
                    return version
        return None if ("default",) in self._class_by_selector else DEFAULT_CLASS


def _selectors(source: End, destination: End) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = [
        ("nodes", *sorted((source.node, destination.node))),
        ("providers", *sorted((source.provider, destination.provider))),
    ]
    if source.region is not None and destination.region is not None:
        found.append(("regions", *sorted((source.region, destination.region))))
    return [*found, ("provider", source.provider), ("provider", destination.provider), ("default",)]


def overlapping_versions(classes: Iterable[SlaClass]) -> Iterable[tuple[SlaClass, SlaClass]]:
    """Pairs of versions of one class that claim the same time."""
    for one, other in itertools.combinations(classes, 2):
        if one.name == other.name and one.overlaps(other):
            yield one, other
