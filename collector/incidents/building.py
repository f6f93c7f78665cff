"""Drafts made incidents: figures, corroboration, and what the packets' directions say of the cause. Pure."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from collector.incidents.attribution import Cause, CauseKind
from collector.incidents.breach import Breach, Kind
from collector.incidents.episodes import Pair
from collector.incidents.incident import (
    MOST_MOMENTS,
    MOST_PATHS,
    Incident,
    IncidentPath,
    Moment,
    Occurrence,
    incident_id,
)
from collector.incidents.joining import Draft, Known, Mesh

ONE_WAY_SHARE = 0.9
"""Of the packets known to be lost in a direction, the share in one of them that makes it the direction."""
FEWEST_ONE_WAY = 5
LEG_SHARE = 0.5
"""Of the breached blocks, the share with a lossy port that makes it one leg of equal-cost ways."""


def build(drafts: Sequence[Draft], mesh: Mesh, maintenance: str | None = None) -> list[Known]:
    """One incident for each draft, in order of start, with all paths that its cause would break."""
    broken = {(draft.kind, pair) for draft in drafts for pair in draft.broken}
    found = []
    for draft in drafts:
        if draft.known is None:
            incident = _incident(draft, refined(draft, broken, mesh), maintenance)
        elif draft.episodes:
            incident = _carried_on(draft.known, _incident(draft, draft.cause, maintenance))
        else:
            incident = _ended(draft.known)
        found.append(Known(incident, draft.pairs | draft.broken))
    return found


def _ended(known: Incident) -> Incident:
    return _at_times(known, known.start_s, known.last_s, is_open=False)


def _at_times(incident: Incident, start_s: int, last_s: int, *, is_open: bool) -> Incident:
    end_s = None if is_open else last_s
    times = (Occurrence(incident.id, start_s, end_s),)
    return msgspec.structs.replace(incident, start_s=start_s, end_s=end_s, last_s=last_s, occurrences=times)


def _carried_on(known: Incident, more: Incident) -> Incident:
    """An incident with what its latest blocks added; blocks that it knew already are not counted again."""
    paths: dict[Pair, IncidentPath] = {path.pair: path for path in known.paths}
    for path in more.paths:
        if path.pair not in paths or path.excess > paths[path.pair].excess:
            paths[path.pair] = path
    course = {moment.block_s: moment for moment in (*known.course, *more.course)}
    merged = msgspec.structs.replace(
        known,
        paths=_worst_first(paths.values()),
        broken_paths=max(known.broken_paths, more.broken_paths, len(paths)),
        sources_seeing=max(known.sources_seeing, more.sources_seeing),
        breaks_limit=_any([known.breaks_limit, more.breaks_limit]),
        flags=known.flags | more.flags,
        course=tuple(course[at] for at in sorted(course))[:MOST_MOMENTS],
    )
    merged = msgspec.structs.replace(merged, **_magnitude(merged.kind, merged.course, merged.paths))
    last_s = max(known.last_s, more.last_s)
    return _at_times(merged, known.start_s, last_s, is_open=more.end_s is None)


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
    paths, course = _worst_first(_paths(breaches)), _course(draft.kind, breaches)
    measured = draft.pairs | draft.broken
    incident = Incident(
        id=incident_id(draft.kind, draft.start_s, draft.first.pair),
        kind=draft.kind,
        cause=cause,
        start_s=draft.start_s,
        end_s=None,
        last_s=draft.last_s,
        paths=paths,
        broken_paths=len({(breach.source, breach.destination) for breach in breaches}),
        measured_paths=len(measured),
        sources_seeing=len({source for source, _ in draft.broken}),
        sources_measuring=len({source for source, _ in measured}),
        breaks_limit=_any(breach.over_limit for breach in breaches),
        stepped=2 * sum(breach.stepped for breach in breaches) > len(breaches),
        flags=dict(sorted(draft.flags.items())),
        course=course,
        maintenance=maintenance,
        **_magnitude(draft.kind, course, paths),
    )
    return _at_times(incident, draft.start_s, draft.last_s, is_open=draft.open)


def _magnitude(kind: Kind, course: Sequence[Moment], paths: Sequence[IncidentPath]) -> dict[str, Any]:
    """The fields that say how bad it is, by kind."""
    match kind:
        case Kind.LATENCY:
            return {"excess_seconds": _median(moment.figure for moment in course)}
        case Kind.LOSS:
            probes = sum(moment.probes for moment in course)
            return {"loss_ratio": sum(moment.hit for moment in course) / probes if probes else None}
        case Kind.MTU:
            usual = [path.usual for path in paths if path.usual is not None]
            return {
                "path_mtu_bytes": int(min(moment.figure for moment in course)),
                "usual_path_mtu_bytes": int(max(usual)) if usual else None,
            }


def _course(kind: Kind, breaches: Iterable[Breach]) -> tuple[Moment, ...]:
    by_block: dict[int, list[Breach]] = {}
    for breach in breaches:
        by_block.setdefault(breach.block_s, []).append(breach)
    moments = []
    for block_s, here in sorted(by_block.items())[:MOST_MOMENTS]:
        hit, probes = sum(breach.hit for breach in here), sum(breach.probes for breach in here)
        match kind:
            case Kind.LATENCY:
                figure = _median(_excess(breach) for breach in here)
            case Kind.LOSS:
                figure = hit / probes
            case Kind.MTU:
                figure = min(breach.figure for breach in here)
        paths = len({(breach.source, breach.destination) for breach in here})
        moments.append(Moment(block_s, paths, figure or 0.0, hit, probes))
    return tuple(moments)


def _paths(breaches: Iterable[Breach]) -> Iterator[IncidentPath]:
    by_pair: dict[Pair, list[Breach]] = {}
    for breach in breaches:
        by_pair.setdefault((breach.source, breach.destination), []).append(breach)
    for (source, destination), here in by_pair.items():
        worst = max(here, key=lambda breach: (abs(_excess(breach)), -breach.block_s))
        yield IncidentPath(
            source=source,
            destination=destination,
            families=tuple(sorted({breach.family for breach in here})),
            probes_hit=tuple(sorted({breach.probe for breach in here})),
            worst_s=worst.block_s,
            figure=worst.figure,
            usual=worst.usual,
            hit=worst.hit,
            probes=worst.probes,
        )


def _worst_first(paths: Iterable[IncidentPath]) -> tuple[IncidentPath, ...]:
    return tuple(sorted(paths, key=lambda path: (-path.excess, path.pair))[:MOST_PATHS])


def _excess(breach: Breach) -> float:
    return breach.figure - (breach.usual or 0.0)


def _any(said: Iterable[bool | None]) -> bool | None:
    """Whether any is so, of those that are known."""
    known = [each for each in said if each is not None]
    return any(known) if known else None


def _median(values: Iterable[float]) -> float | None:
    """The lower median."""
    known = sorted(values)
    return known[(len(known) - 1) // 2] if known else None
