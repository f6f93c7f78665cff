"""The command line: arguments in, one result or one line of error out.

Exit status: 0 done; 1 a check failed or a target did not answer; 2 bad usage or configuration.
"""

import argparse
import asyncio
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson

from agent import __version__
from agent.flags import probe_flags
from agent.inspect import SOURCES, inspect
from agent.kernel.parse_error import ParseError
from agent.probes import PROBES, Probe
from agent.wire.settings import ConfigError, convert

DEFAULT_CONFIG = "/etc/lightfloor/agent.toml"
DONE, FAILED, BAD_USAGE = 0, 1, 2


def run_command(argv: Sequence[str]) -> int:
    """Run one command and return the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except BrokenPipeError:  # whoever read our output has seen enough
        sys.stdout = None
        return DONE
    except (ConfigError, OSError) as error:
        if arguments.debug:
            traceback.print_exc()
        print(f"lightfloor-agent: {_words(error)}", file=sys.stderr)
        return BAD_USAGE
    except KeyboardInterrupt:
        return 130


def _words(error: Exception) -> str:
    """One line: an operating system's error with the file it is about, without its number."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lightfloor-agent", description="Measures the network from this node."
    )
    parser.add_argument("--version", action="version", version=f"lightfloor-agent {__version__}")
    parser.add_argument("--debug", action="store_true", help="show a traceback with an error")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_run(commands)
    _add_probe(commands)
    _add_inspect(commands)
    _add_facts(commands)
    _add_advise(commands)
    _add_check_config(commands)
    _add_selftest(commands)
    return parser


def _command(
    commands: Any, name: str, summary: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=summary)
    command.set_defaults(run=run)
    return command


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")


def _add_run(commands: Any) -> None:
    command = _command(
        commands, "run", "Run the agent until SIGTERM; SIGHUP reloads its configuration.", _run
    )
    command.add_argument(
        "--config.file", dest="config", default=DEFAULT_CONFIG, metavar="FILE", help="default: %(default)s"
    )
    command.add_argument(
        "--web.listen-address",
        dest="listen",
        metavar="[HOST]:PORT",
        help="instead of exporter.listen_address",
    )
    command.add_argument(
        "--web.config.file", dest="web_config", metavar="FILE", help="instead of exporter.web_config_file"
    )
    command.add_argument(
        "--web.systemd-socket",
        dest="systemd_socket",
        action="store_true",
        help="listen on the sockets that systemd hands over",
    )
    command.add_argument("--log.level", dest="log_level", choices=("debug", "info", "warning", "error"))
    command.add_argument("--log.format", dest="log_format", choices=("logfmt", "json"))


def _run(arguments: argparse.Namespace) -> int:
    import uvloop

    from agent import config, log
    from agent.net import memory

    with memory.without_authorities():
        from agent import app

    path = Path(arguments.config)

    def load() -> config.Config:
        return config.override(
            config.load(path),
            arguments.listen,
            arguments.web_config,
            arguments.log_level,
            arguments.log_format,
        )

    loaded = load()
    log.configure(loaded.log.level, loaded.log.format)
    uvloop.run(app.main(loaded, load, systemd_socket=arguments.systemd_socket))
    return DONE


def _add_probe(commands: Any) -> None:
    command = _command(commands, "probe", "Probe one target by hand and print what came back.", _probe)
    kinds = command.add_subparsers(title="kinds of probe", required=True, metavar="KIND", dest="kind")
    for kind, probe in PROBES.items():
        each = kinds.add_parser(kind, help=probe.summary, description=probe.summary)
        each.add_argument(
            "target",
            metavar=_target_form(probe),
            help="IPv6 addresses in brackets: [::1]:443",
        )
        each.add_argument(
            "-c",
            "--count",
            type=_positive(int),
            default=probe.count,
            help="probes to send (default %(default)s)",
        )
        each.add_argument(
            "-i",
            "--interval",
            type=_positive(float),
            default=0.2,
            metavar="SECONDS",
            help="default %(default)s",
        )
        each.add_argument(
            "-t",
            "--timeout",
            type=_positive(float),
            default=2.0,
            metavar="SECONDS",
            help="of each, default %(default)s",
        )
        family = each.add_mutually_exclusive_group()
        family.add_argument("-4", dest="family", action="store_const", const="ipv4", help="IPv4 only")
        family.add_argument("-6", dest="family", action="store_const", const="ipv6", help="IPv6 only")
        each.add_argument("--json", action="store_true", help="print one JSON object")
        if probe.fleet_only:
            each.add_argument(
                "--allow-any", action="store_true", help="also a target that is no peer of this node"
            )
            each.add_argument(
                "--config.file",
                dest="config",
                default=DEFAULT_CONFIG,
                metavar="FILE",
                help="whose peers are the fleet",
            )
        for option in probe_flags(probe.options):
            each.add_argument(option.flag, dest=f"option_{option.name}", help=option.help, **option.arguments)


def _target_form(probe: Probe) -> str:
    if not probe.has_port:
        return "HOST"
    return "HOST:PORT" if probe.default_port is None else "HOST[:PORT]"


def _positive(kind: type) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = -1
        if not 0 < value < 1e9:
            raise argparse.ArgumentTypeError(f"expected a positive number, got {text!r}")
        return value

    return parse


