"""Announced work: which paths it covers, and what of a period it takes out, each minute once. Pure."""

import math
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

import msgspec

from collector.fleet_check import SINGULAR, hint
from collector.fleet_file import Maintenance, Node
from collector.period import utc
from collector.store.schema import DAY_S, MINUTE_S
from collector.store.tiers import Period

LONGEST_SECONDS = 31 * DAY_S
"""A longer one is a slip of the pen, or a node that belongs out of the fleet file."""
FLEET_FILE, COMMAND, API, CALENDAR = "fleet file", "command", "api", "calendar"
SCOPES = ("providers", "sites", "nodes")


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """Work from start_s until just before end_s, Unix seconds.

    Scope: it covers a path with at least one end in any of the lists; every path where all three are empty.
    origin: who keeps it: the fleet file, or the store on behalf of the command, the API or a calendar. The rest is
    None for the fleet file, which has no memory: id in the store, when and by whom it was added, and, of a calendar,
    the event's uid.
    """

    start_s: int
    end_s: int
    reason: str
    providers: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    origin: str = FLEET_FILE
    id: int | None = None
    uid: str | None = None
    added_s: int | None = None
    added_by: str | None = None
    removed_s: int | None = None
    removed_by: str | None = None

    @property
    def late(self) -> bool | None:
        """Whether it was added only after the work had begun; None where nobody noted when."""
        return None if self.added_s is None else self.added_s > self.start_s

    @property
    def whole_fleet(self) -> bool:
        """Whether no scope was given."""
        return not (self.providers or self.sites or self.nodes)

    def covers(self, node: Node) -> bool:
        """Whether this end of a path is in scope."""
        return (
            self.whole_fleet
            or node.name in self.nodes
            or node.site in self.sites
            or node.provider in self.providers
        )


def of_fleet_file(window: Maintenance) -> Announcement:
    """The same, of one [[maintenance]] of the fleet file."""
    return Announcement(
        start_s=int(window.start.timestamp()),
        end_s=math.ceil(window.end.timestamp()),
        reason=window.reason,
        providers=window.providers,
        sites=window.sites,
        nodes=window.nodes,
    )


def check_length(start_s: int, end_s: int) -> None:
    """Raises ValueError unless the work ends after it starts, and within LONGEST_SECONDS."""
    if start_s < 0 or start_s >= end_s:
        raise ValueError("the end must be later than the start")
    if end_s - start_s > LONGEST_SECONDS:
        days = LONGEST_SECONDS // DAY_S
        raise ValueError(f"longer than {days} days: split it, or take what is gone out of the fleet file")


def check_scope(new: Announcement, known: Mapping[str, Iterable[str]]) -> None:
    """Raises ValueError for a name that is not known. known: "providers", "sites", "nodes" → names."""
    for kind in SCOPES:
        for name in getattr(new, kind):
            if name not in known[kind]:
                raise ValueError(f"no {SINGULAR[kind]} is called {name}{hint(name, known[kind])}")


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """An announcement as the command and the API show it. Times are UTC; None where not known or not so."""

    id: int | None
    start: str
    end: str
    reason: str
    providers: tuple[str, ...]
    sites: tuple[str, ...]
    nodes: tuple[str, ...]
    whole_fleet: bool
    origin: str
    added: str | None
    added_by: str | None
    late: bool | None
    removed: str | None
    removed_by: str | None


def listed(each: Announcement) -> Listed:
    """The announcement in the words of the API."""
    return Listed(
        id=each.id,
        start=utc(each.start_s),
        end=utc(each.end_s),
        reason=each.reason,
        providers=each.providers,
        sites=each.sites,
        nodes=each.nodes,
        whole_fleet=each.whole_fleet,
        origin=each.origin,
        added=None if each.added_s is None else utc(each.added_s),
        added_by=each.added_by,
        late=each.late,
        removed=None if each.removed_s is None else utc(each.removed_s),
        removed_by=each.removed_by,
    )


def listing(stated: Iterable[Maintenance], kept: Iterable[Announcement], period: Period) -> list[Listed]:
    """What the fleet file states and what the store keeps, as far as it touches the period, in order of time."""
    all_of_it = [*map(of_fleet_file, stated), *kept]
    return [listed(each) for each in _in_order(all_of_it, period)]


def _in_order(announcements: Iterable[Announcement], period: Period) -> list[Announcement]:
    touching = (a for a in announcements if a.start_s < period.end_s and a.end_s > period.start_s)
    return sorted(touching, key=lambda a: (a.start_s, a.end_s, a.reason, a.id or 0))


class Announced:
    """What was announced within a period, by path."""

    def __init__(
        self, announcements: Iterable[Announcement], nodes: Mapping[str, Node], period: Period
    ) -> None:
        within = _in_order(announcements, period)
        self.period = period
        self._all = tuple(within)
        self._by_node = {
            name: frozenset(at for at, each in enumerate(within) if each.covers(node))
            for name, node in nodes.items()
        }
        self._of_strangers = frozenset(at for at, each in enumerate(within) if each.whole_fleet)
        self._cuts = lru_cache(maxsize=4096)(self._merged)

    def of_path(self, source: str, destination: str) -> tuple[Announcement, ...]:
        """What covers the path, in order of time."""
        return tuple(self._all[at] for at in sorted(self._positions(source, destination)))

    def cuts(self, source: str, destination: str) -> tuple[Period, ...]:
        """The whole minutes it takes out, in order, no two of them touching; some may reach beyond the period."""
        return self._cuts(self._positions(source, destination))

    def shares(self, source: str, destination: str) -> Iterator[tuple[Announcement, int]]:
        """Each that covers the path, with the minutes of the period that none before it has taken out already."""
        taken_until_s = self.period.start_s
        for each in self.of_path(source, destination):
            whole = _whole_minutes(each)
            end_s = min(whole.end_s, self.period.end_s)
            yield each, max(0, end_s - max(taken_until_s, whole.start_s)) // MINUTE_S
            taken_until_s = max(taken_until_s, end_s)

    def _positions(self, source: str, destination: str) -> frozenset[int]:
        ends = (self._by_node.get(name, self._of_strangers) for name in (source, destination))
        return frozenset().union(*ends)

    def _merged(self, positions: frozenset[int]) -> tuple[Period, ...]:
        merged: list[Period] = []
        for at in sorted(positions):
            whole = _whole_minutes(self._all[at])
            if merged and whole.start_s <= merged[-1].end_s:
                merged[-1] = Period(merged[-1].start_s, max(merged[-1].end_s, whole.end_s))
            else:
                merged.append(whole)
        return tuple(merged)


def _whole_minutes(each: Announcement) -> Period:
    """Every minute that it touches."""
    start_s = max(0, each.start_s // MINUTE_S * MINUTE_S)
    return Period(start_s, -(-each.end_s // MINUTE_S) * MINUTE_S)
