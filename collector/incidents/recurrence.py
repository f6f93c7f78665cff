"""What comes back at the same hours of the day is one incident, not one for each day. Pure."""

from collections.abc import Iterable, Sequence

import msgspec

from collector.incidents.incident import MOST_PATHS, Incident, IncidentPath, Occurrence
from collector.store.schema import DAY_S, HOUR_S

FEWEST_DAYS = 3
SAME_HOUR_S = 3 * HOUR_S
"""Starts of two days are at the same hour when they differ by no more."""
LONGEST_S = 12 * HOUR_S
"""What lasts longer has no hour of the day."""
MOST_DAYS_APART_S = 8 * DAY_S
"""What comes back on Fridays only still comes back."""


def with_recurring(incidents: Iterable[Incident]) -> list[Incident]:
    """Incidents in order of start, those of one cause and hour of the day on three days or more made one."""
    chains: list[list[Incident]] = []
    for incident in sorted(incidents, key=lambda each: (each.start_s, each.id)):
        chain = next((c for c in chains if _continues(c, incident)), None)
        if chain is None:
            chains.append([incident])
        else:
            chain.append(incident)
    found = []
    for chain in chains:
        days = {each.start_s // DAY_S for each in chain}
        found += [_folded(chain)] if len(days) >= FEWEST_DAYS else chain
    return sorted(found, key=lambda each: (each.start_s, each.id))


def _continues(chain: Sequence[Incident], incident: Incident) -> bool:
    first, last = chain[0], chain[-1]
    same = (first.kind, first.cause.kind, first.cause.name) == (
        incident.kind, incident.cause.kind, incident.cause.name,
    )  # fmt: skip
    if not same or incident.start_s - last.start_s > MOST_DAYS_APART_S:
        return False
    if any(each.end_s is not None and each.end_s - each.start_s > LONGEST_S for each in (first, incident)):
        return False
    apart_s = (incident.start_s - first.start_s) % DAY_S
    return min(apart_s, DAY_S - apart_s) <= SAME_HOUR_S


def _folded(chain: Sequence[Incident]) -> Incident:
    """Named by the first, with the figures of the worst; its occurrences are those of all."""
    worst = max(chain, key=lambda each: (each.broken_paths, each.excess_seconds or each.loss_ratio or 0.0))
    paths: dict[tuple[str, str], IncidentPath] = {}
    for each in (worst, *chain):
        for path in each.paths:
            paths.setdefault((path.source, path.destination), path)
    broken = [each.breaks_limit for each in chain if each.breaks_limit is not None]
    return msgspec.structs.replace(
        worst,
        id=chain[0].id,
        start_s=chain[0].start_s,
        end_s=chain[-1].end_s,
        paths=tuple(paths.values())[:MOST_PATHS],
        breaks_limit=any(broken) if broken else None,
        last_s=chain[-1].last_s,
        occurrences=tuple(Occurrence(each.id, each.start_s, each.end_s) for each in chain),
    )