def _probe(arguments: argparse.Namespace) -> int:
    from agent import byhand, fleet

    probe = PROBES[arguments.kind]
    chosen = {
        name.removeprefix("option_"): value
        for name, value in vars(arguments).items()
        if name.startswith("option_") and value is not None
    }
    options = convert(chosen, probe.options, f"probe {arguments.kind}", strict=False)
    host, port = byhand.split_target(arguments.target, probe.has_port, probe.default_port)
    request = byhand.Request(
        arguments.kind,
        options,
        host,
        port,
        arguments.family,
        arguments.count,
        arguments.interval,
        arguments.timeout,
    )
    if probe.fleet_only and not arguments.allow_any:
        asyncio.run(fleet.require_member(host, arguments.family, Path(arguments.config)))
    result = asyncio.run(byhand.probe(request))
    print_json(result.as_json()) if arguments.json else print(result.as_text())
    return DONE if result.answered else FAILED


def _add_inspect(commands: Any) -> None:
    command = _command(commands, "inspect", "Parse what a kernel or a tool printed, as JSON.", _inspect)
    command.add_argument("source", choices=sorted(SOURCES), metavar="SOURCE", help=", ".join(sorted(SOURCES)))
    command.add_argument("file", nargs="?", default="-", metavar="FILE", help="- is standard input (default)")
    command.add_argument("--json", action="store_true", help="JSON is all there is; accepted for symmetry")


def _inspect(arguments: argparse.Namespace) -> int:
    try:
        with sys.stdin.buffer if arguments.file == "-" else Path(arguments.file).open("rb") as stream:
            print_json(inspect(arguments.source, stream))
    except OSError as error:
        raise ConfigError(arguments.file, "", f"cannot be read: {error.strerror}") from error
    except ParseError as error:
        print(f"lightfloor-agent: {arguments.file}: {error}", file=sys.stderr)
        return FAILED
    return DONE


def _add_facts(commands: Any) -> None:
    command = _command(commands, "facts", "The facts of this host, or of another's captured tree.", _facts)
    command.add_argument(
        "--root", default="/", metavar="DIR", help="folder with proc, sys and etc in it, default /"
    )
    command.add_argument(
        "--cloud-metadata", metavar="URL", help="also ask the provider's metadata service there"
    )
    command.add_argument("--json", action="store_true", help="print a list of objects")


def _facts(arguments: argparse.Namespace) -> int:
    import time

    import msgspec

    from agent.hostfacts import collect

    try:
        facts = collect(Path(arguments.root), int(time.time()), arguments.cloud_metadata)
    except NotADirectoryError as error:
        raise ConfigError(
            arguments.root, "", "is no folder; expected one with proc, sys and etc in it"
        ) from error
    if arguments.json:
        print_json(msgspec.to_builtins(facts))
        return DONE
    width = max((len(fact.name) for fact in facts), default=0)
    for fact in facts:
        value = f"({fact.reason})" if fact.value is None else orjson.dumps(fact.value).decode()
        print(f"{fact.name:<{width}}  {value}")
    return DONE


def _add_advise(commands: Any) -> None:
    command = _command(
        commands,
        "advise",
        "What is wrong with this host or another's captured tree, what to change, how to undo it.",
        _advise,
    )
    command.add_argument(
        "--root", default="/", metavar="DIR", help="folder with proc, sys and etc in it, default /"
    )
    command.add_argument(
        "--config.file",
        dest="config",
        default=DEFAULT_CONFIG,
        metavar="FILE",
        help="whose spooled windows tell of the paths (default: %(default)s, where it can be read)",
    )
    command.add_argument("--lang", choices=("en", "zh"), default="en", help="default: %(default)s")
    command.add_argument(
        "--undecided", action="store_true", help="also the rules that could not be decided, and why"
    )
    command.add_argument(
        "--write", metavar="DIR", help="write a sysctl.d file, a shell script and an Ansible playbook there"
    )
    command.add_argument("--json", action="store_true", help="print a list of findings")


def _advise(arguments: argparse.Namespace) -> int:
    from agent import advising, config

    spool = None
    if arguments.root == "/" and Path(arguments.config).is_file():
        spool = Path(config.load(Path(arguments.config)).state_directory) / "spool"
    result = advising.run(arguments, spool)
    print_json(result) if arguments.json else print(result)
    return DONE


def _add_check_config(commands: Any) -> None:
    command = _command(commands, "check-config", "Check a configuration file.", _check_config)
    command.add_argument(
        "file", nargs="?", default=DEFAULT_CONFIG, metavar="FILE", help="default: %(default)s"
    )


def _check_config(arguments: argparse.Namespace) -> int:
    from agent import config
    from agent.web.config import read_web_config
    from agent.web.tls import server_context

    loaded = config.load(Path(arguments.file))
    web_file = loaded.exporter.web_config_file
    if web_file is not None:
        tls = read_web_config(Path(web_file)).tls_server_config
        if tls is not None:
            server_context(tls, web_file, insist=True)
    print(f"{arguments.file}: ok, node {loaded.node}, {len(loaded.peers)} peers of its own")
    return DONE


def _add_selftest(commands: Any) -> None:
    command = _command(
        commands, "selftest", "Try everything on this host: probes, kernel, disk, collector.", _selftest
    )
    command.add_argument(
        "--config.file", dest="config", metavar="FILE", help=f"default: {DEFAULT_CONFIG}, if it is there"
    )
    command.add_argument("--json", action="store_true", help="print a list of objects")


def _selftest(arguments: argparse.Namespace) -> int:
    import msgspec

    from agent import config
    from agent.selftest import run
    from agent.selftest.check import all_well, as_text

    path = Path(arguments.config or DEFAULT_CONFIG)
    loaded = config.load(path) if arguments.config or path.exists() else None
    checks = asyncio.run(run.everything(loaded, path.parent))
    print_json(msgspec.to_builtins(checks)) if arguments.json else print(as_text(checks))
    return DONE if all_well(checks) else FAILED
