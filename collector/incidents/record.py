"""Incidents and the store: what waits to be judged, what was found before, and both together for a period."""

import sqlite3
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from collector.fleet import Fleet
from collector.incidents.episodes import Block, Pair
from collector.incidents.evidence import with_evidence
from collector.incidents.finding import as_announced_now, find
from collector.incidents.incident import Incident
from collector.incidents.joining import REJOIN_S, Known
from collector.incidents.recurrence import with_recurring
from collector.incidents.watch import Watch, decode_block
from collector.standing import announced_in
from collector.store.incidents import (
    IncidentRow,
    incident_rows,
    judged_blocks,
    latest_judged_s,
    pending_blocks,
    save_judgement,
)
from collector.store.schema import BLOCK_S, DAY_S, HOUR_S
from collector.store.tiers import Period

LEAD_S = 6 * HOUR_S
"""So far before the first new block everything is joined anew; what began earlier is carried on."""
RECURRENCE_S = 92 * DAY_S
"""How far back incidents are looked at for what comes back."""

_INCIDENT = msgspec.json.Decoder(Incident)
_PAIRS = msgspec.json.Decoder(list[Pair])


class Found(msgspec.Struct, frozen=True):
    """incidents: in order of start. excused: what announced work explains; no incidents, but listed."""

    incidents: tuple[Incident, ...]
    excused: tuple[Incident, ...]

    def named(self, name: str) -> Incident | None:
        """The one of this id, also by the id of one of its occurrences; None where there is none."""
        for each in (*self.incidents, *self.excused):
            if name == each.id or any(name == occurrence.id for occurrence in each.occurrences):
                return each
        return None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What judging blocks came to. versions: of the blocks' data as it was read; gone: ids that are no more."""

    blocks: tuple[Block, ...]
    versions: Mapping[int, int]
    incidents: tuple[Known, ...]
    gone: tuple[str, ...]


def incidents_of_period(connection: sqlite3.Connection, fleet: Fleet, period: Period) -> list[Incident]:
    """Every incident that touches the period, in order of start. Raises sqlite3.Error."""
    return list(found_in_period(connection, fleet, period).incidents)


def found_in_period(connection: sqlite3.Connection, fleet: Fleet, period: Period) -> Found:
    """Incidents and excused ones that touch the period: those stored, and those of blocks that wait. Raises sqlite3.Error.

    Stores nothing, so that a reader gets the same answer whether or not a server has been at work.
    """
    found = _stored(connection, period)
    waiting = pending_blocks(connection, Period(max(0, period.start_s - LEAD_S), period.end_s))
    if waiting:
        judgement = judge_pending(connection, Watch(), fleet, waiting)
        for name in judgement.gone:
            found.pop(name, None)
        found |= {known.incident.id: known.incident for known in judgement.incidents}
    return _as_found(connection, fleet, found.values(), period)


def stored_in_period(connection: sqlite3.Connection, fleet: Fleet, period: Period) -> Found:
    """Only what was stored. Raises sqlite3.Error."""
    return _as_found(connection, fleet, _stored(connection, period).values(), period)


def incidents_of_path(
    connection: sqlite3.Connection, fleet: Fleet, period: Period, source: str, destination: str
) -> list[Incident]:
    """The stored incidents of the period that broke this path, or whose cause would and that broke more than they list."""
    covering = {
        row.id
        for row in incident_rows(connection, period)
        if [source, destination] in msgspec.json.decode(row.pairs)
    }
    return [
        each
        for each in stored_in_period(connection, fleet, period).incidents
        if each.concerns(source, destination)
        or (each.broken_paths > len(each.paths) and covering & {each.id, *(o.id for o in each.occurrences)})
    ]


def _stored(connection: sqlite3.Connection, period: Period) -> dict[str, Incident]:
    """Those of the period, and before it those that it may repeat."""
    lookback = Period(max(0, period.start_s - RECURRENCE_S), period.end_s)
    return {row.id: _INCIDENT.decode(row.body) for row in incident_rows(connection, lookback)}


def _as_found(
    connection: sqlite3.Connection, fleet: Fleet, stored: Collection[Incident], period: Period
) -> Found:
    first_s = min((each.start_s for each in stored), default=period.start_s)
    announced = announced_in(connection, fleet, Period(min(first_s, period.start_s), period.end_s))
    incidents = [as_announced_now(each, announced) for each in stored]
    plain = with_recurring(each for each in incidents if each.maintenance is None)
    excused = [each for each in incidents if each.maintenance is not None]
    return Found(_touching(plain, period), _touching(excused, period))


def judge_pending(
    connection: sqlite3.Connection, watch: Watch, fleet: Fleet, pending: Mapping[int, int]
) -> Judgement:
    """Judge these blocks (start → version, in order of time) and join what was found around them. Raises sqlite3.Error."""
    fresh = {start_s: Block(start_s, (), (), {}, ()) for start_s in pending}
    for run in _runs(pending):
        fresh |= {block.start_s: block for block in watch.blocks(connection, fleet, run)}
    start_s = max(0, min(pending) - LEAD_S)
    end_s = max(*pending, latest_judged_s(connection) or 0) + BLOCK_S
    span = Period(start_s, end_s)
    blocks = {block.start_s: block for block in map(decode_block, judged_blocks(connection, span))} | fresh
    rows = incident_rows(connection, Period(max(0, start_s - REJOIN_S), end_s))
    known = [
        Known(_INCIDENT.decode(row.body), frozenset(_PAIRS.decode(row.pairs)))
        for row in rows
        if row.start_s < start_s
    ]
    found = find([blocks[at] for at in sorted(blocks)], fleet, announced_in(connection, fleet, span), known)
    names = {each.incident.id for each in found}
    return Judgement(
        tuple(fresh.values()),
        pending,
        tuple(with_evidence(connection, found, start_s)),
        tuple(row.id for row in rows if row.start_s >= start_s and row.id not in names),
    )


def save(connection: sqlite3.Connection, judgement: Judgement) -> None:
    """Inside the open transaction of the writer."""
    save_judgement(
        connection,
        [
            (block.start_s, judgement.versions[block.start_s], msgspec.json.encode(block))
            for block in judgement.blocks
        ],
        [
            IncidentRow(
                known.incident.id,
                known.incident.start_s,
                known.incident.end_s,
                msgspec.json.encode(known.incident),
                msgspec.json.encode(sorted(known.pairs)),
            )
            for known in judgement.incidents
        ],
        judgement.gone,
    )


def _runs(starts: Iterable[int]) -> list[Period]:
    """Blocks that follow each other without a gap, as periods."""
    runs: list[Period] = []
    for start_s in starts:
        if runs and runs[-1].end_s == start_s:
            runs[-1] = Period(runs[-1].start_s, start_s + BLOCK_S)
        else:
            runs.append(Period(start_s, start_s + BLOCK_S))
    return runs


def _touching(incidents: Iterable[Incident], period: Period) -> tuple[Incident, ...]:
    """In order of start."""
    touching = (
        each
        for each in incidents
        if each.start_s < period.end_s and (each.end_s is None or each.end_s > period.start_s)
    )
    return tuple(sorted(touching, key=lambda each: (each.start_s, each.id)))
