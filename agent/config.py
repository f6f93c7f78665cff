"""agent.toml: one typed model. Reading the file is all the IO there is here."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from agent.probes import PROBES
from agent.wire.assignment import Assignment, Peer, Port, ProbeSpec, Seconds
from agent.wire.series import Name
from agent.wire.settings import ConfigError, convert, decode_toml

_HOST_NAME = re.compile(r"(?=.{1,253}$)(?!.*:)[^\s.]{1,63}(\.[^\s.]{1,63})*\.?")

MIN_INTERVAL_SECONDS = 0.2
"""Hard floor: below it a probe becomes load on somebody else's host."""


class CollectorLink(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where windows go. token_file holds the bearer token; ca_file pins the collector's authority.

    A token_file without a directory is a credential of the systemd service (LoadCredential= in systemd.exec(5)),
    or of the working directory where there is none.
    """

    url: Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s/]+(/[^\s]*)?$")]
    token_file: str
    ca_file: str | None = None
    timeout_seconds: Seconds = 20.0
    assignment_interval_seconds: Seconds = 60.0


class Exporter(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The agent's own HTTP server. An empty listen_address turns it off.

    web_config_file: TLS, passwords and headers, in the format of Prometheus' exporters (agent.web.config); without a
    directory found as CollectorLink's token_file is.
    """

    listen_address: str = ":10980"
    telemetry_path: Annotated[str, msgspec.Meta(pattern=r"^/[^\s]*$")] = "/metrics"
    web_config_file: str | None = None


class Responder(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What peers probe. …_per_second are per source address (IPv6: per /64).

    udp: whom the STAMP reflector answers. udp_key_file: hexadecimal key, then only signed requests are answered.
    """

    enabled: bool = True
    listen_address: str = ":10981"
    connections_per_second: Annotated[float, msgspec.Meta(gt=0, le=10000)] = 50.0
    udp: Literal["peers", "any", "off"] = "peers"
    udp_packets_per_second: Annotated[float, msgspec.Meta(gt=0, le=100000)] = 50.0
    udp_key_file: str | None = None


class Bandwidth(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Whether this node takes part in the tests that its collector leases, and the ports its servers listen on.

    One test uses one port, TCP; qperf two. Open them in a firewall to the fleet.
    """

    enabled: bool = True
    first_port: Port = 10982
    last_port: Port = 10999

    def __post_init__(self) -> None:
        if self.last_port <= self.first_port:
            raise ValueError("last_port is above first_port: a qperf test needs two ports")


class SocketGroupConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """TCP connections to be shown together on /metrics: to these networks, with these ports (local or remote)."""

    name: Name
    networks: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()

    def __post_init__(self) -> None:
        if not self.networks and not self.ports:
            raise ValueError("give networks, ports, or both")
        for network in self.networks:
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                raise ValueError(f"networks: {error}") from None


class Capture(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Packet captures taken when a path breaks its limit or zero windows or timeouts grow: headers only, bounded.

    interface: a name (a container's veth too), or `pid:N` for the veth of process N's network namespace. Needs CAP_NET_RAW.
    """

    enabled: bool = False
    interface: str = ""
    seconds: Annotated[float, msgspec.Meta(ge=1, le=600)] = 30.0
    interval_seconds: Annotated[float, msgspec.Meta(ge=60, le=86400)] = 1800.0
    file_bytes: Annotated[int, msgspec.Meta(ge=10_000, le=1_000_000_000)] = 10_000_000
    disk_bytes: Annotated[int, msgspec.Meta(ge=10_000, le=100_000_000_000)] = 100_000_000
    packets_per_second: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 5_000
    header_bytes: Annotated[int, msgspec.Meta(ge=60, le=256)] = 128

    def __post_init__(self) -> None:
        if self.enabled and not self.interface:
            raise ValueError("interface: name the one to capture on")
        if self.file_bytes > self.disk_bytes:
            raise ValueError("disk_bytes has room for at least one file of file_bytes")


class Spool(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Closed windows on disk until the collector has them; the oldest go when a bound is reached."""

    max_bytes: Annotated[int, msgspec.Meta(ge=1_000_000)] = 256_000_000
    max_age_hours: Annotated[float, msgspec.Meta(ge=1, le=8760)] = 168.0


class Log(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """level and form of the log on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["logfmt", "json"] = "logfmt"


class Config(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """agent.toml. Without [collector] the agent runs from its own [[peers]] and only exports."""

    node: Name
    state_directory: str = "/var/lib/lightfloor-agent"
    collector: CollectorLink | None = None
    exporter: Exporter = Exporter()
    responder: Responder = Responder()
    bandwidth: Bandwidth = Bandwidth()
    spool: Spool = Spool()
    capture: Capture = Capture()
    tracepoints: bool = False
    log: Log = Log()
    window_seconds: Annotated[int, msgspec.Meta(ge=1, le=60)] = 60
    tick_seconds: Annotated[float, msgspec.Meta(ge=0.01, le=0.1)] = 0.1
    resolve_interval_seconds: Seconds = 60.0
    max_probes_per_second: Annotated[float, msgspec.Meta(gt=0, le=10000)] = 200.0
    peers: tuple[Peer, ...] = ()
    socket_groups: tuple[SocketGroupConfig, ...] = ()

    def own_assignment(self) -> Assignment:
        """What this file itself asks to measure."""
        return Assignment(self.node, self.peers, self.max_probes_per_second)


def load(path: Path) -> Config:
    """The configuration in a file. Raises ConfigError: unreadable, not TOML, or refused, with the key path."""
    where = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(where, "", f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(where, "", "not UTF-8 text") from error
    config = decode_toml(text, Config, where)
    _check(config, where)
    return config


def override(
    config: Config, listen: str | None, web_config: str | None, log_level: Any, log_format: Any
) -> Config:
    """The configuration with what the command line says instead; None says nothing. Raises ConfigError."""
    exporter, log = config.exporter, config.log
    if listen is not None:
        if listen:
            listen_address(listen, "--web.listen-address", "")
        exporter = msgspec.structs.replace(exporter, listen_address=listen)
    if web_config is not None:
        exporter = msgspec.structs.replace(exporter, web_config_file=web_config)
    log = Log(log_level or log.level, log_format or log.format)
    return msgspec.structs.replace(config, exporter=exporter, log=log)


def without_secrets(config: Config) -> Config:
    """The configuration as it may be shown: secrets are in files of their own, but for a password in a URL."""
    link = config.collector
    if link is None:
        return config
    url = re.sub(r"//[^/@]*@", "//<secret>@", link.url)
    return msgspec.structs.replace(config, collector=msgspec.structs.replace(link, url=url))


def _check(config: Config, where: str) -> None:
    """What types alone do not say."""
    if 60 % config.window_seconds:
        raise ConfigError(where, "window_seconds", f"must divide 60, {config.window_seconds} does not")
    if config.exporter.listen_address:
        listen_address(config.exporter.listen_address, where, "exporter.listen_address")
    if config.responder.enabled:
        listen_address(config.responder.listen_address, where, "responder.listen_address")
    names = [group.name for group in config.socket_groups]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ConfigError(where, f"socket_groups[{index}].name", f"{name} is listed twice")
    check_assignment(config.own_assignment(), where)


def check_assignment(assignment: Assignment, where: str) -> None:
    """Raise ConfigError for peers and probes that this agent would not run."""
    seen: set[str] = set()
    for index, peer in enumerate(assignment.peers):
        key = f"peers[{index}]"
        if peer.name in seen:
            raise ConfigError(where, f"{key}.name", f"{peer.name} is listed twice")
        seen.add(peer.name)
        for field, family in (("ipv4", 4), ("ipv6", 6)):
            _check_host(getattr(peer, field), family, where, f"{key}.{field}")
        kinds: set[str] = set()
        for position, spec in enumerate(peer.probes):
            if spec.kind in kinds:
                raise ConfigError(where, f"{key}.probes[{position}].kind", f"{spec.kind} is listed twice")
            kinds.add(spec.kind)
            probe_options(spec, where, f"{key}.probes[{position}]")


def _check_host(host: str | None, family: int, where: str, key: str) -> None:
    """A literal address of this family, or something that can be a host name."""
    if host is None:
        return
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        if not _HOST_NAME.fullmatch(host):
            raise ConfigError(where, key, f"{host!r} is neither an address nor a host name") from None
    else:
        if version != family:
            raise ConfigError(where, key, f"{host} is not an IPv{family} address")


def probe_options(spec: ProbeSpec, where: str, key: str) -> Any:
    """A probe's options as its own typed value. Raises ConfigError with the key path."""
    probe = PROBES.get(spec.kind)
    if probe is None:
        raise ConfigError(where, f"{key}.kind", f"unknown probe {spec.kind}; known: {', '.join(PROBES)}")
    if spec.interval_seconds < MIN_INTERVAL_SECONDS:
        raise ConfigError(
            where,
            f"{key}.interval_seconds",
            f"{spec.interval_seconds:g} is below the floor of {MIN_INTERVAL_SECONDS} s",
        )
    return convert(spec.options, probe.options, where, f"{key}.options.")


def listen_address(value: str, where: str, key: str) -> tuple[str | None, Port]:
    """`host:port`, `[v6]:port` or `:port` (all addresses). Raises ConfigError."""
    host, colon, port = value.rpartition(":")
    if not colon or not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise ConfigError(where, key, f"expected HOST:PORT or :PORT, got {value!r}")
    return host.strip("[]") or None, int(port)
