"""`revoke NODE`: its agent may not write any more."""

import argparse
import sqlite3
from contextlib import closing
from pathlib import Path

from collector.commands import CommandError, add_config_argument
from collector.config import read_config
from collector.store.schema import StoreError, open_writer
from collector.store.tokens import revoke


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("node", metavar="NODE", help="also one that has left the fleet file")
    add_config_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Works while the server runs, which sees it at once. 1 where there was no token. Raises ConfigError, CommandError."""
    config = read_config(arguments.config)
    try:
        with closing(open_writer(Path(config.store.path))) as connection:
            had_one = revoke(connection, arguments.node)
    except (StoreError, sqlite3.Error) as error:
        raise CommandError(str(error)) from error
    print(f"{arguments.node}: token revoked" if had_one else f"{arguments.node}: has no token")
    return 0 if had_one else 1
