"""`enroll NODE`: the line that joins a node, with the token by which its agent may write, printed once."""

import argparse
import sqlite3
import sys
import time
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from collector.commands import CommandError, add_config_argument
from collector.config import CollectorConfig, read_config
from collector.fleet import read_fleet
from collector.joining.line import joining_line, key_pin
from collector.store.schema import StoreError, open_writer
from collector.store.tokens import Enrolment, enroll, enrolments
from collector.text_table import aligned

DEFAULT_OVERLAP_HOURS = 24.0
MOST_OVERLAP_HOURS = 8760


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("node", nargs="?", metavar="NODE", help="a node of the fleet file")
    asked.add_argument("--list", action="store_true", help="who has a token, since when, and who has none")
    parser.add_argument("--rotate", action="store_true", help="a new token for a node that has one")
    parser.add_argument(
        "--overlap-hours",
        type=float,
        default=DEFAULT_OVERLAP_HOURS,
        metavar="HOURS",
        help="with --rotate: how long the old token stays good; 0 where it has leaked; default %(default)g",
    )
    parser.add_argument(
        "--token-only", action="store_true", help="print nothing but the token, for a provisioning script"
    )
    parser.add_argument(
        "--json", action="store_true", help="node, token and line as one object; a list with --list"
    )
    add_config_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Works while the server runs, which sees it at once. Raises ConfigError, CommandError."""
    if not 0 <= arguments.overlap_hours <= MOST_OVERLAP_HOURS:
        raise CommandError(
            f"--overlap-hours lies between 0 and {MOST_OVERLAP_HOURS}, not {arguments.overlap_hours:g}"
        )
    config = read_config(arguments.config)
    known = read_fleet(Path(config.fleet.path)).nodes
    try:
        with closing(open_writer(Path(config.store.path))) as connection:
            held = enrolments(connection, int(time.time()))
            if arguments.list:
                print(_list(held, known.keys(), json=arguments.json))
                return 0
            if arguments.node not in known:
                names = ", ".join(sorted(known)[:10]) or "none"
                raise CommandError(
                    f"no node is called {arguments.node} in {config.fleet.path}; known: {names}"
                )
            token, line = _enrolled(arguments, config, held, connection)
    except (StoreError, sqlite3.Error) as error:
        raise CommandError(str(error)) from error
    if arguments.json:
        print(msgspec.json.encode({"node": arguments.node, "token": token, "line": line}).decode())
    elif arguments.token_only:
        print(token)
    else:
        _print_for_people(config, arguments.node, token, line)
    return 0


def _enrolled(
    arguments: argparse.Namespace,
    config: CollectorConfig,
    held: list[Enrolment],
    connection: sqlite3.Connection,
) -> tuple[str, str | None]:
    """The new token and the line that carries it. Raises CommandError before anything is changed."""
    node = arguments.node
    before = next((each for each in held if each.node == node), None)
    if before is not None and not arguments.rotate:
        raise CommandError(
            f"{node} has had a token since {_when(before.created_s)}; --rotate makes a new one"
        )
    pin = _pin(config)
    token = enroll(connection, node, int(time.time()), round(arguments.overlap_hours * 3600))
    return token, _line(config, node, token, pin)


def _pin(config: CollectorConfig) -> str | None:
    """Of the certificate that is served, None where something else serves TLS. Raises CommandError."""
    tls = config.server.web_config().tls_server_config
    if tls is None:
        return None
    try:
        return key_pin(Path(tls.cert_file).read_bytes())
    except (OSError, ValueError) as error:
        raise CommandError(f"the served certificate {tls.cert_file}: {error}") from error


def _line(config: CollectorConfig, node: str, token: str, pin: str | None) -> str | None:
    """None where a server could not be sure whose script it runs: no https, or a private authority and no key to pin."""
    url = config.enroll.url
    if url is None or not url.startswith("https://") or (config.enroll.ca_file is not None and pin is None):
        return None
    return joining_line(url.rstrip("/"), node, token, pin)


def _print_for_people(config: CollectorConfig, node: str, token: str, line: str | None) -> None:
    """The line alone on standard output, where a shell may wait for it; everything else beside it."""
    if line is None:
        print(_by_hand(config, node, token), end="", file=sys.stderr)
        return
    print(f"Token of {node}, shown only now. In a root shell on the new server,", file=sys.stderr)
    print("or piped into `ssh root@SERVER sh`:\n", file=sys.stderr, flush=True)
    print(line)


def _by_hand(config: CollectorConfig, node: str, token: str) -> str:
    scheme = "https" if config.server.web_config().tls_server_config else "http"
    url = config.enroll.url or f"{scheme}://COLLECTOR:{config.server.port}"
    return f"""\
A line that joins by itself needs [enroll] url with https, and with a ca_file also that this collector itself serves TLS.
By hand: this token of {node}, shown only now, into /etc/lightfloor/token (root's, mode 0600)

{token}

and this into /etc/lightfloor/agent.toml

node = "{node}"

[collector]
url = "{url}"
token_file = "token"
"""


def _list(held: list[Enrolment], known: Iterable[str], *, json: bool) -> str:
    """Every token, then every node of the fleet file without one. Times as ISO 8601, None where there is none."""
    rows = [(each.node, *map(_when, (each.created_s, each.expires_s, each.last_batch_s))) for each in held]
    rows += [(node, None, None, None) for node in sorted(set(known) - {each.node for each in held})]
    keys = ("node", "since", "until", "last_batch")
    if json:
        return msgspec.json.encode([dict(zip(keys, row, strict=True)) for row in rows]).decode()
    return aligned(("node", "token since", "until", "last batch"), rows)


def _when(at_s: int | None) -> str | None:
    return None if at_s is None else f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
