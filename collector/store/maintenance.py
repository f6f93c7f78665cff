"""Announced work as it is kept: rows that are added and marked as removed, never changed otherwise."""

import json
import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import msgspec

from collector.maintenance import SCOPES, Announcement, check_length
from collector.store.tiers import Period

_COLUMNS = "id, start_s, end_s, reason, scope, origin, uid, added_s, added_by, removed_s, removed_by"


class UnknownMaintenanceError(KeyError):
    """No maintenance with this id is in force."""


@dataclass(frozen=True, slots=True)
class Synced:
    """What taking in a calendar changed: numbers of windows."""

    added: int
    removed: int
    kept: int


def announcements_in(
    connection: sqlite3.Connection, period: Period | None = None, *, removed: bool = False
) -> list[Announcement]:
    """In order of time: those that touch the period, or all; also what was removed, where asked for."""
    start_s, end_s = (period.start_s, period.end_s) if period else (0, 2**62)
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM maintenance WHERE start_s < ? AND end_s > ? AND (removed_s IS NULL OR ?)"
        " ORDER BY start_s, id",
        (end_s, start_s, removed),
    )
    return [_announcement(row) for row in rows]


def announce(connection: sqlite3.Connection, new: Announcement, now_s: int, by: str) -> Announcement:
    """Add it inside the open transaction; returns it with its id. Raises ValueError for an impossible length."""
    check_length(new.start_s, new.end_s)
    scope = json.dumps({name: list(getattr(new, name)) for name in SCOPES if getattr(new, name)})
    number = connection.execute(
        "INSERT INTO maintenance (start_s, end_s, reason, scope, origin, uid, added_s, added_by)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (new.start_s, new.end_s, new.reason, scope, new.origin, new.uid, now_s, by),
    ).fetchone()[0]
    return msgspec.structs.replace(new, id=number, added_s=now_s, added_by=by)


def withdraw(connection: sqlite3.Connection, number: int, now_s: int, by: str) -> Announcement:
    """Mark it as removed inside the open transaction. Raises UnknownMaintenanceError."""
    row = connection.execute(
        "UPDATE maintenance SET removed_s = ?, removed_by = ? WHERE id = ? AND removed_s IS NULL"
        f" RETURNING {_COLUMNS}",
        (now_s, by, number),
    ).fetchone()
    if row is None:
        raise UnknownMaintenanceError(number)
    return _announcement(row)


def sync_calendar(
    connection: sqlite3.Connection,
    uids: Collection[str],
    windows: Iterable[Announcement],
    covered: Period,
    now_s: int,
    by: str,
) -> Synced:
    """Make the windows of these events those given, inside the open transaction; other events stay as they are.

    covered: the time for which the calendar was read; what lies outside of it stays too. The same again changes nothing.
    """
    known = {
        _same(each): each
        for each in announcements_in(connection, covered)
        if each.uid in uids and covered.start_s <= each.start_s
    }
    wanted = {_same(each): each for each in windows}
    gone = [each.id for key, each in known.items() if key not in wanted and each.id is not None]
    new = [each for key, each in wanted.items() if key not in known]
    for number in gone:
        withdraw(connection, number, now_s, by)
    for each in new:
        announce(connection, each, now_s, by)
    return Synced(len(new), len(gone), len(wanted) - len(new))


def _same(each: Announcement) -> Announcement:
    """What the calendar says of it, without what the store adds."""
    return msgspec.structs.replace(each, id=None, added_s=None, added_by=None)


def _announcement(row: tuple[object, ...]) -> Announcement:
    values = dict(zip(_COLUMNS.split(", "), row, strict=True))
    scope = {name: tuple(names) for name, names in json.loads(str(values.pop("scope"))).items()}
    return Announcement(**values, **scope)  # type: ignore[arg-type]  # a row of our own table
