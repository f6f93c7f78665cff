"""What an overlay is configured to be, from files on the node: flannel, CNI network lists, wg-quick. Text in, values out.

Two kinds of MTU are configured and often confused: the inner one (what pods get: FLANNEL_MTU, Calico's mtu,
wg-quick's MTU) and the underlay's, from which the plugin subtracts its overhead itself (flannel's Backend.MTU, Cilium's
mtu).
"""

import json
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from agent.kernel.assignments import parse_assignments
from agent.kernel.parse_error import ParseError
from agent.kernel.text import text_of
from agent.kernel.tunnels import TunnelKind, UnderlayFamily

MAX_BYTES = 1 << 18
"""A configuration that people write is smaller; a YAML reader's time grows with its input."""
MAX_MTU = 65535


@dataclass(frozen=True, slots=True)
class OverlayConfig:
    """One configured overlay network.

    owner: "flannel", "calico", "cilium", "wg-quick" or the CNI plugin's type. kind: None when the text does not say.
    when: "always", or "cross-subnet" (encapsulated only between subnets). mtu: inner; underlay_mtu: outer; None: left
    to the plugin. interface: its name where the text gives it.
    """

    owner: str
    kind: TunnelKind | None
    source: str
    when: str = "always"
    mtu: int | None = None
    underlay_mtu: int | None = None
    underlay_family: UnderlayFamily | None = None
    interface: str | None = None
    networks: tuple[str, ...] = ()


CHAINED_PLUGINS = ("portmap", "bandwidth", "tuning", "firewall", "sbr", "loopback")  # they make no interface
FLANNEL_BACKENDS: dict[str, TunnelKind] = {
    "vxlan": TunnelKind.VXLAN,
    "wireguard": TunnelKind.WIREGUARD,
    "ipip": TunnelKind.IPIP,
    "udp": TunnelKind.TUN,
    "host-gw": TunnelKind.NONE,
    "alloc": TunnelKind.NONE,
}


def parse_flannel_net_conf(data: bytes, source: str = "net-conf.json") -> tuple[OverlayConfig, ...]:
    """flannel's net-conf.json (flannel Documentation/configuration.md, backends.md). Raises ParseError."""
    config = _folded(_json(data, source), source)
    backend = _folded(config.get("backend", {"type": "udp"}), source)  # flannel's default is its udp backend
    kind = word_of(backend.get("type", "udp"), source).lower()
    networks = [word_of(config[key], source) for key in ("network", "ipv6network") if config.get(key)]
    return (
        OverlayConfig(
            owner="flannel",
            kind=FLANNEL_BACKENDS.get(kind),
            source=source,
            when="cross-subnet" if backend.get("directrouting") is True else "always",
            underlay_mtu=mtu_of(backend.get("mtu"), source),
            underlay_family="ipv6" if config.get("enableipv4") is False else "ipv4",
            networks=tuple(networks),
        ),
    )


def parse_flannel_subnet_env(data: bytes, source: str = "subnet.env") -> tuple[OverlayConfig, ...]:
    """flannel's /run/flannel/subnet.env: what it told the CNI plugin. Raises ParseError."""
    values = parse_assignments(data, source)
    if "FLANNEL_MTU" not in values and "FLANNEL_SUBNET" not in values:
        raise ParseError(source, "file", "neither FLANNEL_SUBNET nor FLANNEL_MTU")
    networks = tuple(values[key] for key in ("FLANNEL_NETWORK", "FLANNEL_IPV6_NETWORK") if values.get(key))
    mtu = mtu_of(values.get("FLANNEL_MTU"), source)
    return (OverlayConfig(owner="flannel", kind=None, source=source, mtu=mtu, networks=networks),)


