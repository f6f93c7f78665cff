"""`effect`: whether a change on a node helped its paths. Reads the store only, also while the server writes."""

import argparse
import sqlite3
import time
from pathlib import Path

import msgspec

from collector.advice.effect import SCALES, Effect, Outcome
from collector.commands import CommandError, add_config_argument
from collector.config import read_config
from collector.effects import ChangeEffect, effect_of_change
from collector.fleet import read_fleet
from collector.period import parse_time
from collector.store.schema import StoreError, open_reader
from collector.text_table import aligned


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("--node", required=True, metavar="NODE", help="where something was changed")
    parser.add_argument(
        "--at", required=True, metavar="TIME", help="when; UTC: 2026-03-01T12:00, with an offset, -24h or -3d"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object: outcome, effects, changed, …")
    add_config_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the effect; 1 where the change did harm. Raises ConfigError, CommandError."""
    now_s = int(time.time())
    try:
        at_s = parse_time(arguments.at, now_s)
    except ValueError as error:
        raise CommandError(f"--at: {error}") from error
    if at_s >= now_s:
        raise CommandError(f"--at {arguments.at}: nothing has been measured after it yet; give a past time")
    config = read_config(arguments.config)
    fleet = read_fleet(Path(config.fleet.path))
    if arguments.node not in fleet.nodes:
        raise CommandError(f"--node {arguments.node}: no node of {config.fleet.path} has this name")
    try:
        connection = open_reader(Path(config.store.path))
        found = effect_of_change(connection, fleet, arguments.node, at_s, now_s)
        connection.close()
    except (StoreError, sqlite3.Error) as error:
        raise CommandError(str(error)) from error
    print(msgspec.json.encode(found).decode() if arguments.json else _for_people(found))
    return 1 if found.outcome is Outcome.HARMED else 0


def _for_people(found: ChangeEffect) -> str:
    lines = [f"{found.node} at {found.at}: {found.outcome}"]
    lines += [f"  {fact.name}: {fact.before} → {fact.after}" for fact in found.changed]
    if not found.effects:
        return "\n".join([*lines, "no path of this node was measured in that time"])
    header = (
        "figure",
        "outcome",
        "change",
        "low",
        "high",
        "paths",
        "controls",
        "hours_before",
        "hours_after",
    )
    lines.append(aligned(header, [_columns(effect) for effect in found.effects]))
    lines += [
        f"{effect.figure}: {effect.reason}{_wait(effect)}"
        for effect in found.effects
        if effect.reason is not None
    ]
    return "\n".join(lines)


def _columns(effect: Effect) -> tuple[object, ...]:
    changes = (_change(effect, value) for value in (effect.change, effect.low, effect.high))
    return (
        effect.figure.value,
        effect.outcome.value,
        *changes,
        effect.touched_paths,
        effect.control_paths,
        effect.hours_before,
        effect.hours_after,
    )


def _change(effect: Effect, value: float | None) -> str | None:
    """Ratios in per cent; differences of ratios in percentage points."""
    if value is None:
        return None
    return f"{100 * value:+.2f}{' %' if SCALES[effect.figure].relative else ' pp'}"


def _wait(effect: Effect) -> str:
    return "" if effect.more_hours is None else f"; wait {effect.more_hours} more hours"
