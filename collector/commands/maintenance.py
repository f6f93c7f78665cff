"""`maintenance`: announced work that takes time out of the verdicts: add, list, remove, import of a calendar."""

import argparse
import getpass
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from collector.commands import CommandError, add_config_argument
from collector.config import read_config
from collector.fleet import Fleet, read_fleet
from collector.ical import CalendarError, Plan, read_calendar
from collector.maintenance import (
    CALENDAR,
    COMMAND,
    SCOPES,
    Announcement,
    Listed,
    check_length,
    check_scope,
    listed,
    listing,
)
from collector.period import parse_period, parse_time, utc, zone_named
from collector.store.maintenance import (
    UnknownMaintenanceError,
    announce,
    announcements_in,
    sync_calendar,
    withdraw,
)
from collector.store.operators import admit, dismiss
from collector.store.schema import DAY_S, StoreError, open_reader, open_writer
from collector.store.tiers import Period
from collector.text_table import aligned

T = TypeVar("T")
PAST_SECONDS, AHEAD_SECONDS = 366 * DAY_S, 366 * DAY_S
"""A calendar is read from so long ago until so far ahead; an endless rule needs another import within the year."""
TIMES = "UTC: 2026-03-01, 2026-03-01T12:00, with an offset, -24h or now"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="add|list|remove|import|operator", required=True)
    add = actions.add_parser("add", help="announce work")
    add.add_argument("--from", dest="start", metavar="TIME", required=True, help=TIMES)
    add.add_argument("--to", dest="end", metavar="TIME", required=True, help="likewise; just before it ends")
    add.add_argument("--reason", required=True, help="as it will stand in the report")
    shown = actions.add_parser("list", help="what is announced, the fleet file's own too")
    shown.add_argument("--from", dest="start", metavar="TIME", help=f"{TIMES}; default 30 days ago")
    shown.add_argument("--to", dest="end", metavar="TIME", help="likewise; default in 30 days")
    shown.add_argument("--removed", action="store_true", help="also what was removed, by whom and when")
    remove = actions.add_parser("remove", help="let the time count after all; the record of it stays")
    remove.add_argument("id", type=int, metavar="ID", help="from `maintenance list`")
    calendar = actions.add_parser("import", help="announce every event of an iCalendar file")
    calendar.add_argument("file", type=Path, metavar="FILE.ics")
    calendar.add_argument(
        "--tz",
        default="UTC",
        metavar="ZONE",
        help="of days and times that name no zone, unless the calendar does; default %(default)s",
    )
    operator = actions.add_parser("operator", help="a token by which somebody may announce over the API")
    operator.add_argument("name", metavar="NAME", help="whose name the record will show")
    operator.add_argument("--revoke", action="store_true", help="take the operator's token away instead")
    for action in (add, calendar):
        _add_scope(action)
    for action in (add, shown, remove, calendar):
        action.add_argument("--json", action="store_true", help="an object, or for list a list of them")
    for action in (add, shown, remove, calendar, operator):
        add_config_argument(action)


def _add_scope(action: argparse.ArgumentParser) -> None:
    words = "covers the paths of this {}; may stand several times"
    for kind in SCOPES:
        one = kind[:-1]
        action.add_argument(
            f"--{one}", dest=kind, action="append", default=[], metavar="NAME", help=words.format(one)
        )
    action.add_argument("--whole-fleet", action="store_true", help="covers every path")


def run(arguments: argparse.Namespace) -> int:
    """Works while the server runs. 1 where there was nothing to remove. Raises ConfigError, CommandError."""
    config = read_config(arguments.config)
    store, now_s = Path(config.store.path), int(time.time())
    if arguments.action == "operator":
        return _operator(store, arguments, now_s)
    fleet = read_fleet(Path(config.fleet.path))
    if arguments.action == "list":
        return _list(store, fleet, arguments, now_s)
    if arguments.action == "remove":
        return _remove(store, arguments, now_s)
    return (_add if arguments.action == "add" else _import)(store, fleet, arguments, now_s)


def _add(store: Path, fleet: Fleet, arguments: argparse.Namespace, now_s: int) -> int:
    try:
        new = _scoped(
            Announcement(
                start_s=parse_time(arguments.start, now_s),
                end_s=parse_time(arguments.end, now_s),
                reason=_reason(arguments.reason),
                origin=COMMAND,
            ),
            fleet,
            arguments,
        )
        check_length(new.start_s, new.end_s)
    except ValueError as error:
        raise CommandError(str(error)) from error
    added = _write(store, lambda connection: announce(connection, new, now_s, _who()))
    late = "; it is marked as added after it began" if added.late else ""
    said = f"maintenance {added.id}: {utc(added.start_s)} to {utc(added.end_s)}{late}"
    print(msgspec.json.encode(listed(added)).decode() if arguments.json else said)
    return 0


