"""The command line: which commands there are, and how each of them ends.

Exit status: 0 done, 1 a check failed, 2 bad usage or configuration. An error is one line on standard error.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from agent import __version__
from agent.wire.settings import ConfigError
from collector.commands import PROGRAM, CommandError

COMMANDS: dict[str, tuple[str, str]] = {
    "serve": ("take the agents' windows, judge every path, show it", "collector.commands.serve"),
    "sla": ("how every path stands over a period", "collector.commands.sla"),
    "maintenance": ("announced work that does not count", "collector.commands.maintenance"),
    "enroll": ("the line that joins a node, with a token by which it may write", "collector.commands.enroll"),
    "revoke": ("take a node's token away", "collector.commands.revoke"),
    "floor": ("light's round trip between two places, and the limit on it", "collector.commands.floor"),
    "calibrate": ("how many measured pairs would keep which limit", "collector.commands.calibrate"),
    "incidents": ("what went wrong, each with its one cause", "collector.commands.incidents"),
    "audit": ("which stated locations cannot be true", "collector.commands.audit"),
    "report": ("a provider's month as a signed folder", "collector.commands.report"),
    "advise": ("what is wrong, what to change, and why", "collector.commands.advise"),
    "effect": ("whether a change on a node helped its paths", "collector.commands.effect"),
    "plan": ("bandwidth tests, their bytes and their price, before any runs", "collector.commands.plan"),
    "check-config": ("whether collector.toml and fleet.toml are right", "collector.commands.check_config"),
}
"""Name → (help, module). A module is imported only when its command is the one asked for."""

_STARTS_WITH_MINUS_NUMBER = re.compile(r"-[0-9.]")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. Returns the exit status; bad usage exits through argparse with 2."""
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = _parser(words).parse_args([_protected(word) for word in words])
    if arguments.command is None:
        _parser(words).error(f"a command is needed: {', '.join(COMMANDS)}")
    try:
        return int(arguments.run(arguments))
    except (ConfigError, CommandError) as error:
        if arguments.debug:
            raise
        status, problem = 2, str(error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # the reader (head, less) left; there is no one to tell
        return 1
    except Exception as error:
        if arguments.debug:
            raise
        status, problem = 1, f"bug: {type(error).__name__}: {error}; --debug shows where"
    print(" ".join(f"{PROGRAM}: {problem}".split()), file=sys.stderr)
    return status


def _protected(word: str) -> str:
    """A place such as -33.9,151.2 is no option; argparse believes so once it starts with a space."""
    return f" {word}" if _STARTS_WITH_MINUS_NUMBER.match(word) else word


class _Parser(argparse.ArgumentParser):
    """Bad usage in one line; --help has the rest."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(prog=PROGRAM, description="Judges every path of a fleet against light in fibre.")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    asked = next((word for word in words if not word.startswith("-")), None)
    for name, (summary, module_name) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        command.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
        if name == asked:
            module = import_module(module_name)
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser
