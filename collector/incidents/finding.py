"""The incidents of a period: judged blocks, the fleet and announced work brought together."""

import math
import sqlite3
from collections.abc import Iterable, Sequence

import msgspec

from agent.wire.series import UNTIMED_PROBES
from collector.fleet import Fleet
from collector.incidents.attribution import Place
from collector.incidents.breach import BLOCK_S, Breach, Kind
from collector.incidents.building import build
from collector.incidents.episodes import GOOD_BLOCKS, Block, Pair, episodes_of
from collector.incidents.incident import Incident
from collector.incidents.joining import Mesh, join
from collector.incidents.recurrence import with_recurring
from collector.incidents.watch import Watch
from collector.maintenance import Announced
from collector.standing import announced_in
from collector.store.tiers import Period

LEAD_S = 3600
"""Blocks before the period that are judged too, so that what began before it is known to have."""


class Found(msgspec.Struct, frozen=True):
    """incidents: in order of start. excused: what announced work explains; no incidents, but listed."""

    incidents: tuple[Incident, ...]
    excused: tuple[Incident, ...]


def incidents_of_period(connection: sqlite3.Connection, fleet: Fleet, period: Period) -> list[Incident]:
    """Every incident that touches the period, in order of start. Raises sqlite3.Error."""
    return list(found_in_period(connection, fleet, period).incidents)


def found_in_period(connection: sqlite3.Connection, fleet: Fleet, period: Period) -> Found:
    """Incidents and excused ones that touch the period. Raises sqlite3.Error."""
    read = Period(max(0, period.start_s - LEAD_S) // BLOCK_S * BLOCK_S, period.end_s)
    found = find(list(Watch(fleet).blocks(connection, read)), fleet, announced_in(connection, fleet, read))
    return Found(_touching(found.incidents, period), _touching(found.excused, period))


def find(blocks: Sequence[Block], fleet: Fleet, announced: Announced) -> Found:
    """Incidents of these blocks, in order of time and each once. Pure."""
    mesh = mesh_of(fleet)
    plain, excused = _without_maintenance(blocks, announced)
    incidents = _found(plain, mesh, fleet, None)
    return Found(
        tuple(with_recurring(incidents)),
        tuple(each for reason, part in excused.items() for each in _found(part, mesh, fleet, reason)),
    )


def mesh_of(fleet: Fleet) -> Mesh:
    """Where every node stands, and which pairs are asked for what."""
    places = {
        name: Place(name, node.site, node.provider, fleet.sites[node.site].region)
        for name, node in fleet.nodes.items()
    }
    timed = frozenset(
        pair for pair, specs in fleet.pairs.items() if any(spec.kind not in UNTIMED_PROBES for spec in specs)
    )
    mtu = frozenset(pair for pair, specs in fleet.pairs.items() if any(spec.kind == "mtu" for spec in specs))
    return Mesh(places, {Kind.LATENCY: timed, Kind.LOSS: timed, Kind.MTU: mtu})


def _found(blocks: Sequence[Block], mesh: Mesh, fleet: Fleet, maintenance: str | None) -> list[Incident]:
    def good_blocks(pair: Pair, kind: Kind) -> int:
        """An MTU is good once every probe of twice the interval could have said so."""
        if kind is not Kind.MTU:
            return GOOD_BLOCKS
        longest = max((s.interval_seconds for s in fleet.pairs.get(pair, ()) if s.kind == "mtu"), default=0.0)
        return max(GOOD_BLOCKS, math.ceil(2 * longest / BLOCK_S))

    return build(join(episodes_of(blocks, good_blocks), blocks, mesh), mesh, maintenance)


def _without_maintenance(
    blocks: Sequence[Block], announced: Announced
) -> tuple[list[Block], dict[str, list[Block]]]:
    """The blocks with what no announced work covers, and by reason of the work with what it does."""
    reasons = {
        id(breach): _maintenance_of(announced, breach) for block in blocks for breach in block.breaches
    }

    def only(reason: str | None) -> list[Block]:
        return [
            msgspec.structs.replace(
                block, breaches=tuple(b for b in block.breaches if reasons[id(b)] == reason)
            )
            for block in blocks
        ]

    return only(None), {
        reason: only(reason) for reason in sorted({*reasons.values()} - {None}, key=str) if reason is not None
    }


def _maintenance_of(announced: Announced, breach: Breach) -> str | None:
    """The reason of announced work that covers any of the block on this path."""
    for each in announced.of_path(breach.source, breach.destination):
        if each.start_s < breach.block_s + BLOCK_S and each.end_s > breach.block_s:
            return each.reason
    return None


def _touching(incidents: Iterable[Incident], period: Period) -> tuple[Incident, ...]:
    return tuple(
        each
        for each in incidents
        if each.start_s < period.end_s and (each.end_s is None or each.end_s > period.start_s)
    )
