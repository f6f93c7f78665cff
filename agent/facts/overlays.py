"""Overlays as they are (tunnel interfaces) and as they are configured (files of flannel, CNI, Calico, Cilium, wg-quick)."""

from collections.abc import Callable
from functools import partial

from agent.facts.interfaces import Interface
from agent.facts.notebook import Missing, Notebook, asked, part_of_name, present
from agent.kernel.overlay_config import (
    OverlayConfig,
    parse_cni,
    parse_flannel_net_conf,
    parse_flannel_subnet_env,
    parse_wg_quick,
)
from agent.kernel.overlay_objects import parse_kubernetes_yaml
from agent.kernel.tunnels import INHERENT_FAMILY, Tunnel, UnderlayFamily, overhead_bytes

FLANNEL_NET_CONF = (
    "etc/kube-flannel/net-conf.json",
    "etc/flannel/net-conf.json",
    "var/lib/rancher/k3s/agent/etc/flannel/net-conf.json",
)
FLANNEL_SUBNET_ENV = ("run/flannel/subnet.env",)
CNI_FOLDERS = ("etc/cni/net.d", "var/lib/rancher/k3s/agent/etc/cni/net.d")
YAML_FOLDERS = ("etc/calico", "etc/cilium", "etc/kube-flannel")
WIREGUARD_FOLDER = "etc/wireguard"
Configs = tuple[OverlayConfig, ...]


def note_overlays(
    notebook: Notebook, interfaces: tuple[Interface, ...], default_interface: str | None
) -> None:
    """overlay.<interface>.* of every tunnel, overlay_config.<owner>.<n> of every configured overlay."""
    configs = _note_configs(notebook)
    mtus = {interface.name: interface.mtu for interface in interfaces}
    for interface in interfaces:
        if interface.tunnel is not None:
            _note_tunnel(notebook, interface.tunnel, mtus, default_interface, configs)


def _note_tunnel(
    notebook: Notebook,
    tunnel: Tunnel,
    mtus: dict[str, int | None],
    default_interface: str | None,
    configs: Configs,
) -> None:
    prefix, source = f"overlay.{part_of_name(tunnel.interface)}", f"sys/class/net/{tunnel.interface}"
    notebook.note(f"{prefix}.kind", tunnel.kind.value, f"{tunnel.known_by} of {source}")
    notebook.note(f"{prefix}.mtu", Missing("absent") if tunnel.mtu is None else tunnel.mtu, f"{source}/mtu")
    below, below_source = tunnel.underlay_interface, f"{source}/iflink"
    if below is None:
        below, below_source = default_interface, "the default route"
    notebook.note(f"{prefix}.underlay_interface", below or Missing("not told"), below_source)
    underlay_mtu = mtus.get(below or "")
    notebook.note(
        f"{prefix}.underlay_mtu", underlay_mtu or Missing("not told"), f"sys/class/net/{below or '?'}/mtu"
    )
    family, family_source = _underlay_family(tunnel, configs)
    notebook.note(
        f"{prefix}.underlay_family", family or Missing("not told by any readable source"), family_source
    )
    overhead = overhead_bytes(tunnel.kind, family)
    unknown = Missing("not known: the underlay's address family is not")
    notebook.note(f"{prefix}.overhead_bytes", unknown if overhead is None else overhead, "header sizes")


def _underlay_family(tunnel: Tunnel, configs: Configs) -> tuple[UnderlayFamily | None, str]:
    """Of the outer addresses: as the kernel says, as the kind implies, or as the one fitting configuration says."""
    if tunnel.underlay_family is not None:
        return tunnel.underlay_family, "rtnetlink"
    if tunnel.kind in INHERENT_FAMILY:
        return INHERENT_FAMILY[tunnel.kind], "kind"
    fitting = [c for c in configs if c.kind is tunnel.kind and c.interface in (None, tunnel.interface)]
    families = {config.underlay_family for config in fitting}
    return (families.pop(), fitting[0].source) if len(families) == 1 else (None, "configuration")


def _note_configs(notebook: Notebook) -> Configs:
    configs: list[OverlayConfig] = []
    for path, parse in _files(notebook):
        found = notebook.parsed(path, parse)
        if not isinstance(found, Missing):
            configs += found
        elif found.reason != "absent":
            notebook.note(f"overlay_config.unreadable.{part_of_name(path.rpartition('/')[2])}", found, path)
    seen: dict[str, int] = {}
    for config in configs:
        at = seen[config.owner] = seen.get(config.owner, -1) + 1
        notebook.note(f"overlay_config.{part_of_name(config.owner)[:40]}.{at}", _plain(config), config.source)
    return tuple(configs)


def _files(notebook: Notebook) -> list[tuple[str, Callable[[bytes], Configs]]]:
    """Paths that may hold a configuration, with the parser of each."""
    files: list[tuple[str, Callable[[bytes], Configs]]] = []
    files += [(path, partial(parse_flannel_net_conf, source=path)) for path in FLANNEL_NET_CONF]
    files += [(path, partial(parse_flannel_subnet_env, source=path)) for path in FLANNEL_SUBNET_ENV]
    cni = _listed(notebook, CNI_FOLDERS, (".conf", ".conflist", ".json"))
    files += [(path, partial(parse_cni, source=path)) for path in cni]
    objects = _listed(notebook, YAML_FOLDERS, (".yaml", ".yml"))
    files += [(path, partial(parse_kubernetes_yaml, source=path)) for path in objects]
    for path in _listed(notebook, (WIREGUARD_FOLDER,), (".conf",)):
        name = path.rpartition("/")[2].removesuffix(".conf")
        files.append((path, partial(parse_wg_quick, interface=name, source=path)))
    return files


def _listed(notebook: Notebook, folders: tuple[str, ...], endings: tuple[str, ...]) -> list[str]:
    paths: list[str] = []
    for folder in folders:
        names = asked(partial(notebook.root.names, folder))
        if isinstance(names, Missing):
            notebook.note(
                f"overlay_config.unreadable.{part_of_name(folder.rpartition('/')[2])}", names, folder
            )
        paths += [f"{folder}/{name}" for name in present(names) or [] if name.endswith(endings)]
    return paths


def _plain(config: OverlayConfig) -> dict[str, object]:
    fields = {
        "kind": config.kind.value if config.kind else None,
        "when": config.when if config.kind else None,
        "mtu": config.mtu,
        "underlay_mtu": config.underlay_mtu,
        "underlay_family": config.underlay_family,
        "interface": config.interface,
        "networks": list(config.networks) or None,
    }
    return {name: value for name, value in fields.items() if value is not None}
