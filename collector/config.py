"""collector.toml: what the collector itself needs to run. The fleet it judges is in fleet.toml (fleet.py)."""

import re
from pathlib import Path
from typing import Annotated

import msgspec

from agent.web.config import TlsServer, WebConfig, read_web_config
from agent.web.tls import server_context
from agent.wire.assignment import Port
from agent.wire.settings import ConfigError, decode_toml
from collector.period import zone_named

Days = Annotated[int, msgspec.Meta(ge=1, le=36500)]
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("logfmt", "json")
_URL = re.compile(r"https?://[A-Za-z0-9.:_\[\]-]+(/[A-Za-z0-9._~/-]*)?")
BodyBytes = Annotated[int, msgspec.Meta(ge=1024, le=2**30)]


class Server(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where HTTP is served. Loopback by default: opening the pages to the world is the operator's decision.

    tls_cert, tls_key: enough for HTTPS. web_config_file: TLS, passwords and headers in the format of Prometheus'
    exporters (agent.web.config), in place of those two.
    """

    address: str = "127.0.0.1"
    port: Port = 10990
    tls_cert: str | None = None
    tls_key: str | None = None
    web_config_file: str | None = None

    def __post_init__(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key are given together or not at all")
        if self.tls_cert is not None and self.web_config_file is not None:
            raise ValueError("web_config_file has the certificate too: give it, or tls_cert and tls_key")

    def web_config(self) -> WebConfig:
        """How the port is protected. Raises ConfigError for a web configuration file that is wrong."""
        if self.web_config_file is not None:
            return read_web_config(Path(self.web_config_file))
        if self.tls_cert is None or self.tls_key is None:
            return WebConfig()
        return WebConfig(tls_server_config=TlsServer(self.tls_cert, self.tls_key))

    def check_web_config(self) -> None:
        """Raise ConfigError for a web configuration, certificate or key that cannot be used."""
        tls = self.web_config().tls_server_config
        if tls is not None:
            server_context(tls, self.web_config_file or "[server]", insist=False)


class RetentionDays(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How long rows of each tier are kept."""

    minute: Days = 14
    hour: Days = 90
    day: Days = 1095

    def __post_init__(self) -> None:
        if not self.minute <= self.hour <= self.day:
            raise ValueError("a finer tier cannot outlive a coarser one: minute ≤ hour ≤ day")


class Store(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The embedded database."""

    path: str = "collector.db"
    retention_days: RetentionDays = RetentionDays()


class FleetFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where the inventory is."""

    path: str = "fleet.toml"


class Enroll(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What `enroll` hands to new servers. url: where agents reach this collector, whatever stands in between.

    ca_file: the authority that agents are to trust for it, and no other; none where the certificate is publicly trusted.
    packages: directory with the agent's Debian packages, for servers that have none yet.
    """

    url: str | None = None
    ca_file: str | None = None
    packages: str | None = None

    def __post_init__(self) -> None:
        if self.url is not None and not _URL.fullmatch(self.url):
            raise ValueError(f"url is https://HOST[:PORT][/PATH], not {self.url!r}")


class Reports(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """directory: where the folders are that `report` made, to be listed by /v1/reports; none: none is listed."""

    directory: str | None = None


class Limits(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Bounds of a posted batch: as it arrives, and after decompression."""

    body_bytes: BodyBytes = 4 * 2**20
    decompressed_bytes: BodyBytes = 32 * 2**20

    def __post_init__(self) -> None:
        if self.decompressed_bytes < self.body_bytes:
            raise ValueError("decompressed_bytes must be at least body_bytes")


class Budget(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Error budgets. time_zone: IANA name, of the calendar month on pages and /metrics."""

    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        zone_named(self.time_zone)


class Log(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What is logged and how."""

    level: str = "info"
    format: str = "logfmt"

    def __post_init__(self) -> None:
        if self.level not in LOG_LEVELS:
            raise ValueError(f"level is one of {', '.join(LOG_LEVELS)}, not {self.level!r}")
        if self.format not in LOG_FORMATS:
            raise ValueError(f"format is one of {', '.join(LOG_FORMATS)}, not {self.format!r}")


class CollectorConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The whole file; every table may be left out."""

    server: Server = Server()
    store: Store = Store()
    fleet: FleetFile = FleetFile()
    enroll: Enroll = Enroll()
    limits: Limits = Limits()
    budget: Budget = Budget()
    reports: Reports = Reports()
    log: Log = Log()


def parse_config(text: str, where: str) -> CollectorConfig:
    """collector.toml's text as a configuration. Raises ConfigError; where names the file in it."""
    return decode_toml(text, CollectorConfig, where)


def read_config(path: Path) -> CollectorConfig:
    """The file at path, its relative paths taken from the file's own directory. Raises ConfigError."""
    config = parse_config(read_text(path), str(path))
    beside = path.resolve().parent

    def absolute(name: str | None) -> str | None:
        return None if name is None else str(beside / name)

    replace, server = msgspec.structs.replace, config.server
    return replace(
        config,
        server=replace(
            server,
            tls_cert=absolute(server.tls_cert),
            tls_key=absolute(server.tls_key),
            web_config_file=absolute(server.web_config_file),
        ),
        store=replace(config.store, path=absolute(config.store.path)),
        fleet=replace(config.fleet, path=absolute(config.fleet.path)),
        enroll=replace(
            config.enroll,
            ca_file=absolute(config.enroll.ca_file),
            packages=absolute(config.enroll.packages),
        ),
        reports=replace(config.reports, directory=absolute(config.reports.directory)),
    )


def read_text(path: Path) -> str:
    """A configuration file's text. Raises ConfigError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(str(path), "", f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), "", f"not UTF-8 at byte {error.start}") from error
