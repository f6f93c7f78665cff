"""Judged blocks, the fleet and announced work to incidents. Pure."""

import math
from collections.abc import Sequence

import msgspec

from agent.wire.series import UNTIMED_PROBES
from collector.fleet import Fleet
from collector.incidents.attribution import Place
from collector.incidents.breach import Breach, Kind
from collector.incidents.building import build
from collector.incidents.episodes import GOOD_BLOCKS, Block, Pair, episodes_of
from collector.incidents.incident import Incident
from collector.incidents.joining import Known, Mesh, join
from collector.maintenance import Announced
from collector.store.schema import BLOCK_S


def find(
    blocks: Sequence[Block], fleet: Fleet, announced: Announced, known: Sequence[Known] = ()
) -> list[Known]:
    """What happened in these blocks, in order of time and each once; known incidents are carried on.

    What announced work covers is found too, apart from the rest, and says so (Incident.maintenance).
    """
    mesh = mesh_of(fleet)
    reasons = {id(breach): _excuse(announced, breach) for block in blocks for breach in block.breaches}
    found = []
    for reason in {None, *reasons.values(), *(each.incident.maintenance for each in known)}:
        part = [
            msgspec.structs.replace(
                block, breaches=tuple(each for each in block.breaches if reasons[id(each)] == reason)
            )
            for block in blocks
        ]
        earlier = [each for each in known if each.incident.maintenance == reason]
        episodes = episodes_of(part, lambda pair, kind: _good_blocks(fleet, pair, kind))
        found += build(join(episodes, part, mesh, earlier), mesh, reason)
    return sorted(found, key=lambda each: (each.incident.start_s, each.incident.id))


def mesh_of(fleet: Fleet) -> Mesh:
    """Where every node stands, and which pairs are asked for what."""
    places = {
        name: Place(node.overlay_of or name, node.site, node.provider, fleet.sites[node.site].region)
        for name, node in fleet.nodes.items()
    }
    kinds = {pair: {spec.kind for spec in specs} for pair, specs in fleet.pairs.items()}
    timed = frozenset(pair for pair, asked in kinds.items() if asked - UNTIMED_PROBES)
    mtu = frozenset(pair for pair, asked in kinds.items() if "mtu" in asked)
    return Mesh(places, {Kind.LATENCY: timed, Kind.LOSS: timed, Kind.MTU: mtu})


def _good_blocks(fleet: Fleet, pair: Pair, kind: Kind) -> int:
    """An MTU is good again once twice its probe's interval went by without a small one."""
    if kind is not Kind.MTU:
        return GOOD_BLOCKS
    longest = max((s.interval_seconds for s in fleet.pairs.get(pair, ()) if s.kind == "mtu"), default=0.0)
    return max(GOOD_BLOCKS, math.ceil(2 * longest / BLOCK_S))


def _excuse(announced: Announced, breach: Breach) -> str | None:
    """The reason of announced work that covers any of the block on this path."""
    for each in announced.of_path(breach.source, breach.destination):
        if each.start_s < breach.block_s + BLOCK_S and each.end_s > breach.block_s:
            return each.reason
    return None


def as_announced_now(incident: Incident, announced: Announced) -> Incident:
    """The incident excused where work announced since covers all of it, and no longer excused where it was withdrawn."""
    first_s, last_s = incident.start_s + BLOCK_S, incident.last_s - BLOCK_S
    if incident.maintenance is not None:
        kept = any(
            each.start_s < incident.last_s and each.end_s > incident.start_s
            for path in incident.paths
            for each in announced.of_path(*path.pair)
        )
        return incident if kept else msgspec.structs.replace(incident, maintenance=None)
    reason = None
    for path in incident.paths:
        reason = next(
            (a.reason for a in announced.of_path(*path.pair) if a.start_s < first_s and a.end_s > last_s),
            None,
        )
        if reason is None:
            return incident
    return msgspec.structs.replace(incident, maintenance=reason)
