"""What nodes reported near the start of an incident, and how its paths' own connections fared."""

import sqlite3
from collections.abc import Iterable, Iterator

import msgspec

from collector.incidents.incident import Change
from collector.incidents.joining import Known
from collector.store.evidence import events_of_kinds
from collector.store.measures import retransmits_of_paths
from collector.store.schema import HOUR_S
from collector.store.tiers import Period

KINDS = ("leg_loss", "path_mtu_changed", "path_step", "route_changed", "tls")
NEAR_S = 1200
"""A trace or an MTU search may come some minutes before or after the first breached block."""
MOST_CHANGES = 30
FEWEST_BYTES_SENT = 1_000_000
"""Connections that sent less say nothing of retransmits."""


def with_evidence(connection: sqlite3.Connection, found: Iterable[Known], since_s: int) -> Iterator[Known]:
    """The same incidents with what is kept beside them; those from before since_s have theirs. Raises sqlite3.Error."""
    for known in found:
        if known.incident.start_s < since_s:
            yield known
            continue
        pairs = {path.pair for path in known.incident.paths}
        start_s = known.incident.start_s
        before = _retransmit_ratio(connection, Period(max(0, start_s - HOUR_S), start_s), pairs)
        end_s = min(known.incident.last_s, start_s + HOUR_S)
        during = _retransmit_ratio(connection, Period(start_s, end_s), pairs)
        incident = msgspec.structs.replace(
            known.incident,
            changes=tuple(_changes(connection, start_s, pairs)),
            retransmit_ratio=during,
            usual_retransmit_ratio=before,
        )
        yield Known(incident, known.pairs)


def _changes(connection: sqlite3.Connection, start_s: int, pairs: set[tuple[str, str]]) -> list[Change]:
    """Nearest to the start first."""
    period = Period(max(0, start_s - NEAR_S), start_s + NEAR_S)
    changes = [
        Change(event.time_s, event.node, event.destination, event.kind, event.detail)
        for event in events_of_kinds(connection, period, KINDS)
        if event.destination is not None
        and ((event.node, event.destination) in pairs or (event.destination, event.node) in pairs)
    ]
    changes.sort(
        key=lambda change: (
            abs(change.time_s - start_s),
            change.source,
            change.destination or "",
            change.kind,
        )
    )
    return changes[:MOST_CHANGES]


def _retransmit_ratio(
    connection: sqlite3.Connection, period: Period, pairs: set[tuple[str, str]]
) -> float | None:
    sent, again = retransmits_of_paths(connection, period, pairs)
    return again / sent if sent >= FEWEST_BYTES_SENT else None
