"""What an incident is, as stored, served and shown. Pure."""

import hashlib
from datetime import UTC, datetime
from typing import Any

import msgspec

from agent.wire.series import Family
from collector.incidents.attribution import Cause
from collector.incidents.breach import Kind
from collector.incidents.episodes import Pair

MOST_PATHS = 100
MOST_MOMENTS = 288


class IncidentPath(msgspec.Struct, frozen=True, kw_only=True):
    """One path of an incident at its worst block. figure, usual: median seconds, loss ratio or MTU bytes, by kind.

    hit, probes: how many of how many probes were slow or lost in that block.
    """

    source: str
    destination: str
    families: tuple[Family, ...]
    probes_hit: tuple[str, ...]
    worst_s: int
    figure: float
    usual: float | None
    hit: int
    probes: int

    @property
    def pair(self) -> Pair:
        """Which path."""
        return self.source, self.destination

    @property
    def excess(self) -> float:
        """How much worse than usual, in the kind's unit."""
        return abs(self.figure - (self.usual or 0.0))


class Moment(msgspec.Struct, frozen=True):
    """One block of an incident over its paths that were broken then. figure: their median excess seconds, loss ratio or
    smallest MTU bytes, by kind; hit of probes were slow or lost.
    """

    block_s: int
    broken_paths: int
    figure: float
    hit: int
    probes: int


class Change(msgspec.Struct, frozen=True):
    """Something seen near the start on a path of the incident, as its node reported it: a route, an MTU, a leg."""

    time_s: int
    source: str
    destination: str | None
    kind: str
    detail: dict[str, Any]


class Occurrence(msgspec.Struct, frozen=True):
    """One time that it happened, with its own id; end_s None while it lasts."""

    id: str
    start_s: int
    end_s: int | None


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """One cause and what it did. Times are Unix seconds, whole blocks; end_s None while it lasts, last_s: end of its
    latest breach so far.

    paths: the worst MOST_PATHS of broken_paths; measured_paths: all that the cause would break and that were measured.
    sources_seeing of sources_measuring: how many vantage points agree. excess_seconds: median slowdown;
    loss_ratio: lost of all probes; path_mtu_bytes with usual_path_mtu_bytes: the smallest. Each None for other kinds.
    breaks_limit: whether what was promised was broken, None where nothing was. stepped: the fastest samples were slow
    too (a longer route, not a fuller queue). flags: what the own host did, worst figure. course: the first MOST_MOMENTS
    blocks. occurrences: more than one where it comes back at the same hours of the day. retransmit_ratio and the usual
    one: of the paths' own connections in the first hour of it and in the hour before. maintenance: the announced work
    that excuses it.
    """

    id: str
    kind: Kind
    cause: Cause
    start_s: int
    end_s: int | None
    last_s: int
    paths: tuple[IncidentPath, ...]
    broken_paths: int
    measured_paths: int
    sources_seeing: int
    sources_measuring: int
    excess_seconds: float | None = None
    loss_ratio: float | None = None
    path_mtu_bytes: int | None = None
    usual_path_mtu_bytes: int | None = None
    breaks_limit: bool | None = None
    stepped: bool = False
    flags: dict[str, float] = {}
    course: tuple[Moment, ...] = ()
    occurrences: tuple[Occurrence, ...] = ()
    changes: tuple[Change, ...] = ()
    retransmit_ratio: float | None = None
    usual_retransmit_ratio: float | None = None
    maintenance: str | None = None

    def concerns(self, source: str, destination: str) -> bool:
        """Whether the path is among those listed."""
        return any(path.pair == (source, destination) for path in self.paths)

    @property
    def recurring(self) -> bool:
        """Whether it is one that comes back."""
        return len(self.occurrences) > 1


def incident_id(kind: Kind, start_s: int, anchor: Pair) -> str:
    """The name of an incident: its kind, when it began, and the first path that showed it.

    What is found out later (more paths, a wider cause) changes none of these.
    """
    digest = hashlib.sha256(" ".join(anchor).encode()).hexdigest()[:6]
    return f"{kind}-{datetime.fromtimestamp(start_s, UTC):%Y%m%dT%H%M}-{digest}"
