"""Mesh algebra: which few causes explain the paths that broke together. Pure.

A cause is a set of paths that would all suffer from it: a node's row and column, a provider's, the paths between two
regions. The set that explains most of the broken paths and fewest of the sound ones is taken first; what it explains
is taken out, and the rest is asked again. Sets that hold the same paths cannot be told apart by any measurement:
the narrowest is named, the others are listed beside it.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from collector.incidents.episodes import Pair

LEAST_COVERAGE = 0.6
"""Share of a cause's measured paths that must have broken."""
LEAST_OF_A_NODE = 0.5
"""… and of the paths of each node that it is made of, where it is made of several."""


class CauseKind(StrEnum):
    """What a cause is, narrowest first: of sets with the same paths the first one is named."""

    PATH = "path"
    DIRECTION = "direction"
    LEG = "leg"
    OVERLAY = "overlay"
    OWN_HOST = "own_host"
    NODE = "node"
    SITE = "site"
    PROVIDER = "provider"
    REGION_PAIR = "region_pair"
    PROVIDER_PAIR = "provider_pair"
    REGION = "region"


EVERY = "every address"
"""Name of the cause that all overlay addresses share."""

RANK = {kind: rank for rank, kind in enumerate(CauseKind)}


class Cause(msgspec.Struct, frozen=True, order=True):
    """What is to blame. direction: "out" or "in" of it where only one is, None for both or where nobody can tell.

    also: causes that would explain the same paths, as "kind name".
    """

    kind: CauseKind
    name: str
    direction: str | None = None
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node stands. host: itself, or the node whose overlay address it is."""

    host: str
    site: str
    provider: str
    region: str | None


@dataclass(frozen=True, slots=True)
class Suspect:
    """A possible cause: paths that would suffer, and the hosts of which each must be hit by itself."""

    cause: Cause
    pairs: frozenset[Pair]
    hosts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Explained:
    """A cause with the broken paths that it explains and all of its paths that were measured."""

    cause: Cause
    broken: frozenset[Pair]
    measured: frozenset[Pair]


def explain(
    broken: Collection[Pair],
    hinted: Collection[Pair],
    measured: Collection[Pair],
    places: Mapping[str, Place],
) -> list[Explained]:
    """Causes that together explain every broken pair, most telling first.

    hinted: pairs that looked bad without being sure of it; they may corroborate, never accuse.
    """
    left = set(broken)
    struck = left | set(hinted)
    open_to_ask = set(measured) | struck
    suspects = list(suspects_of(left, open_to_ask, places))
    found = []
    while left:
        best = max(
            (_rated(suspect, left, struck, open_to_ask, places) for suspect in suspects),
            key=lambda rated: rated[0],
        )
        suspect = best[1]
        mine = suspect.pairs & struck
        also = tuple(
            f"{other.cause.kind} {other.cause.name}"
            for other in suspects
            if other.cause.kind is not suspect.cause.kind
            and other.cause.kind not in (CauseKind.PATH, CauseKind.DIRECTION)
            and other.cause.direction is None
            and "→" not in other.cause.name
            and other.pairs & open_to_ask == suspect.pairs & open_to_ask
        )
        cause = msgspec.structs.replace(suspect.cause, also=also)
        found.append(Explained(cause, frozenset(mine), frozenset(suspect.pairs & open_to_ask)))
        left -= mine
        struck -= mine
        open_to_ask -= mine
    return found


def _rated(
    suspect: Suspect,
    left: Collection[Pair],
    struck: Collection[Pair],
    measured: Collection[Pair],
    places: Mapping[str, Place],
) -> tuple[tuple[float, int, bool, str], Suspect]:
    """How well it explains: paths struck minus paths sound, then narrowness; −inf where it cannot be."""
    asked = suspect.pairs.intersection(measured)
    hit, sure = asked.intersection(struck), asked.intersection(left)
    alone = len({frozenset(pair) for pair in sure}) == 1 < len({frozenset(pair) for pair in suspect.pairs})
    possible = sure and not alone and len(hit) >= LEAST_COVERAGE * len(asked)
    gain = float("-inf")
    if possible and _each_host_is_hit(suspect, hit, asked, places):
        gain = float(2 * len(hit) - len(asked))
    cause = suspect.cause
    return (gain, -RANK[cause.kind], cause.direction is None, cause.name), suspect


def _each_host_is_hit(
    suspect: Suspect, hit: Collection[Pair], asked: Collection[Pair], places: Mapping[str, Place]
) -> bool:
    """A provider with one bad node of three is no bad provider."""
    if not suspect.hosts:
        return True
    of_host: Counter[str] = Counter()
    struck: Counter[str] = Counter()
    for pair in asked:
        ends = {_host_of(end, places) for end in pair} & suspect.hosts
        of_host.update(ends)
        if pair in hit:
            struck.update(ends)
    return all(struck[host] >= LEAST_OF_A_NODE * count for host, count in of_host.items())


def suspects_of(
    broken: Iterable[Pair], measured: Iterable[Pair], places: Mapping[str, Place]
) -> Iterator[Suspect]:
    """Every cause that would explain at least one broken pair, over the measured pairs between known places."""
    pairs: dict[Cause, set[Pair]] = {}
    hosts: dict[Cause, set[str]] = {}
    for pair in measured:
        for cause, members in _causes_of(pair, places):
            pairs.setdefault(cause, set()).add(pair)
            hosts.setdefault(cause, set()).update(members)
    wanted = {cause for pair in broken for cause, _ in _causes_of(pair, places)}
    for cause in sorted(wanted, key=lambda cause: (cause.kind, cause.name, cause.direction or "")):
        yield Suspect(cause, frozenset(pairs[cause]), frozenset(hosts[cause]))


def _causes_of(pair: Pair, places: Mapping[str, Place]) -> Iterator[tuple[Cause, tuple[str, ...]]]:
    """Every cause that a path would suffer from, with the hosts at its ends that the cause is made of."""
    yield Cause(CauseKind.PATH, " – ".join(sorted(pair))), ()
    yield Cause(CauseKind.DIRECTION, " → ".join(pair)), ()
    ends = [places.get(end) for end in pair]
    for end, place, way in zip(pair, ends, ("out", "in"), strict=True):
        host = _host_of(end, places)
        for direction in (None, way):
            yield Cause(CauseKind.NODE, host, direction), ()
        if place is not None:
            for kind, name in _groups_of(place):
                for direction in (None, way):
                    yield Cause(kind, name, direction), (host,)
    source, destination = ends
    if destination is not None and destination.host != pair[1]:
        yield Cause(CauseKind.OVERLAY, pair[1]), ()
        yield Cause(CauseKind.OVERLAY, EVERY), (destination.host,)
    if source is None or destination is None:
        return
    hosts = (source.host, destination.host)
    for kind, names in (
        (CauseKind.REGION_PAIR, (source.region, destination.region)),
        (CauseKind.PROVIDER_PAIR, (source.provider, destination.provider)),
    ):
        if None not in names:
            yield Cause(kind, " – ".join(sorted(map(str, names)))), hosts
            if names[0] != names[1]:
                yield Cause(kind, " → ".join(map(str, names))), hosts


def _groups_of(place: Place) -> Iterator[tuple[CauseKind, str]]:
    yield CauseKind.SITE, f"{place.provider} at {place.site}"
    yield CauseKind.PROVIDER, place.provider
    if place.region is not None:
        yield CauseKind.REGION, place.region


def _host_of(node: str, places: Mapping[str, Place]) -> str:
    return places[node].host if node in places else node