def _list(store: Path, fleet: Fleet, arguments: argparse.Namespace, now_s: int) -> int:
    start, end = arguments.start or "-30d", arguments.end or utc(now_s + 30 * DAY_S)
    try:
        period = parse_period(start, end, now_s)
        connection = open_reader(store)
        kept = announcements_in(connection, period, removed=arguments.removed)
        connection.close()
    except (ValueError, StoreError, sqlite3.Error) as error:
        raise CommandError(str(error)) from error
    rows = listing(fleet.maintenance, kept, period)
    print(msgspec.json.encode(rows).decode() if arguments.json else _for_people(rows, period))
    return 0


def _for_people(rows: list[Listed], period: Period) -> str:
    if not rows:
        return f"nothing is announced between {utc(period.start_s)} and {utc(period.end_s)}"
    header = ("id", "start", "end", "scope", "reason", "origin", "added", "by", "note")
    return aligned(
        header,
        [
            (
                row.id,
                row.start,
                row.end,
                "whole fleet" if row.whole_fleet else ", ".join((*row.providers, *row.sites, *row.nodes)),
                row.reason,
                row.origin,
                row.added,
                row.added_by,
                f"removed {row.removed} by {row.removed_by}" if row.removed else "late" if row.late else None,
            )
            for row in rows
        ],
    )


def _remove(store: Path, arguments: argparse.Namespace, now_s: int) -> int:
    try:
        gone = _write(store, lambda connection: withdraw(connection, arguments.id, now_s, _who()))
    except UnknownMaintenanceError:
        print(f"no maintenance {arguments.id} is in force; `maintenance list` shows what is")
        return 1
    said = f"maintenance {gone.id} removed: {utc(gone.start_s)} to {utc(gone.end_s)} counts again"
    print(msgspec.json.encode(listed(gone)).decode() if arguments.json else said)
    return 0


def _import(store: Path, fleet: Fleet, arguments: argparse.Namespace, now_s: int) -> int:
    covered = Period(max(0, now_s - PAST_SECONDS), now_s + AHEAD_SECONDS)
    plan = _plan(arguments.file, covered, arguments.tz)
    windows = []
    try:
        for work in plan.works:
            new = Announcement(
                start_s=work.period.start_s, end_s=work.period.end_s, reason=work.reason, origin=CALENDAR,
                uid=work.uid,
            )  # fmt: skip
            check_length(new.start_s, new.end_s)
            windows.append(_scoped(new, fleet, arguments))
    except ValueError as error:
        raise CommandError(f"{arguments.file}: event {work.uid}: {error}") from error
    done = _write(
        store,
        lambda connection: sync_calendar(connection, plan.uids, windows, covered, now_s, _who()),
    )
    counts = {"events": len(plan.uids), "added": done.added, "removed": done.removed, "kept": done.kept}
    until = utc(covered.end_s)
    if arguments.json:
        print(msgspec.json.encode({**counts, "until": until}).decode())
    else:
        said = ", ".join(f"{count} {name}" for name, count in counts.items())
        print(f"{arguments.file}: {said}; what recurs is announced until {until}")
    return 0


def _plan(file: Path, covered: Period, zone: str) -> Plan:
    try:
        return read_calendar(file.read_bytes(), covered, zone_named(zone))
    except CalendarError as error:
        raise CommandError(f"{file}: {error}") from error
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise CommandError(f"--tz: {error}") from error


def _scoped(new: Announcement, fleet: Fleet, arguments: argparse.Namespace) -> Announcement:
    """With the scope of the arguments. Raises ValueError where it is missing or names nobody."""
    scope = {kind: tuple(dict.fromkeys(getattr(arguments, kind))) for kind in SCOPES}
    if any(scope.values()) == arguments.whole_fleet:
        raise ValueError("say what it covers: --provider, --site or --node, or --whole-fleet")
    scoped = msgspec.structs.replace(new, **scope)
    check_scope(scoped, {"providers": fleet.providers, "sites": fleet.sites, "nodes": fleet.nodes})
    return scoped


def _reason(text: str) -> str:
    reason = " ".join(text.split())
    if not 0 < len(reason) <= 1000:
        raise ValueError("--reason is a line of at most 1000 characters")
    return reason


def _write(store: Path, job: Callable[[sqlite3.Connection], T]) -> T:
    """One transaction. Raises CommandError, and what the job does."""
    try:
        connection = open_writer(store)
        try:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                return job(connection)
        finally:
            connection.close()
    except (StoreError, sqlite3.Error) as error:
        raise CommandError(str(error)) from error


def _who() -> str:
    """Whose name the record shows: who became root by sudo, else the user that runs this."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def _operator(store: Path, arguments: argparse.Namespace, now_s: int) -> int:
    name = " ".join(arguments.name.split())
    if not 0 < len(name) <= 100:
        raise CommandError("an operator's name has 1 to 100 characters")
    try:
        connection = open_writer(store)
        try:
            token = None if arguments.revoke else admit(connection, name, now_s)
            had_one = dismiss(connection, name) if arguments.revoke else True
        finally:
            connection.close()
    except (StoreError, sqlite3.Error) as error:
        raise CommandError(str(error)) from error
    if token is not None:
        print(f"Token of {name}. It is shown only now; one from before no longer works.\n{token}")
    else:
        print(f"{name}: token revoked" if had_one else f"{name}: has no token")
    return 0 if had_one else 1
