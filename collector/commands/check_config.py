"""`check-config FILE...`: reads each file as the collector would, and says what is wrong."""

import argparse
import sys
import tomllib
from pathlib import Path

from agent.wire.settings import ConfigError
from collector.commands import PROGRAM
from collector.config import CollectorConfig, read_config, read_text
from collector.fleet import Fleet, read_fleet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="collector.toml or fleet.toml")


def run(arguments: argparse.Namespace) -> int:
    """Checks every file, also after one that is wrong. 2 where any is."""
    status = 0
    for path in arguments.files:
        try:
            print(f"{path}: {_checked(path)}")
        except ConfigError as error:
            print(f"{PROGRAM}: {error}", file=sys.stderr)
            status = 2
    return status


def _checked(path: Path) -> str:
    """What the file is, in words. Raises ConfigError."""
    if is_collector_config(read_text(path)):
        config = read_config(path)
        config.server.check_web_config()
        fleet_path = Path(config.fleet.path)
        return f"right, and so is {fleet_path}: {_described(read_fleet(fleet_path))}"
    return f"right: {_described(read_fleet(path))}"


def is_collector_config(text: str) -> bool:
    """Whether the text has a table of collector.toml; anything else is taken for a fleet file."""
    try:
        tables = tomllib.loads(text).keys()
    except tomllib.TOMLDecodeError:
        return False
    return not tables.isdisjoint(CollectorConfig.__struct_fields__)


def _described(fleet: Fleet) -> str:
    unplaced = sorted(name for name, coordinates in fleet.coordinates.items() if coordinates is None)
    parts = [f"{len(fleet.nodes)} nodes at {len(fleet.sites)} sites, {len(fleet.pairs)} paths"]
    if unplaced:
        parts.append(f"no coordinates, so no floor: {', '.join(unplaced)}")
    if fleet.pairs_without_family:
        shown = ", ".join(f"{a} → {b}" for a, b in fleet.pairs_without_family[:5])
        parts.append(f"{len(fleet.pairs_without_family)} paths share no address family: {shown}")
    return "; ".join(parts)
