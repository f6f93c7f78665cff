"""`enroll NODE`: the token by which a node's agent may write, printed once."""

import argparse
import sqlite3
import time
from pathlib import Path

from collector.commands import CommandError, add_config_argument
from collector.config import CollectorConfig, read_config
from collector.fleet import read_fleet
from collector.store.schema import StoreError, open_writer
from collector.store.tokens import enroll, revoke


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("node", metavar="NODE", help="a node of the fleet file")
    parser.add_argument("--revoke", action="store_true", help="take the node's token away instead")
    parser.add_argument(
        "--token-only", action="store_true", help="print nothing but the token, for a provisioning script"
    )
    add_config_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Works while the server runs, which sees it at once. 1 where there was no token to revoke."""
    config = read_config(arguments.config)
    try:
        connection = open_writer(Path(config.store.path))
        if arguments.revoke:
            return _revoked(arguments.node, revoke(connection, arguments.node))
        _check_known(arguments.node, config)
        token = enroll(connection, arguments.node, int(time.time()))
        connection.close()
    except (StoreError, sqlite3.Error) as error:
        raise CommandError(str(error)) from error
    print(token if arguments.token_only else _for_people(arguments.node, token, config))
    return 0


def _revoked(node: str, there_was_one: bool) -> int:
    print(f"{node}: token revoked" if there_was_one else f"{node}: has no token")
    return 0 if there_was_one else 1


def _check_known(node: str, config: CollectorConfig) -> None:
    known = read_fleet(Path(config.fleet.path)).nodes
    if node not in known:
        names = ", ".join(sorted(known)[:10]) or "none"
        raise CommandError(f"no node is called {node} in {config.fleet.path}; known: {names}")


def _for_people(node: str, token: str, config: CollectorConfig) -> str:
    scheme = "https" if config.server.tls_cert else "http"
    return f"""\
Token of {node}. It is shown only now; a token it had before no longer works.
On the node, put this line into /etc/lightfloor/token (readable by the agent only):

{token}

and this into agent.toml, with an address at which the node reaches this collector:

node = "{node}"

[collector]
url = "{scheme}://COLLECTOR:{config.server.port}"
token_file = "/etc/lightfloor/token"
"""
