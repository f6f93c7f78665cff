"""Drafts made incidents: figures, corroboration, and what the packets' directions say of the cause. Pure."""

from collections.abc import Collection, Iterable, Sequence

import msgspec

from collector.incidents.attribution import Cause, CauseKind
from collector.incidents.breach import BLOCK_S, Breach, Kind
from collector.incidents.episodes import Pair
from collector.incidents.incident import MOST_PATHS, Incident, IncidentPath, Occurrence, incident_id
from collector.incidents.joining import Draft, Mesh

ONE_WAY_SHARE = 0.9
"""Of the packets known to be lost in a direction, the share in one of them that makes it the direction."""
FEWEST_ONE_WAY = 5
LEG_SHARE = 0.5
"""Of the breached blocks, the share with a lossy port that makes it one leg of equal-cost ways."""


def build(drafts: Sequence[Draft], mesh: Mesh, maintenance: str | None = None) -> list[Incident]:
    """One incident for each draft, in order of start."""
    broken = {(draft.kind, pair) for draft in drafts for pair in draft.broken}
    return [_incident(draft, refined(draft, broken, mesh), maintenance) for draft in drafts]


def refined(draft: Draft, broken: set[tuple[Kind, Pair]], mesh: Mesh) -> Cause:
    """The cause said more narrowly where packets, ports or the way beneath an overlay tell more."""
    cause = draft.cause
    if cause.kind is CauseKind.OWN_HOST:
        return cause
    beneath = {_underlay(pair, mesh) for pair in draft.broken}
    sound = mesh.pairs[draft.kind] - {pair for kind, pair in broken if kind is draft.kind}
    if beneath <= sound:
        return Cause(CauseKind.OVERLAY, cause.name, cause.direction)
    if cause.kind is CauseKind.PATH:
        return _narrower_path(draft, cause)
    if cause.direction is None and cause.kind in (CauseKind.NODE, CauseKind.PROVIDER):
        return msgspec.structs.replace(cause, direction=_way(draft, _members(cause, mesh)))
    return cause


def _narrower_path(draft: Draft, cause: Cause) -> Cause:
    ports = [breach.lossy_legs > 0 for each in draft.episodes for breach in each.breaches]
    if sum(ports) >= LEG_SHARE * len(ports):
        return Cause(CauseKind.LEG, cause.name)
    one, other = sorted(next(iter(draft.broken)))
    way = _way(draft, {one})
    if way is None:
        return cause
    return Cause(CauseKind.DIRECTION, f"{one} → {other}" if way == "out" else f"{other} → {one}")


def _members(cause: Cause, mesh: Mesh) -> set[str]:
    """Nodes that a cause is made of."""
    if cause.kind is CauseKind.NODE:
        return {cause.name, *(node for node, place in mesh.places.items() if place.host == cause.name)}
    return {node for node, place in mesh.places.items() if place.provider == cause.name}


def _way(draft: Draft, members: Collection[str]) -> str | None:
    """Whether nearly all packets whose direction is known were lost on the way out of the members, or in to them."""
    lost = {"out": 0, "in": 0}
    for breach in (breach for each in draft.episodes for breach in each.breaches):
        forward, backward = ("out", "in") if breach.source in members else ("in", "out")
        if (breach.source in members) != (breach.destination in members):
            lost[forward] += breach.lost_forward
            lost[backward] += breach.lost_backward
    most = max(lost, key=lambda way: lost[way])
    total = sum(lost.values())
    return most if total >= FEWEST_ONE_WAY and lost[most] >= ONE_WAY_SHARE * total else None


def _underlay(pair: Pair, mesh: Mesh) -> Pair | None:
    """The same path without its overlay; None for a path that has none."""
    beneath = (mesh.host(pair[0]), mesh.host(pair[1]))
    return None if beneath == pair else beneath


def _incident(draft: Draft, cause: Cause, maintenance: str | None) -> Incident:
    breaches = [breach for each in draft.episodes if each.kind is draft.kind for breach in each.breaches]
    end_s = None if draft.open else draft.end_s
    first = min(draft.episodes, key=lambda each: (each.start_s, each.pair))
    paths = sorted(
        _paths(draft), key=lambda path: (-_severity(draft.kind, path), path.source, path.destination)
    )
    over = [breach.over_limit for breach in breaches if breach.over_limit is not None]
    return Incident(
        id=incident_id(draft.kind, draft.start_s, first.pair),
        kind=draft.kind,
        cause=cause,
        start_s=draft.start_s,
        end_s=end_s,
        paths=tuple(paths[:MOST_PATHS]),
        broken_paths=len(paths),
        measured_paths=len(draft.pairs | draft.broken),
        sources_seeing=len({source for source, _ in draft.broken}),
        sources_measuring=len({source for source, _ in draft.pairs | draft.broken}),
        excess_seconds=_median(
            path.figure - path.usual for path in paths if path.usual is not None
        ) if draft.kind is Kind.LATENCY else None,
        loss_ratio=_loss(paths) if draft.kind is Kind.LOSS else None,
        path_mtu_bytes=_least(path.figure for path in paths) if draft.kind is Kind.MTU else None,
        usual_path_mtu_bytes=_least(p.usual for p in paths if p.usual is not None) if draft.kind is Kind.MTU else None,
        breaks_limit=any(over) if over else None,
        stepped=2 * sum(breach.stepped for breach in breaches) > len(breaches),
        flags=_worst_flags(draft) if cause.kind is CauseKind.OWN_HOST else {},
        occurrences=(Occurrence(draft.start_s, end_s),),
        maintenance=maintenance,
    )  # fmt: skip


def _paths(draft: Draft) -> Iterable[IncidentPath]:
    by_pair: dict[Pair, list[Breach]] = {}
    for each in draft.episodes:
        if each.kind is draft.kind:
            by_pair.setdefault(each.pair, []).extend(each.breaches)
    for (source, destination), breaches in by_pair.items():
        worst = min(
            breaches, key=lambda breach: (-_excess(draft.kind, breach.figure, breach.usual), breach.block_s)
        )
        yield IncidentPath(
            source=source,
            destination=destination,
            families=tuple(sorted({breach.family for breach in breaches})),
            probes_hit=tuple(sorted({breach.probe for breach in breaches})),
            start_s=breaches[0].block_s,
            end_s=breaches[-1].block_s + BLOCK_S,
            figure=worst.figure,
            usual=worst.usual,
            hit=sum(breach.hit for breach in breaches),
            probes=sum(breach.probes for breach in breaches),
        )


def _severity(kind: Kind, path: IncidentPath) -> float:
    return _excess(kind, path.figure, path.usual)


def _excess(kind: Kind, figure: float, usual: float | None) -> float:
    """How much worse than usual; larger is worse for each kind."""
    return (usual or 0.0) - figure if kind is Kind.MTU else figure - (usual or 0.0)


def _worst_flags(draft: Draft) -> dict[str, float]:
    worst: dict[str, float] = {}
    for breach in (breach for each in draft.episodes for breach in each.breaches):
        for flag, figure in breach.flags.items():
            if abs(figure) >= abs(worst.get(flag, 0.0)):
                worst[flag] = figure
    return dict(sorted(worst.items()))


def _loss(paths: Sequence[IncidentPath]) -> float | None:
    probes = sum(path.probes for path in paths)
    return sum(path.hit for path in paths) / probes if probes else None


def _median(values: Iterable[float]) -> float | None:
    """The lower median."""
    known = sorted(values)
    return known[(len(known) - 1) // 2] if known else None


def _least(values: Iterable[float]) -> int | None:
    found = min(values, default=None)
    return None if found is None else int(found)
