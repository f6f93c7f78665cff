"""What an overlay is configured to be, from Kubernetes objects in YAML: flannel, Calico, Cilium. Text in, values out."""

from collections.abc import Iterator
from typing import Any

from agent.kernel.overlay_config import (
    OverlayConfig,
    bounded,
    mapping_of,
    mtu_of,
    parse_flannel_net_conf,
    word_of,
)
from agent.kernel.parse_error import ParseError
from agent.kernel.text import text_of
from agent.kernel.tunnels import TunnelKind, UnderlayFamily

CALICO_ENCAPSULATIONS: dict[str, tuple[TunnelKind, str]] = {
    "ipip": (TunnelKind.IPIP, "always"),
    "ipipcrosssubnet": (TunnelKind.IPIP, "cross-subnet"),
    "vxlan": (TunnelKind.VXLAN, "always"),
    "vxlancrosssubnet": (TunnelKind.VXLAN, "cross-subnet"),
    "none": (TunnelKind.NONE, "always"),
}
CILIUM_TUNNELS: dict[str, TunnelKind] = {
    "vxlan": TunnelKind.VXLAN,
    "geneve": TunnelKind.GENEVE,
    "disabled": TunnelKind.NONE,
}


def parse_kubernetes_yaml(data: bytes, source: str = "yaml") -> tuple[OverlayConfig, ...]:
    """Overlays in Kubernetes objects: ConfigMaps of flannel and Cilium; Calico's IPPool, Installation, FelixConfiguration.

    Several documents and Lists are read; other objects say nothing and are skipped. Raises ParseError.
    """
    configs: list[OverlayConfig] = []
    for item in _objects(_yaml_documents(data, source)):
        kind = item.get("kind")
        if kind == "ConfigMap":
            configs += _config_map(item.get("data"), source)
        elif kind == "IPPool":
            configs += _ip_pool(mapping_of(item.get("spec"), source), source)
        elif kind == "Installation":
            configs += _installation(mapping_of(item.get("spec"), source), source)
        elif kind == "FelixConfiguration":
            configs += _felix(mapping_of(item.get("spec"), source), source)
    return tuple(configs)


def _yaml_documents(data: bytes, source: str) -> list[Any]:
    import yaml  # noqa: PLC0415 - 20 ms and 2 MB that only hosts with such files pay

    text = text_of(source, bounded(data, source))
    try:
        return list(yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        # PyYAML lets its constructors' own errors through (an impossible date, a lone "=")
        raise ParseError(source, "document", f"not YAML: {' '.join(str(error).split())[:200]}") from None


def _objects(documents: list[Any]) -> Iterator[dict[str, Any]]:
    """The documents, and the members of Lists; one level only, because aliases could multiply deeper ones."""
    for document in documents:
        if not isinstance(document, dict):
            continue
        items = document.get("items")
        yield from (
            item for item in (items if isinstance(items, list) else [document]) if isinstance(item, dict)
        )


def _config_map(data: Any, source: str) -> tuple[OverlayConfig, ...]:
    if not isinstance(data, dict):
        return ()
    if isinstance(data.get("net-conf.json"), str):
        return parse_flannel_net_conf(data["net-conf.json"].encode(errors="replace"), source)
    if "veth_mtu" in data:  # Calico installed by manifest
        mtu = mtu_of(data["veth_mtu"], source)
        return (OverlayConfig(owner="calico", kind=None, source=source, mtu=mtu or None),)
    if any(
        key in data for key in ("tunnel", "tunnel-protocol", "routing-mode", "cilium-endpoint-gc-interval")
    ):
        return tuple(_cilium(data, source))
    return ()


def _cilium(data: dict[str, Any], source: str) -> Iterator[OverlayConfig]:
    mtu = mtu_of(data.get("mtu"), source) or None
    word = word_of(data.get("tunnel-protocol", data.get("tunnel", "vxlan")), source).lower()
    native = data.get("routing-mode") == "native"
    yield OverlayConfig(
        "cilium", TunnelKind.NONE if native else CILIUM_TUNNELS.get(word), source, underlay_mtu=mtu
    )
    if data.get("enable-wireguard") in ("true", True):
        yield OverlayConfig("cilium", TunnelKind.WIREGUARD, source, underlay_mtu=mtu, interface="cilium_wg0")


def _ip_pool(spec: dict[str, Any], source: str) -> Iterator[OverlayConfig]:
    networks = (word_of(spec["cidr"], source),) if "cidr" in spec else ()
    modes = {TunnelKind.IPIP: spec.get("ipipMode", "Never"), TunnelKind.VXLAN: spec.get("vxlanMode", "Never")}
    kind = next((kind for kind, mode in modes.items() if mode not in ("Never", "")), TunnelKind.NONE)
    when = "cross-subnet" if modes.get(kind) == "CrossSubnet" else "always"
    family = _network_family(networks)
    yield OverlayConfig("calico", kind, source, when=when, underlay_family=family, networks=networks)


def _installation(spec: dict[str, Any], source: str) -> Iterator[OverlayConfig]:
    network = mapping_of(spec.get("calicoNetwork", {}), source)
    mtu = mtu_of(network.get("mtu"), source) or None
    pools = network.get("ipPools")
    for pool in pools if isinstance(pools, list) else []:
        settings = mapping_of(pool, source)
        word = word_of(settings.get("encapsulation", "IPIP"), source).lower()
        kind, when = CALICO_ENCAPSULATIONS.get(word, (None, "always"))
        networks = (word_of(settings["cidr"], source),) if "cidr" in settings else ()
        family = _network_family(networks)
        yield OverlayConfig("calico", kind, source, when, mtu, underlay_family=family, networks=networks)


def _felix(spec: dict[str, Any], source: str) -> Iterator[OverlayConfig]:
    families: tuple[tuple[str, str, str, UnderlayFamily], ...] = (
        ("wireguardEnabled", "wireguardMTU", "wireguardInterfaceName", "ipv4"),
        ("wireguardEnabledV6", "wireguardMTUV6", "wireguardInterfaceNameV6", "ipv6"),
    )
    for enabled, mtu, name, family in families:
        if spec.get(enabled) is True:
            interface = word_of(spec[name], source) if name in spec else None
            yield OverlayConfig(
                "calico", TunnelKind.WIREGUARD, source, mtu=mtu_of(spec.get(mtu), source) or None,
                underlay_family=family, interface=interface,
            )  # fmt: skip
    for kind, key in ((TunnelKind.VXLAN, "vxlanMTU"), (TunnelKind.IPIP, "ipipMTU")):
        if spec.get(key):
            yield OverlayConfig("calico", kind, source, mtu=mtu_of(spec[key], source))


def _network_family(networks: tuple[str, ...]) -> UnderlayFamily | None:
    """Calico carries a pool's packets over the pool's own family."""
    return None if not networks else "ipv6" if ":" in networks[0] else "ipv4"
