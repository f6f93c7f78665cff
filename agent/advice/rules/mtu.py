"""Path MTU against what the interface believes, black holes, and the kernel's own way around them."""

import re
from collections.abc import Sequence
from ipaddress import ip_address

from agent.advice.evidence import Evidence, NotKnown, PathEvidence
from agent.advice.finding import Command, Confidence, Observed, Request, Severity, Step, Sysctl
from agent.advice.rule import Found

TCP_HEADERS = {"ipv4": 40, "ipv6": 60}
"""IP and TCP headers without options (RFC 9293, 3.7.1)."""
CLAMP_TABLE = "lightfloor_mss"
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,14}")
"""What may stand in a command. A stranger's facts could hold anything."""


def mss_of(path_mtu_bytes: int, family: str) -> int:
    """The largest TCP segment that fits."""
    return path_mtu_bytes - TCP_HEADERS[family]


def paths_with_mtu(evidence: Evidence) -> list[PathEvidence]:
    """Paths whose MTU was measured. Raises NotKnown where none was."""
    found = [path for path in evidence.paths if path.path_mtu_bytes is not None]
    if not found:
        raise NotKnown("path MTU: measured on no path")
    return found


def default_interface(evidence: Evidence, family: str = "ipv4") -> str | None:
    """Where the best default route of that family leaves; None where it is not known."""
    routes = evidence.get(f"route.{family}.default")
    if isinstance(routes, list) and routes and isinstance(routes[0], dict):
        interface = routes[0].get("interface")
        return interface if isinstance(interface, str) and PLAIN_NAME.fullmatch(interface) else None
    return None


def _gateway(evidence: Evidence, family: str) -> str | None:
    """The best default route's gateway; None for a route without one, or where it is no address."""
    try:
        return str(ip_address(evidence.value(f"route.{family}.default")[0]["gateway"]))
    except (NotKnown, KeyError, IndexError, TypeError, ValueError):
        return None


def interface_mtu(evidence: Evidence, path: PathEvidence) -> int | None:
    """MTU of the interface that the path leaves by: as the probe saw it, else that of the default route."""
    if path.interface_mtu_bytes is not None:
        return path.interface_mtu_bytes
    name = default_interface(evidence, path.family)
    value = None if name is None else evidence.get(f"interface.{name}.mtu")
    return value if isinstance(value, int) else None


def path_mtu(evidence: Evidence) -> Found | None:
    """Paths that carry less than the interface sends, where routers say so; black holes have their own rule."""
    measured = paths_with_mtu(evidence)
    narrow = [
        (path, own) for path in measured
        if not path.black_hole and (own := interface_mtu(evidence, path)) is not None
        and path.path_mtu_bytes is not None and path.path_mtu_bytes < own
    ]  # fmt: skip
    if not narrow:
        return None
    smallest = min(path.path_mtu_bytes or 0 for path, _ in narrow)
    everywhere = len(narrow) == len(measured)
    steps = tuple(_set_mtu(evidence, narrow, smallest) if everywhere else _set_routes(evidence, narrow))
    silent = any(path.icmp_seen is False for path, _ in narrow)
    figures = {
        "paths": _listed(narrow), "smallest": smallest, "own": max(own for _, own in narrow),
    }  # fmt: skip
    severity = Severity.WARNING if silent else Severity.INFO
    return Found(
        severity, Confidence.HIGH, _observed(narrow), figures, steps, tuple(p.destination for p, _ in narrow)
    )


def pmtu_black_hole(evidence: Evidence) -> Found | None:
    """Large packets vanish and no router says so: transfers hang while pings work (RFC 2923, 2.1)."""
    known = [path for path in evidence.paths if path.black_hole is not None]
    if not known:
        raise NotKnown("black holes: looked for on no path")
    holes = [path for path in known if path.black_hole]
    if not holes:
        return None
    narrow = [(path, interface_mtu(evidence, path)) for path in holes]
    smallest = {
        family: min(path.path_mtu_bytes for path in holes if path.family == family and path.path_mtu_bytes)
        for family in ("ipv4", "ipv6")
        if any(path.family == family and path.path_mtu_bytes for path in holes)
    }
    steps: list[Step] = _clamp(evidence, smallest)
    steps += _set_routes(evidence, narrow)
    names = ", ".join(dict.fromkeys(path.destination for path in holes[:5]))
    steps.append(
        Request(
            f"Ask the provider to let ICMP type 3 code 4 and ICMPv6 type 2 through on the path to {names}.",
            f"请服务商在通往 {names} 的路径上放行 ICMP 类型 3 代码 4 与 ICMPv6 类型 2。",
        )
    )
    figures = {"paths": _listed(narrow), "mss": " / ".join(_mss_words(smallest)) or "?"}
    subjects = tuple(path.destination for path in holes)
    return Found(Severity.CRITICAL, Confidence.HIGH, _observed(narrow), figures, tuple(steps), subjects)


