"""`sla`: how every path stands over a period. Reads the store only, also while the server writes."""

import argparse
import sqlite3
import time
from pathlib import Path

import msgspec

from collector.commands import CommandError, add_config_argument
from collector.config import read_config
from collector.fleet import Fleet, read_fleet
from collector.period import parse_period, utc
from collector.standing import PathStanding, Standing, standing_of_period
from collector.store.schema import DAY_S, StoreError, open_reader
from collector.text_table import aligned


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    add_period_arguments(parser, days=1)
    parser.add_argument(
        "--json", action="store_true", help="a list of objects, one per path, probe and family"
    )
    add_config_argument(parser)


def add_period_arguments(parser: argparse.ArgumentParser, days: int) -> None:
    """--from and --to; days: how long the period is without --from, the same as standing_asked_for is told."""
    times = "UTC: 2026-03-01, 2026-03-01T12:00, with an offset, -24h, -30d or now"
    parser.add_argument(
        "--from",
        dest="start",
        metavar="TIME",
        help=f"{times}; default: {days} {'day' if days == 1 else 'days'} before --to",
    )
    parser.add_argument("--to", dest="end", metavar="TIME", help="likewise; default now")


def standing_asked_for(arguments: argparse.Namespace, days: int) -> tuple[Fleet, Standing]:
    """The fleet, and how its paths stand over the period of --from and --to. Raises ConfigError, CommandError."""
    try:
        period = parse_period(arguments.start, arguments.end, int(time.time()), days * DAY_S)
    except ValueError as error:
        raise CommandError(str(error)) from error
    config = read_config(arguments.config)
    fleet = read_fleet(Path(config.fleet.path))
    try:
        connection = open_reader(Path(config.store.path))
        standing = standing_of_period(connection, fleet, period)
        connection.close()
    except (StoreError, sqlite3.Error) as error:
        raise CommandError(str(error)) from error
    return fleet, standing


def run(arguments: argparse.Namespace) -> int:
    """Prints the table or the JSON. Raises ConfigError, CommandError."""
    _, standing = standing_asked_for(arguments, days=1)
    if arguments.json:
        print(msgspec.json.encode(standing.rows).decode())
    else:
        print(_for_people(standing))
    return 0


def _for_people(standing: Standing) -> str:
    """Times in milliseconds; a dash where there is nothing to say."""
    header = (
        "source",
        "destination",
        "probe",
        "family",
        "verdict",
        "p50_ms",
        "p99_ms",
        "floor_ms",
        "limit_ms",
        "ratio",
        "loss_%",
        "samples",
        "over",
        "excluded_min",
        "maintenance_min",
    )
    said = f"{utc(standing.period.start_s)} to {utc(standing.period.end_s)}"
    if not standing.rows:
        return f"{said}: no path in the fleet file and nothing measured"
    return f"{said}\n{aligned(header, [_columns(row) for row in standing.rows])}"


def _columns(row: PathStanding) -> tuple[object, ...]:
    times = (row.p50_seconds, row.p99_seconds, row.floor_seconds, row.limit_seconds)
    return (
        row.source,
        row.destination,
        row.probe,
        row.family.value,
        row.verdict.value,
        *(None if seconds is None else seconds * 1e3 for seconds in times),
        None if row.ratio_to_floor is None else round(row.ratio_to_floor, 2),
        None if row.loss_ratio is None else round(100 * row.loss_ratio, 3),
        row.samples,
        row.over_limit,
        row.excluded_minutes,
        row.maintenance_minutes,
    )
