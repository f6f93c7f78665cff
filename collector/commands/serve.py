"""`serve`: the server, until SIGTERM."""

import argparse

import msgspec
import uvloop

from collector import app, logs
from collector.commands import CommandError, add_config_argument
from collector.config import LOG_FORMATS, LOG_LEVELS, CollectorConfig, read_config
from collector.store.schema import StoreError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    add_config_argument(parser)
    parser.add_argument(
        "--web.listen-address",
        dest="listen",
        metavar="HOST:PORT",
        help="in place of [server] address and port",
    )
    parser.add_argument(
        "--web.config.file",
        dest="web_config",
        metavar="FILE",
        help="TLS, passwords and headers, in place of what [server] has of them",
    )
    parser.add_argument(
        "--web.systemd-socket",
        dest="systemd_socket",
        action="store_true",
        help="listen on the sockets that systemd hands over",
    )
    parser.add_argument("--log.level", dest="log_level", choices=LOG_LEVELS, help="in place of [log] level")
    parser.add_argument(
        "--log.format", dest="log_format", choices=LOG_FORMATS, help="in place of [log] format"
    )


def run(arguments: argparse.Namespace) -> int:
    """Serves until SIGTERM or SIGINT. Raises ConfigError, CommandError."""
    config = read_config(arguments.config)
    if arguments.listen:
        config = _listening_at(config, arguments.listen)
    if arguments.web_config:
        server = msgspec.structs.replace(
            config.server, tls_cert=None, tls_key=None, web_config_file=arguments.web_config
        )
        config = msgspec.structs.replace(config, server=server)
    logs.configure(arguments.log_level or config.log.level, arguments.log_format or config.log.format)
    try:
        uvloop.run(app.serve(config, systemd_socket=arguments.systemd_socket))
    except StoreError as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(error.strerror or str(error)) from error
    return 0


def _listening_at(config: CollectorConfig, listen: str) -> CollectorConfig:
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise CommandError(f"--web.listen-address: HOST:PORT or :PORT, not {listen!r}")
    server = msgspec.structs.replace(config.server, address=host.strip("[]") or "", port=int(port))
    return msgspec.structs.replace(config, server=server)