def _mss_words(smallest: dict[str, int]) -> list[str]:
    return [f"{mss_of(mtu, family)} ({family})" for family, mtu in smallest.items()]


def mtu_probing(evidence: Evidence) -> Found | None:
    """tcp_mtu_probing is 0 while a path is a black hole: RFC 4821 would find a size that fits."""
    name = "sysctl.net.ipv4.tcp_mtu_probing"
    if evidence.integer(name):
        return None
    if all(path.black_hole is None for path in evidence.paths):
        raise NotKnown("black holes: looked for on no path")
    holes = [path for path in evidence.paths if path.black_hole]
    if not holes:
        return None
    figures = {"paths": ", ".join(dict.fromkeys(path.destination for path in holes[:5]))}
    observed = evidence.observed(name) + tuple(
        path.observed("black_hole", True, "mtu probe") for path in holes[:5]
    )
    step = Sysctl("net.ipv4.tcp_mtu_probing", "1", "0")
    subjects = tuple(path.destination for path in holes)
    return Found(Severity.WARNING, Confidence.MEDIUM, observed, figures, (step,), subjects)


def _set_mtu(evidence: Evidence, narrow: list[tuple[PathEvidence, int]], smallest: int) -> list[Step]:
    interface = default_interface(evidence, narrow[0][0].family)
    if interface is None:
        return _set_routes(evidence, narrow)
    return [
        Command(
            f"ip link set dev {interface} mtu {smallest}",
            f"ip link set dev {interface} mtu {max(own for _, own in narrow)}",
            f'test "$(cat /sys/class/net/{interface}/mtu)" -le {smallest}',
        )
    ]


def _set_routes(evidence: Evidence, narrow: Sequence[tuple[PathEvidence, int | None]]) -> list[Step]:
    """A host route with the measured MTU for each destination; only those whose address is known can be written out."""
    steps: list[Step] = []
    for path, _ in narrow:
        interface, gateway = default_interface(evidence, path.family), _gateway(evidence, path.family)
        if path.address is None or path.path_mtu_bytes is None or interface is None:
            continue
        ip = "ip -6" if path.family == "ipv6" else "ip"
        where = f"{path.address} {f'via {gateway} ' if gateway else ''}dev {interface}"
        steps.append(
            Command(
                f"{ip} route replace {where} mtu {path.path_mtu_bytes}",
                f"{ip} route del {where}",
                f"{ip} route show {path.address} | grep -q 'mtu {path.path_mtu_bytes}'",
            )
        )
    return steps


def _clamp(evidence: Evidence, smallest: dict[str, int]) -> list[Step]:
    """MSS clamp in both directions of SYNs that leave or enter (nft, `tcp option maxseg size set`)."""
    steps: list[Step] = []
    for family, mtu in smallest.items():
        interface = default_interface(evidence, family)
        if interface is None:
            continue
        table = f"{'ip6' if family == 'ipv6' else 'ip'} {CLAMP_TABLE}"
        size = mss_of(mtu, family)
        rules = "; ".join(
            f'add rule {table} {chain} {way} "{interface}" tcp flags syn tcp option maxseg size > {size} tcp option maxseg size set {size}'
            for chain, way in (("output", "oifname"), ("forward", "oifname"), ("input", "iifname"))
        )
        chains = "; ".join(
            f"add chain {table} {chain} {{ type filter hook {chain} priority mangle ; }}"
            for chain in ("output", "forward", "input")
        )
        steps.append(
            Command(
                f"nft 'add table {table}; {chains}; {rules}'",
                f"nft delete table {table}",
                f"nft list table {table} 2>/dev/null | grep -q 'maxseg size set {size}'",
            )
        )
    return steps


def _listed(narrow: Sequence[tuple[PathEvidence, int | None]]) -> str:
    return ", ".join(dict.fromkeys(f"{path.destination} {path.path_mtu_bytes}" for path, _ in narrow[:5]))


def _observed(narrow: Sequence[tuple[PathEvidence, int | None]]) -> tuple[Observed, ...]:
    found: list[Observed] = []
    for path, own in narrow[:5]:
        found.append(path.observed("path_mtu_bytes", path.path_mtu_bytes, "mtu probe"))
        if own is not None:
            found.append(path.observed("interface_mtu_bytes", own, "mtu probe"))
        found.append(path.observed("icmp_seen", path.icmp_seen, "mtu probe"))
    return tuple(found)