def parse_cni(data: bytes, source: str = "cni") -> tuple[OverlayConfig, ...]:
    """A CNI network configuration or list (/etc/cni/net.d): one value per plugin that makes interfaces and sets their MTU.

    Raises ParseError. It is the inner MTU; what encapsulates is not said here.
    """
    document = mapping_of(_json(data, source), source)
    plugins = document.get("plugins", [document])
    if not isinstance(plugins, list):
        raise ParseError(source, "plugins", "a list was expected")
    configs = []
    for plugin in plugins:
        settings = mapping_of(plugin, source)
        if settings.get("type") in (None, *CHAINED_PLUGINS):
            continue
        delegate = settings.get("delegate")
        mtu = mtu_of(settings.get("mtu", delegate.get("mtu") if isinstance(delegate, dict) else None), source)
        if mtu:
            configs.append(OverlayConfig(word_of(settings["type"], source), None, source, mtu=mtu))
    return tuple(configs)


def parse_wg_quick(
    data: bytes, interface: str | None = None, source: str = "wg-quick"
) -> tuple[OverlayConfig, ...]:
    """A wg-quick(8) file. Keys and other secrets are not kept. Raises ParseError.

    The underlay's family is that of the peers' literal addresses; names and mixed families leave it None.
    """
    section, mtu = "", None
    families: set[UnderlayFamily | None] = set()
    for line_number, line in enumerate(text_of(source, data).splitlines(), 1):
        stripped = line.partition("#")[0].strip()
        if not stripped:
            continue
        if stripped.startswith("[") and stripped.endswith("]"):
            section = stripped[1:-1].lower()
            continue
        key, equals, value = (part.strip() for part in stripped.partition("="))
        if not equals or not section:
            # the line may hold a key, so it is not repeated in the error
            raise ParseError(source, f"line {line_number}", "'[Section]' or 'Key = value' was expected")
        if section == "interface" and key.lower() == "mtu":
            mtu = mtu_of(value, source)
        elif section == "peer" and key.lower() == "endpoint":
            families.add(_endpoint_family(value))
    return (
        OverlayConfig(
            owner="wg-quick",
            kind=TunnelKind.WIREGUARD,
            source=source,
            mtu=mtu,
            underlay_family=families.pop() if len(families) == 1 else None,
            interface=interface,
        ),
    )


def _endpoint_family(endpoint: str) -> UnderlayFamily | None:
    try:
        return "ipv4" if ip_address(endpoint.rpartition(":")[0].strip("[]")).version == 4 else "ipv6"
    except ValueError:
        return None


def _json(data: bytes, source: str) -> Any:
    try:
        return json.loads(text_of(source, bounded(data, source)))
    except (ValueError, RecursionError) as error:
        if isinstance(error, ParseError):
            raise
        raise ParseError(source, "document", f"not JSON: {error}") from None


def _folded(value: Any, source: str) -> dict[str, Any]:
    """Go reads JSON's keys without regard to case, so flannel does."""
    return {word_of(key, source).lower(): item for key, item in mapping_of(value, source).items()}


def mapping_of(value: Any, source: str) -> dict[str, Any]:
    """The object that value must be. Raises ParseError."""
    if not isinstance(value, dict):
        raise ParseError(source, "document", f"an object was expected, not a {type(value).__name__}")
    return value


def word_of(value: Any, source: str) -> str:
    """The string that value must be. Anything else is not even shown: YAML's aliases can make it endless."""
    if not isinstance(value, str):
        raise ParseError(source, "document", f"a string was expected, not a {type(value).__name__}")
    return value


def bounded(data: bytes, source: str) -> bytes:
    if len(data) > MAX_BYTES:
        raise ParseError(source, "file", f"{len(data)} bytes; at most {MAX_BYTES} are read")
    return data


def mtu_of(value: Any, source: str) -> int | None:
    """A configured MTU; None when not set. 0 stays 0: plugins read it as "detect". Raises ParseError."""
    if value is None:
        return None
    text = value if isinstance(value, str) else ""
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else value
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= MAX_MTU:
        raise ParseError(source, "MTU", f"a number from 0 to {MAX_MTU} was expected", text)
    return number
