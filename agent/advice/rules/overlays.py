"""Tunnels: their MTU against what the path below them carries, and what their headers cost."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agent.advice.evidence import Evidence, NotKnown
from agent.advice.finding import Command, Confidence, Observed, Severity, Stanza, Step
from agent.advice.rule import Found
from agent.advice.rules.mtu import PLAIN_NAME, default_interface
from agent.advice.units import percent
from agent.kernel.tunnels import OVERHEADS, TunnelKind

SETS_ROUTE_MTU = ("cilium_", "lxc", "cni")
"""Devices whose own MTU says nothing: Cilium puts the inner MTU on routes (its pods' links keep the outer one)."""
LEAST_MTU_BYTES = 68
"""Of an IPv4 link (RFC 791, 3.2)."""
WIREGUARD_ROUND = 16
"""WireGuard pads to 16 bytes where that fits; the MTU itself needs no rounding."""


@dataclass(frozen=True, slots=True)
class _Overlay:
    """One overlay as it is (interface) or as configured (file), with the MTU that it has.

    inner: True: mtu counts the inner packet; False: the underlay's, from which the plugin subtracts its overhead.
    """

    what: str
    kind: TunnelKind
    family: str | None
    mtu: int
    inner: bool
    fact: str
    where: str

    def overheads(self) -> tuple[int, int]:
        """Least and most bytes it adds: one number where the underlay's family is known."""
        overhead = OVERHEADS[self.kind]
        known = [n for n in (overhead.ipv4, overhead.ipv6) if n is not None]
        if self.family == "ipv4" and overhead.ipv4 is not None:
            return overhead.ipv4, overhead.ipv4
        if self.family == "ipv6" and overhead.ipv6 is not None:
            return overhead.ipv6, overhead.ipv6
        return min(known), max(known)

    def fitting(self, underlay_mtu: int) -> tuple[int, int]:
        """The exact MTU it should have (by the most overhead it may add), and the largest that could still fit."""
        least, most = self.overheads()
        return (underlay_mtu - most, underlay_mtu - least) if self.inner else (underlay_mtu, underlay_mtu)


def overlay_mtu(evidence: Evidence) -> Found | None:
    """A tunnel or its configuration that asks the underlay for larger packets than it carries, or wastes some."""
    overlays = list(_overlays(evidence))
    if not overlays:
        evidence.value("interfaces.names")
        return None
    judged = [(o, under) for o in overlays if (under := _underlay_mtu(evidence, o)) is not None]
    if not judged:
        raise NotKnown("overlays: the MTU below them is not known")
    large = [(o, under) for o, under in judged if o.mtu > o.fitting(under[0])[1]]
    small = [(o, under) for o, under in judged if o.inner and o.mtu < under[0] - _widest(o)]
    chosen = large or small
    if not chosen:
        return None
    reasons = [_reason(o, *under, too_large=bool(large)) for o, under in chosen]
    figures = {
        "first": reasons[0][0] + _more(reasons, " and {} more"),
        "reasons": "; ".join(en for en, _ in reasons),
        "bytes": max(abs(o.mtu - o.fitting(under[0])[0]) for o, under in chosen),
    }
    chinese = {
        "first": reasons[0][1] + _more(reasons, "，另有 {} 处"),
        "reasons": "；".join(zh for _, zh in reasons),
    }
    observed = evidence.observed(*(o.fact for o, _ in chosen))
    observed += tuple(dict.fromkeys(_underlay_observed(evidence, under) for _, under in chosen))
    severity = Severity.WARNING if large else Severity.INFO
    steps = tuple(dict.fromkeys(step for o, under in chosen for step in _steps(o, under[0])))
    return Found(
        severity, Confidence.HIGH, observed, figures, steps, tuple(o.what for o, _ in chosen), chinese
    )


def _more(reasons: list[tuple[str, str]], form: str) -> str:
    return form.format(len(reasons) - 1) if len(reasons) > 1 else ""


def _widest(overlay: _Overlay) -> int:
    """The overhead that an administrator who allows for both families subtracts; less MTU than that is waste."""
    overhead = OVERHEADS[overlay.kind]
    return max(n for n in (overhead.ipv4, overhead.ipv6) if n is not None)


def _overlays(evidence: Evidence) -> Iterator[_Overlay]:
    for name in evidence.names_of("overlay.", ".kind"):
        mtu, kind = evidence.get(f"overlay.{name}.mtu"), _kind(evidence.get(f"overlay.{name}.kind"))
        if kind is not None and isinstance(mtu, int) and not name.startswith(SETS_ROUTE_MTU):
            family = evidence.get(f"overlay.{name}.underlay_family")
            yield _Overlay(name, kind, family, mtu, True, f"overlay.{name}.mtu", name)
    for name, fact in evidence.facts.items():
        if name.startswith("overlay_config.") and isinstance(fact.value, dict):
            yield from _configured(name, fact.value, fact.source)


def _configured(name: str, config: dict[str, Any], source: str) -> Iterator[_Overlay]:
    kind = _kind(config.get("kind"))
    if kind is None:
        return
    what = str(config.get("interface") or name.split(".")[1])
    family = config.get("underlay_family")
    for key, inner in (("mtu", True), ("underlay_mtu", False)):
        if isinstance(config.get(key), int) and config[key] > 0:
            yield _Overlay(what, kind, family, config[key], inner, name, source)


def _kind(word: Any) -> TunnelKind | None:
    """A kind whose overhead is known; None for others and for no encapsulation."""
    if not isinstance(word, str):
        return None
    if word in TunnelKind._value2member_map_ and TunnelKind(word) in OVERHEADS and word != TunnelKind.NONE:
        return TunnelKind(word)
    return None


def _underlay_mtu(evidence: Evidence, overlay: _Overlay) -> tuple[int, str] | None:
    """What the underlay carries and which fact or path says so: its link's MTU, or less where a path carries less."""
    name = f"overlay.{overlay.what}.underlay_mtu"
    link, fact = _mtu(evidence, name), name
    if link is None:
        interface = default_interface(evidence, overlay.family or "ipv4") or default_interface(evidence)
        fact = f"interface.{interface}.mtu"
        link = _mtu(evidence, fact)
    family = overlay.family or "ipv4"
    paths = [p for p in evidence.paths if p.path_mtu_bytes is not None and p.family == family]
    narrowest = min(paths, key=lambda path: path.path_mtu_bytes or 0, default=None)
    if (
        narrowest is not None
        and narrowest.path_mtu_bytes
        and (link is None or narrowest.path_mtu_bytes < link)
    ):
        return narrowest.path_mtu_bytes, narrowest.name
    return None if link is None else (link, fact)


def _mtu(evidence: Evidence, fact: str) -> int | None:
    """None where it is not known, or no MTU that a link can have."""
    value = evidence.get(fact)
    return value if type(value) is int and value >= LEAST_MTU_BYTES else None


def _underlay_observed(evidence: Evidence, under: tuple[int, str]) -> Observed:
    facts = evidence.observed(under[1])
    return facts[0] if facts else Observed(f"{under[1]}.path_mtu_bytes", under[0], "mtu probe")


def _reason(overlay: _Overlay, underlay: int, said_by: str, *, too_large: bool) -> tuple[str, str]:
    right = overlay.fitting(underlay)[0]
    least, most = overlay.overheads()
    takes = f"{least}" if least == most else f"{least}–{most}"
    of = "path" if said_by.startswith("path.") else "link"
    of_zh = "路径" if of == "path" else "链路"
    if not overlay.inner:
        return (
            f"{overlay.where} ({overlay.kind}) is configured for an underlay of {overlay.mtu}, the {of} carries {underlay}",
            f"{overlay.where}（{overlay.kind}）按底层 MTU {overlay.mtu} 配置，而{of_zh}只有 {underlay}",
        )
    word, word_zh = ("too large", "过大") if too_large else ("smaller than needed", "偏小")
    names = f"{overlay.where} ({overlay.kind})"
    en = f"{names} has MTU {overlay.mtu}, {word}: the {of} below carries {underlay}, headers take {takes}, so {right}"
    zh = f"{names} 的 MTU 为 {overlay.mtu}，{word_zh}：下层{of_zh} MTU 为 {underlay}，封装头占 {takes}，应为 {right}"
    return en, zh


def _steps(overlay: _Overlay, underlay: int) -> Iterator[Step]:
    right = overlay.fitting(underlay)[0]
    if overlay.fact.startswith("overlay_config."):
        owner = overlay.fact.split(".")[1]
        yield Stanza(overlay.where, _stanza(owner, overlay, right), _stanza(owner, overlay, overlay.mtu))
    elif PLAIN_NAME.fullmatch(overlay.what):
        yield Command(
            f"ip link set dev {overlay.what} mtu {right}",
            f"ip link set dev {overlay.what} mtu {overlay.mtu}",
            f'test "$(cat /sys/class/net/{overlay.what}/mtu)" = {right}',
        )


def _stanza(owner: str, overlay: _Overlay, mtu: int) -> str:
    """The line or object that sets it, in the words of its owner."""
    if owner == "flannel" and overlay.inner:
        return f"FLANNEL_MTU={mtu}  # written by flannel: set Backend.MTU in net-conf.json"
    if owner == "flannel":
        return f'"Backend": {{"Type": "{overlay.kind}", "MTU": {mtu}}}'
    if owner == "calico":
        return f"spec:\n  calicoNetwork:\n    mtu: {mtu}"
    if owner == "cilium":
        return f'mtu: "{mtu}"'
    if owner == "wg-quick":
        return f"[Interface]\nMTU = {mtu}"
    return f'"mtu": {mtu}'


HEAVY_KINDS = (TunnelKind.VXLAN, TunnelKind.GENEVE, TunnelKind.GRETAP)


def overlay_kind(evidence: Evidence) -> Found | None:
    """An overlay that carries Ethernet frames where IP in IP would do: header bytes only, nothing else is claimed."""
    heavy = [o for o in _overlays(evidence) if o.kind in HEAVY_KINDS]
    if not heavy:
        evidence.value("interfaces.names")
        return None
    overlay = heavy[0]
    below = _underlay_mtu(evidence, overlay)
    if below is None:
        raise NotKnown(f"overlay {overlay.what}: the MTU below it is not known")
    underlay = below[0]
    own, lean = overlay.overheads()[0], OVERHEADS[TunnelKind.IPIP]
    other = (lean.ipv6 if overlay.family == "ipv6" else lean.ipv4) or 20
    figures = {
        "kind": overlay.kind.value, "interface": overlay.what, "own": own, "lean": other, "mtu": underlay,
        "own_share": percent(own / underlay), "lean_share": percent(other / underlay),
        "saving": percent((own - other) / underlay),
    }  # fmt: skip
    return Found(
        Severity.INFO, Confidence.HIGH, evidence.observed(overlay.fact), figures, subjects=(overlay.what,)
    )
