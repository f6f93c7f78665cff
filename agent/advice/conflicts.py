"""Findings that touch the same thing: which goes first, and which change is held back until then."""

from collections.abc import Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from agent.advice.finding import Finding, Note, Severity, Sysctl


@dataclass(frozen=True, slots=True)
class Order:
    """first is done before then. withholds: the other's change waits; severity: what the other then is at most."""

    first: str
    then: str
    en: str
    zh: str
    withholds: bool = False
    at_most: Severity | None = None


ORDERS: tuple[Order, ...] = (
    Order(
        "overlay-mtu", "mtu-probing",
        "Repair the overlay's MTU first (overlay-mtu): probing would hide it.",
        "请先修正隧道 MTU（overlay-mtu）：探测会掩盖它。", withholds=True, at_most=Severity.INFO,
    ),
    Order(
        "pmtu-black-hole", "mtu-probing",
        "The MTU on the route or the clamp comes first (pmtu-black-hole); this is the fallback.",
        "请先设置路由 MTU 或 MSS 限制（pmtu-black-hole）；此项仅为后备。", at_most=Severity.INFO,
    ),
    Order(
        "tcp-mem", "tcp-buffers",
        "TCP's memory is short or mis-set (tcp-mem): settle that before larger buffers.",
        "TCP 内存不足或设置有误（tcp-mem）：请先解决，再调大缓冲区。", withholds=True,
    ),
    Order(
        "pmtu-black-hole", "retransmits",
        "Large packets vanish on a path (pmtu-black-hole): that alone explains timeouts. Judge again afterwards.",
        "路径上大包消失（pmtu-black-hole）：仅此即可解释超时重传。修复后再判断。",
    ),
    Order(
        "pmtu-black-hole", "congestion-control",
        "Repair the black hole first: its losses are not the path's.",
        "请先修复黑洞：其丢包并非路径丢包。", withholds=True, at_most=Severity.INFO,
    ),
    Order(
        "virt-acceleration", "softnet",
        "The host has too little CPU (virt-acceleration): a larger budget will not cure that.",
        "主机 CPU 不足（virt-acceleration）：调大配额无济于事。", withholds=True, at_most=Severity.INFO,
    ),
    Order(
        "virt-acceleration", "p99-over-floor",
        "This host itself delays packets (virt-acceleration): settle that before a complaint about the path.",
        "本机自身造成时延（virt-acceleration）：请先解决，再投诉路径。",
    ),
    Order(
        "zero-window", "tcp-buffers",
        "Windows close because a program reads slowly (zero-window) where queues are not pruned: larger buffers only delay that.",
        "若未出现队列裁剪，窗口关闭是程序读取过慢（zero-window）：更大的缓冲只会推迟问题。",
    ),
    Order(
        "overlay-mtu", "path-mtu",
        "The overlay is set by the path's MTU too: change both together.",
        "隧道 MTU 同样取决于路径 MTU：请一并修改。",
    ),
)  # fmt: skip
_WORST_FIRST = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)


def settle(findings: Iterable[Finding]) -> list[Finding]:
    """The findings with what they say of each other; no parameter is left with two values to set."""
    settled = list(findings)
    present = {finding.id for finding in settled}
    for order in ORDERS:
        if order.first in present and order.then in present:
            settled = [_after(finding, order) if finding.id == order.then else finding for finding in settled]
    return _one_value_each(settled)


def _after(finding: Finding, order: Order) -> Finding:
    severity = finding.severity
    if order.at_most is not None:
        severity = max(severity, order.at_most, key=_WORST_FIRST.index)
    note = Note(order.en, order.zh, order.withholds)
    return replace(finding, notes=(*finding.notes, note), severity=severity)


def _one_value_each(findings: list[Finding]) -> list[Finding]:
    """Where two findings set one parameter differently, the graver one's value stands and the other says so."""
    chosen: dict[str, tuple[str, str]] = {}
    kept: dict[str, Finding] = {}
    for finding in sorted(findings, key=lambda each: _WORST_FIRST.index(each.severity)):
        steps, notes = [], list(finding.notes)
        for step in finding.steps:
            if isinstance(step, Sysctl):
                value, owner = chosen.setdefault(step.key, (step.value, finding.id))
                if value != step.value:
                    notes.append(
                        Note(
                            f"{step.key}: the value of {owner} stands.",
                            f"{step.key}：以 {owner} 的取值为准。",
                        )
                    )
                    continue
            steps.append(step)
        kept[finding.id] = replace(finding, steps=tuple(steps), notes=tuple(notes))
    return [kept[finding.id] for finding in findings]
