"""Network interfaces: MTU, driver, speed, queues, offloads, queueing discipline; and which of them are tunnels."""

import re
from dataclasses import dataclass
from functools import partial

from agent.facts.notebook import (
    NOT_A_LIVE_HOST,
    NOT_SET,
    Missing,
    Notebook,
    asked,
    part_of_name,
    present,
    stripped,
)
from agent.kernel.assignments import parse_assignments
from agent.kernel.ethtool_ioctl import LEGACY_FEATURES
from agent.kernel.parse_error import ParseError
from agent.kernel.rtnetlink import NetlinkLink
from agent.kernel.text import number
from agent.kernel.tunnels import FALLBACK_DEVICES, Tunnel, TunnelKind, tunnel_kind
from agent.net.livehost import LiveHost

FOLDER = "sys/class/net"
IFF_UP = 0x1
SPEED_UNKNOWN_MBPS = (-1, 0, 65535, 4294967295)
OTHER_FEATURES = (
    "rx-gro-hw",
    "rx-gro-list",
    "rx-udp-gro-forwarding",
    "tx-udp_tnl-segmentation",
    "tx-nocache-copy",
)
FEATURES = (*LEGACY_FEATURES, *OTHER_FEATURES)
# the node's ends of its pods' links: they come and go with pods, so only their MTUs are a fact
POD_LINK = re.compile(r"(?:veth|cali[0-9a-f]|lxc[0-9a-f_]|tap|vnet|azv|eni[0-9a-f]{8})")


@dataclass(frozen=True, slots=True)
class Interface:
    """What overlays and routes need of an interface. kind: as the kernel names a virtual one; tunnel: if it is one."""

    name: str
    index: int | None
    mtu: int | None
    tunnel: Tunnel | None


def note_interfaces(notebook: Notebook, live: LiveHost | None) -> tuple[Interface, ...]:
    """interface.<name>.* of every interface that is no pod's; interfaces.pod_link_mtus. Returns them all."""
    names = asked(lambda: notebook.root.names(FOLDER))
    links = asked(live.links) if live else Missing(NOT_A_LIVE_HOST)
    by_name = {} if isinstance(links, Missing) else {link.name: link for link in links}
    if isinstance(names, Missing) or not names:
        notebook.note("interfaces.names", names if isinstance(names, Missing) else Missing("absent"), FOLDER)
        return ()
    found = [name for name in names if notebook.root.exists(f"{FOLDER}/{name}/mtu")]
    own = [name for name in found if not POD_LINK.match(name)]
    notebook.note("interfaces.names", own, FOLDER)
    pod_mtus = {present(_integer(notebook, name, "mtu")) for name in found if name not in own}
    if pod_mtus:
        notebook.note("interfaces.pod_link_mtus", sorted(mtu for mtu in pod_mtus if mtu is not None), FOLDER)
    return tuple(_note_interface(notebook, live, name, by_name.get(name)) for name in own)


def _note_interface(
    notebook: Notebook, live: LiveHost | None, name: str, link: NetlinkLink | None
) -> Interface:
    prefix, folder = f"interface.{part_of_name(name)}", f"{FOLDER}/{name}"
    index, mtu = _integer(notebook, name, "ifindex"), _integer(notebook, name, "mtu")
    notebook.note(f"{prefix}.mtu", mtu, f"{folder}/mtu")
    notebook.note_file(f"{prefix}.operstate", f"{folder}/operstate", stripped)
    notebook.note(
        f"{prefix}.tx_queue_length", _integer(notebook, name, "tx_queue_len"), f"{folder}/tx_queue_len"
    )
    uevent = present(
        notebook.parsed(f"{folder}/uevent", partial(parse_assignments, source=f"{folder}/uevent"))
    )
    kind = (link.kind if link else None) or (uevent or {}).get("DEVTYPE")
    driver = (notebook.root.link(f"{folder}/device/driver") or "").rpartition("/")[2]
    notebook.note(f"{prefix}.kind", kind or ("device" if driver else Missing("not told")), f"{folder}/uevent")
    notebook.note(f"{prefix}.driver", driver or Missing("absent"), f"{folder}/device/driver")
    qdisc = Missing(NOT_A_LIVE_HOST) if link is None else link.qdisc or Missing(NOT_SET)
    notebook.note(f"{prefix}.qdisc", qdisc, "rtnetlink")
    if driver or kind in ("veth", "bond"):
        _note_device(notebook, live, name, prefix)
    tunnel = _tunnel(notebook, name, link, uevent or {})
    return Interface(name, present(index), present(mtu), tunnel)


