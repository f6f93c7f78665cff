"""One module per command: add_arguments(parser) and run(arguments) → exit status. Listed in collector/cli.py."""

import argparse
from pathlib import Path

PROGRAM = "lightfloor-collector"


class CommandError(Exception):
    """The command cannot do what was asked; the message is the one line shown. Exit status 2."""


DEFAULT_CONFIG = Path("/etc/lightfloor/collector.toml")


def add_config_argument(parser: argparse.ArgumentParser) -> None:
    """--config.file, for commands that need the store or the fleet."""
    parser.add_argument(
        "--config.file",
        dest="config",
        type=Path,
        default=DEFAULT_CONFIG,
        metavar="FILE",
        help="collector.toml; default %(default)s",
    )
