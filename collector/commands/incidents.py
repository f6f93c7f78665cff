"""`incidents`: what went wrong in a period, each with its one cause. Reads the store only, also while the server writes."""

import argparse
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from collector.commands import CommandError, add_config_argument
from collector.config import read_config
from collector.fleet import read_fleet
from collector.incidents.incident import Incident
from collector.incidents.listing import line_of
from collector.incidents.record import Found, found_in_period
from collector.incidents.steps import Step, steps_of_period
from collector.incidents.words import also_words, cause_words, in_a_line, step_in_a_line
from collector.period import parse_period, utc
from collector.store.query import anything_measured
from collector.store.schema import StoreError, open_reader
from collector.text_table import aligned


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument(
        "--since",
        metavar="TIME",
        help="UTC: 2026-03-01, 2026-03-01T12:00, with an offset, or how long ago: -24h, -30d; default -24h",
    )
    parser.add_argument("--until", metavar="TIME", help="likewise; default now")
    parser.add_argument("--id", metavar="ID", help="all that is known of this one")
    parser.add_argument(
        "--json",
        action="store_true",
        help="one JSON object: incidents, excused, steps, measured; with --id the incident",
    )
    add_config_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the incidents. Raises ConfigError, CommandError."""
    try:
        period = parse_period(arguments.since, arguments.until, int(time.time()))
    except ValueError as error:
        raise CommandError(str(error)) from error
    config = read_config(arguments.config)
    fleet = read_fleet(Path(config.fleet.path))
    try:
        connection = open_reader(Path(config.store.path))
        found = found_in_period(connection, fleet, period)
        steps = [] if arguments.id else steps_of_period(connection, fleet, period)
        measured = anything_measured(connection, period)
        connection.close()
    except (StoreError, sqlite3.Error) as error:
        raise CommandError(str(error)) from error
    if arguments.id is not None:
        incident = found.named(arguments.id)
        if incident is None:
            raise CommandError(
                f"no incident {arguments.id} between {utc(period.start_s)} and {utc(period.end_s)}"
            )
        print(msgspec.json.encode(incident).decode() if arguments.json else _at_length(incident))
    elif arguments.json:
        lists = {name: [line_of(each) for each in getattr(found, name)] for name in ("incidents", "excused")}
        print(msgspec.json.encode({**lists, "steps": steps, "measured": measured}).decode())
    else:
        print(f"{utc(period.start_s)} to {utc(period.end_s)}: {_for_people(found, steps, measured=measured)}")
    return 0


def _for_people(found: Found, steps: Sequence[Step], *, measured: bool) -> str:
    if not found.incidents and not found.excused and not steps:
        return "no incident" if measured else "nothing was measured in that time"
    header = ("id", "start", "end", "cause and extent")
    rows = [(each.id, *_times(each), in_a_line(each) + _times_again(each)) for each in found.incidents]
    said = f"{len(rows)} incident{'s' if len(rows) != 1 else ''}"
    lines = [said, aligned(header, rows)] if rows else [said]
    if found.excused:
        lines.append("announced work, no incidents:")
        lines += [f"  {utc(e.start_s)} {e.maintenance}: {in_a_line(e)}" for e in found.excused]
    if steps:
        lines.append("steps in the fastest round trip (a route changed, a machine moved):")
        lines += [f"  {each.time} {step_in_a_line(each)}" for each in steps]
    return "\n".join(lines)


def _times(incident: Incident) -> tuple[str, str]:
    return utc(incident.start_s), "open" if incident.end_s is None else utc(incident.end_s)


def _times_again(incident: Incident) -> str:
    return f"; {len(incident.occurrences)} times at these hours" if incident.recurring else ""


def _at_length(incident: Incident) -> str:
    start, end = _times(incident)
    lines = [f"{incident.id}: {start} to {end}", in_a_line(incident)]
    if incident.cause.also:
        lines.append(f"as well explained by: {also_words(incident.cause)}")
    if incident.breaks_limit is not None:
        lines.append("over the limit" if incident.breaks_limit else "within the limit")
    if incident.stepped:
        lines.append("the fastest samples are slow too: a longer route, not a fuller queue")
    lines += [
        f"{cause_words(incident.cause)}: {flag} up to {figure:.4g}" for flag, figure in incident.flags.items()
    ]
    if incident.recurring:
        lines.append(
            f"{len(incident.occurrences)} times: " + ", ".join(utc(o.start_s) for o in incident.occurrences)
        )
    lines += [
        f"  {utc(change.time_s)} {change.kind} {change.source} → {change.destination}"
        for change in incident.changes
    ]
    header = ("source", "destination", "figure", "usual", "hit", "of")
    rows = [
        (path.source, path.destination, path.figure, path.usual, path.hit, path.probes)
        for path in incident.paths
    ]
    return "\n".join([*lines, aligned(header, rows)])