def _note_device(notebook: Notebook, live: LiveHost | None, name: str, prefix: str) -> None:
    """What only interfaces that carry packets themselves have: speed, queues, receive steering, offloads."""
    folder = f"{FOLDER}/{name}"
    speed = _integer(notebook, name, "speed")
    if not isinstance(speed, Missing):
        speed = Missing("not told by the driver") if speed in SPEED_UNKNOWN_MBPS else speed * 10**6
    notebook.note(f"{prefix}.speed_bits_per_second", speed, f"{folder}/speed")
    notebook.note_file(f"{prefix}.duplex", f"{folder}/duplex", stripped)
    queues = present(asked(lambda: notebook.root.names(f"{folder}/queues"))) or []
    for direction in ("rx", "tx"):
        count = sum(queue.startswith(f"{direction}-") for queue in queues)
        notebook.note(f"{prefix}.{direction}_queues", count or Missing("absent"), f"{folder}/queues")
    masks = [
        notebook.parsed(f"{folder}/queues/{q}/rps_cpus", stripped) for q in queues if q.startswith("rx-")
    ]
    rps = next((m for m in masks if isinstance(m, Missing)), None) or any(
        m.strip("0,") for m in masks if isinstance(m, str)
    )
    notebook.note(
        f"{prefix}.rps_enabled", rps if masks else Missing("absent"), f"{folder}/queues/rx-*/rps_cpus"
    )
    _note_driver_answers(notebook, live, name, prefix)


def _note_driver_answers(notebook: Notebook, live: LiveHost | None, name: str, prefix: str) -> None:
    offline = Missing(NOT_A_LIVE_HOST)
    driver = asked(lambda: live.driver(name)) if live else offline
    version = driver if isinstance(driver, Missing) else driver.version or Missing("not told by the driver")
    notebook.note(f"{prefix}.driver_version", version, "ethtool")
    channels = asked(lambda: live.channels(name)) if live else offline
    value = channels if isinstance(channels, Missing) else {
        "combined": channels.combined, "rx": channels.rx, "tx": channels.tx,
        "max_combined": channels.max_combined, "max_rx": channels.max_rx, "max_tx": channels.max_tx,
    }  # fmt: skip
    notebook.note(f"{prefix}.channels", value, "ethtool")
    stamps = asked(lambda: live.timestamping(name)) if live else offline
    notebook.note(
        f"{prefix}.timestamping",
        stamps if isinstance(stamps, Missing) else sorted(stamps.capabilities),
        "ethtool",
    )
    features = asked(lambda: live.features(name)) if live else offline
    if isinstance(features, Missing):
        notebook.note(f"{prefix}.offload", features, "ethtool")
        return
    for feature in FEATURES:
        if feature in features:
            state = {"enabled": features[feature].enabled, "fixed": features[feature].fixed}
            notebook.note(f"{prefix}.offload.{feature}", state, "ethtool")


def _tunnel(notebook: Notebook, name: str, link: NetlinkLink | None, uevent: dict[str, str]) -> Tunnel | None:
    """The tunnel this interface is; None for others, and for the kernel's fallback devices while they are down."""
    arphrd = present(_integer(notebook, name, "type"))
    found = tunnel_kind(
        name, link_kind=link.kind if link else None, devtype=uevent.get("DEVTYPE"), arphrd=arphrd
    )
    if found is None or found[0] is TunnelKind.NONE:
        return None
    flags = present(notebook.parsed(f"{FOLDER}/{name}/flags", _hexadecimal))
    if name in FALLBACK_DEVICES and not (flags or 0) & IFF_UP:
        return None
    return Tunnel(
        interface=name,
        kind=found[0],
        known_by=found[1],
        mtu=present(_integer(notebook, name, "mtu")),
        underlay_interface=_underlay(notebook, name, link),
        underlay_family=link.underlay_family if link else None,
    )


def _underlay(notebook: Notebook, name: str, link: NetlinkLink | None) -> str | None:
    """The interface below a tunnel: rtnetlink's answer, or sysfs' iflink where it is another one than itself."""
    index = link.underlay_index if link else present(_integer(notebook, name, "iflink"))
    if index is None or index == present(_integer(notebook, name, "ifindex")):
        return None
    names = present(asked(lambda: notebook.root.names(FOLDER))) or []
    return next((other for other in names if present(_integer(notebook, other, "ifindex")) == index), None)


def _integer(notebook: Notebook, interface: str, attribute: str) -> int | Missing:
    path = f"{FOLDER}/{interface}/{attribute}"
    return notebook.parsed(path, lambda data: number(path, "file", stripped(data)))


def _hexadecimal(data: bytes) -> int:
    try:
        return int(stripped(data), 16)
    except ValueError:
        raise ParseError("sysfs", "flags", "a hexadecimal number was expected", stripped(data)) from None
