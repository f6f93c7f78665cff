"""Facts and events: what a host is, and what happened once."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from agent.wire.batch import Event, Fact
from collector.store.tiers import Period

MOST_DETAIL_BYTES = 65536
"""Of one fact's value or one event's detail, as JSON."""


class UnreasonableError(ValueError):
    """A fact or event that no sane agent sends; the message says which."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One event as its node reported it."""

    node: str
    time_s: int
    kind: str
    destination: str | None
    family: str | None
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StoredFact:
    """The latest value of one fact. value None comes with its reason; seen_s: when the node last said so."""

    node: str
    fact: Fact
    seen_s: int


@dataclass(frozen=True, slots=True)
class FactChange:
    """A fact that was known and then had another value."""

    node: str
    name: str
    time_s: int
    before: Any
    after: Any


def store_facts(connection: sqlite3.Connection, node: int, facts: Iterable[Fact]) -> None:
    """What changed goes to the history; the latest value and when it was last seen stand in fact.

    Raises UnreasonableError.
    """
    for fact in facts:
        value = _bounded(fact.value, f"fact {fact.name}")
        said = (value, fact.source, fact.reason)
        before = connection.execute(
            "SELECT value, source, reason FROM fact WHERE (node, name) = (?, ?)", (node, fact.name)
        ).fetchone()
        if before == said:
            connection.execute(
                "UPDATE fact SET seen_s = max(seen_s, ?) WHERE (node, name) = (?, ?)",
                (fact.time_s, node, fact.name),
            )
            continue
        connection.execute(
            "INSERT OR REPLACE INTO fact (node, name, value, source, reason, changed_s, seen_s)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (node, fact.name, *said, fact.time_s, fact.time_s),
        )
        connection.execute(
            "INSERT OR REPLACE INTO fact_change (node, name, value, source, reason, time_s)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (node, fact.name, *said, fact.time_s),
        )


def store_events(connection: sqlite3.Connection, node: int, events: Iterable[Event], last_s: int) -> None:
    """Every event as it came; one later than last_s has no believable clock. Raises UnreasonableError."""
    for event in events:
        if event.time_s > last_s:
            raise UnreasonableError(f"event {event.kind}: time_s {event.time_s} is more than a day ahead")
        connection.execute(
            "INSERT INTO event (node, time_s, kind, destination, family, detail) VALUES (?, ?, ?, ?, ?, ?)",
            (
                node,
                event.time_s,
                event.kind,
                event.destination,
                event.family,
                _bounded(event.detail, f"event {event.kind}"),
            ),
        )


def load_facts(connection: sqlite3.Connection, node: str | None = None) -> Iterator[StoredFact]:
    """The latest value of every fact, of one node or of all, in order of node and name."""
    rows = connection.execute(
        "SELECT node.name, fact.name, value, source, reason, changed_s, seen_s FROM node JOIN fact ON fact.node = node.id"
        " WHERE ?1 IS NULL OR node.name = ?1 ORDER BY node.name, fact.name",
        (node,),
    )
    for name, fact, value, source, reason, changed_s, seen_s in rows:
        yield StoredFact(name, Fact(fact, msgspec.json.decode(value), source, changed_s, reason), seen_s)


def load_fact_changes(
    connection: sqlite3.Connection, period: Period, node: str | None = None
) -> list[FactChange]:
    """Facts that changed in the period, of one node or of all, oldest first.

    The first value that is stored of a fact is no change, nor is a time in which it could not be read.
    """
    rows = connection.execute(
        "SELECT name, fact, time_s, before, value FROM (SELECT node.name AS name, fact_change.name AS fact, time_s, value,"
        " lag(value) OVER (PARTITION BY node, fact_change.name ORDER BY time_s) AS before"
        " FROM fact_change JOIN node ON node.id = fact_change.node"
        " WHERE (?1 IS NULL OR node.name = ?1) AND value <> 'null') WHERE before <> value"
        " AND time_s >= ?2 AND time_s < ?3 ORDER BY time_s, name, fact",
        (node, period.start_s, period.end_s),
    )
    return [
        FactChange(name, fact, time_s, msgspec.json.decode(before), msgspec.json.decode(value))
        for name, fact, time_s, before, value in rows
    ]


def events_of_path(
    connection: sqlite3.Connection, period: Period, source: str, destination: str, most: int = 100
) -> list[StoredEvent]:
    """The latest events of one path, newest first."""
    rows = connection.execute(
        "SELECT node.name, time_s, kind, destination, family, detail FROM event JOIN node ON node.id = event.node"
        " WHERE node.name = ? AND destination = ? AND time_s >= ? AND time_s < ? ORDER BY time_s DESC LIMIT ?",
        (source, destination, period.start_s, period.end_s, most),
    )
    return [_stored(row) for row in rows]


def events_of_kinds(
    connection: sqlite3.Connection, period: Period, kinds: Sequence[str]
) -> Iterator[StoredEvent]:
    """Every node's events of these kinds, in order of time."""
    rows = connection.execute(
        "SELECT node.name, time_s, kind, destination, family, detail FROM event JOIN node ON node.id = event.node"
        f" WHERE time_s >= ? AND time_s < ? AND kind IN ({', '.join('?' * len(kinds))}) ORDER BY time_s, event.id",
        (period.start_s, period.end_s, *kinds),
    )
    return map(_stored, rows)


def _stored(row: tuple[Any, ...]) -> StoredEvent:
    node, time_s, kind, destination, family, detail = row
    return StoredEvent(node, time_s, kind, destination, family, msgspec.json.decode(detail))


def latest_events(
    connection: sqlite3.Connection, kind: str, period: Period
) -> dict[tuple[str, str, str], tuple[int, StoredEvent]]:
    """(source, destination, family) → how many events of this kind its path had in the period, and the latest."""
    rows = connection.execute(
        "SELECT node.name, max(time_s), destination, family, detail, count(*)"  # bare columns are of the row with the maximum
        " FROM event JOIN node ON node.id = event.node WHERE kind = ? AND time_s >= ? AND time_s < ?"
        " AND destination IS NOT NULL AND family IS NOT NULL GROUP BY event.node, destination, family",
        (kind, period.start_s, period.end_s),
    )
    return {
        (node, destination, family): (
            count,
            StoredEvent(node, time_s, kind, destination, family, msgspec.json.decode(detail)),
        )
        for node, time_s, destination, family, detail, count in rows
    }


def _bounded(value: Any, what: str) -> str:
    text = msgspec.json.encode(value)
    if len(text) > MOST_DETAIL_BYTES:
        raise UnreasonableError(f"{what}: more than {MOST_DETAIL_BYTES} bytes")
    return text.decode()
