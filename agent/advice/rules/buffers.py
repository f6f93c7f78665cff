"""Socket buffers against the bandwidth-delay product of the node's paths, and the memory behind them."""

from dataclasses import dataclass

from agent.advice.evidence import Evidence, NotKnown, PathEvidence
from agent.advice.finding import WORST_FIRST, Confidence, Observed, Severity, Step, Sysctl
from agent.advice.rule import Found
from agent.advice.units import MEBIBYTE, milliseconds, percent, power_of_two_from, rate, size

LEAST_MAXIMUM_BYTES = 4 * MEBIBYTE
SHARE_OF_MEMORY = 32
"""One socket may grow to this part of the memory, no further."""
LARGE_MINIMUM_BYTES, LARGE_DEFAULT_BYTES = 1 << 16, 1 << 20
"""The kernel's own: a page (at most 64 KiB) and 128 KiB. What is above is taken by each socket, idle ones too."""
KERNEL_SIZES = {"tcp_rmem": (4096, 131072), "tcp_wmem": (4096, 16384)}
LIMITED = 0.1
"""Share of the busy time for which sockets waited for a window or buffer."""
REFERENCE_RTT_NS = 100_000_000
PAGE_BYTES = 4096
LEAST_MEMORY_BYTES = 16 * MEBIBYTE
"""Of all x86 and nearly all ARM kernels."""
MEMORY_NEAR_PRESSURE = 0.75
SWAPPINESS = 10
SWAPPED_PAGES_PER_SECOND = 1.0


def tcp_buffers(evidence: Evidence) -> Found | None:
    """tcp_rmem, tcp_wmem and auto-tuning, where sockets are limited by them or the host pins memory for nothing."""
    sizes = {key: evidence.integers(f"sysctl.net.ipv4.{key}", 3) for key in KERNEL_SIZES}
    memory_bytes = _memory_bytes(evidence)
    target = _target_bytes(evidence, sizes, memory_bytes)
    faults = [fault for key, values in sizes.items() if (fault := _fault(key, values, target)) is not None]
    if evidence.get("sysctl.net.ipv4.tcp_moderate_rcvbuf") == 0:
        words = ("receive buffers do not grow by themselves", "接收缓冲区不会自动增长")
        faults.append(_Fault(Severity.WARNING, Sysctl("net.ipv4.tcp_moderate_rcvbuf", "1", "0"), words))
    if not faults:
        return None
    steps = [fault.step for fault in faults] + _core_maxima(evidence, target[0] if target else None)
    limited = buffer_limited(evidence.paths)
    figures = {
        "reasons": "; ".join(fault.words[0] for fault in faults),
        "largest": size(target[0]) if target else "-",
        "bdp": size(max((path.bdp_bytes or 0 for path in evidence.paths), default=0)),
        "limited": _limits_text(limited) or "not measured",
        "memory": size(memory_bytes),
    }
    chinese = {
        "reasons": "；".join(fault.words[1] for fault in faults),
        "limited": _limits_text(limited) or "未测量",
    }
    worst = min((fault.severity for fault in faults), key=WORST_FIRST.index)
    confidence = Confidence.HIGH if limited else Confidence.MEDIUM
    keys = tuple(step.key for step in steps)
    return Found(worst, confidence, _observed(evidence, limited), figures, tuple(steps), keys, chinese)


@dataclass(frozen=True, slots=True)
class _Fault:
    """One parameter that does not fit: how bad, the change, and the reason in English and Chinese."""

    severity: Severity
    step: Sysctl
    words: tuple[str, str]


def _fault(key: str, values: tuple[int, ...], target: tuple[int, Severity] | None) -> _Fault | None:
    """tcp_rmem or tcp_wmem: a minimum or default that every socket pays for, a maximum that is too small."""
    least, default, most = values
    pinned = least > LARGE_MINIMUM_BYTES or default > LARGE_DEFAULT_BYTES
    small = target is not None and most < target[0]
    if not pinned and not small:
        return None
    kernel_least, kernel_default = KERNEL_SIZES[key]
    wanted = (
        kernel_least if least > LARGE_MINIMUM_BYTES else least,
        kernel_default if default > LARGE_DEFAULT_BYTES else default,
        target[0] if small and target else most,
    )
    step = Sysctl(f"net.ipv4.{key}", " ".join(map(str, wanted)), f"{least} {default} {most}")
    if not pinned and target:
        return _Fault(target[1], step, _too_small(key, most))
    share = size(max(least, default))
    words = (f"{key} gives every socket {share} from the start", f"{key} 从一开始就给每个套接字分配 {share}")
    return _Fault(Severity.WARNING, step, words)


def _too_small(key: str, most: int) -> tuple[str, str]:
    ceiling = rate(most / 2 * 8e9 / REFERENCE_RTT_NS)
    return (
        f"{key} ends at {size(most)}: about {ceiling} per connection at 100 ms",
        f"{key} 上限为 {size(most)}：在 100 ms 往返时延下每条连接约 {ceiling}",
    )


def _memory_bytes(evidence: Evidence) -> int:
    """Raises NotKnown, also for less than any host has: somebody's fact is wrong."""
    name = "memory.total_bytes"
    value = evidence.integer(name)
    if value < LEAST_MEMORY_BYTES:
        raise NotKnown(f"{name}: {value} bytes is less than any host has")
    return value


def _target_bytes(
    evidence: Evidence, sizes: dict[str, tuple[int, ...]], memory_bytes: int
) -> tuple[int, Severity] | None:
    """The maximum that the paths ask for and how much it matters; None where nothing asks for more.

    Without any measured path only a maximum below what the kernel itself would set is called small.
    """
    most = min(values[2] for values in sizes.values())
    cap = max(LEAST_MAXIMUM_BYTES, 1 << ((memory_bytes // SHARE_OF_MEMORY).bit_length() - 1))
    product = max((path.bdp_bytes or 0 for path in evidence.paths), default=0)
    limited = [share for _, share in buffer_limited(evidence.paths)]
    if limited and max(limited) >= LIMITED and product:
        wanted = max(LEAST_MAXIMUM_BYTES, power_of_two_from(2 * product), power_of_two_from(most + 1))
        wanted = min(wanted, cap)
        return (wanted, Severity.WARNING) if wanted > most else None
    if product > most and not limited:
        wanted = min(max(LEAST_MAXIMUM_BYTES, power_of_two_from(2 * product)), cap)
        return (wanted, Severity.INFO) if wanted > most else None
    # tcp_init() in net/ipv4/tcp.c: the lesser of 4 MiB (6 MiB to receive) and 1/128 of the memory
    own = min(LEAST_MAXIMUM_BYTES, memory_bytes // 128)
    if most < 0.8 * own and not limited:
        return LEAST_MAXIMUM_BYTES, Severity.WARNING if most < own / 4 else Severity.INFO
    return None


def _core_maxima(evidence: Evidence, target: int | None) -> list[Sysctl]:
    """rmem_max and wmem_max bound what programs ask for themselves (SO_RCVBUF): raised with the rest."""
    steps: list[Sysctl] = []
    for key in ("net.core.rmem_max", "net.core.wmem_max"):
        value = evidence.get(f"sysctl.{key}")
        if target is not None and isinstance(value, int) and value < target:
            steps.append(Sysctl(key, str(target), str(value)))
    return steps


def buffer_limited(paths: tuple[PathEvidence, ...]) -> list[tuple[PathEvidence, float]]:
    """Each path's share of the busy time for which its sockets waited for the peer's window or their own buffer."""
    found = []
    for path in paths:
        if not path.busy_seconds or path.rwnd_limited_seconds is None or path.sndbuf_limited_seconds is None:
            continue
        found.append((path, max(path.rwnd_limited_seconds, path.sndbuf_limited_seconds) / path.busy_seconds))
    return sorted(found, key=lambda pair: -pair[1])


def _limits_text(limits: list[tuple[PathEvidence, float]]) -> str:
    return ", ".join(f"{path.destination} {percent(share)}" for path, share in limits[:5])


def _observed(evidence: Evidence, limited: list[tuple[PathEvidence, float]]) -> tuple[Observed, ...]:
    keys = ("ipv4.tcp_rmem", "ipv4.tcp_wmem", "core.rmem_max", "core.wmem_max", "ipv4.tcp_moderate_rcvbuf")
    facts = evidence.observed(
        *(f"sysctl.net.{key}" for key in keys), "sysctl.net.ipv4.tcp_adv_win_scale", "memory.total_bytes"
    )
    products = tuple(
        path.observed("bdp_bytes", round(path.bdp_bytes), f"{milliseconds(path.p50_ns or 0)} × rate")
        for path in evidence.paths[:20]
        if path.bdp_bytes is not None
    )
    shares = tuple(
        path.observed("limited_ratio", round(share, 4), "inet_diag") for path, share in limited[:5]
    )
    return facts + products + shares


def tcp_mem(evidence: Evidence) -> Found | None:
    """TCP's share of memory runs out, or is set beyond what the host has. Values are pages."""
    name = "sysctl.net.ipv4.tcp_mem"
    pages = evidence.integers(name, 3)
    memory_pages = _memory_bytes(evidence) // PAGE_BYTES
    observed = evidence.observed(name, "memory.total_bytes")
    if pages[2] > memory_pages // 2:
        limit = memory_pages // 16
        wanted = (limit * 3 // 4, limit, limit * 3 // 2)
        figures = _memory_figures(pages, memory_pages, "more than half of the memory", "超过内存的一半")
        return _memory_found(Severity.WARNING, Confidence.HIGH, observed, figures, wanted, pages)
    kernel = evidence.counts()
    counters = ("tcp_memory_pressures", "tcp_aborts_on_memory", "tcp_pruned")
    squeezed = kernel.count("tcp_memory_pressures") + kernel.counters.get("tcp_aborts_on_memory", 0)
    used = kernel.gauges.get("tcp_memory_pages")
    if not squeezed and (used is None or used <= MEMORY_NEAR_PRESSURE * pages[1]):
        return None
    top = min(pages[2] * 2, memory_pages // 2)
    wanted = (top // 2, top * 2 // 3, top)
    steps_possible = wanted[2] > pages[2]
    observed += evidence.counted(*counters)
    if used is not None:
        observed += (Observed("tcp_memory_pages", int(used), "proc/net/sockstat", kernel.end_s),)
    figures = _memory_figures(
        pages, memory_pages, f"short: {squeezed} times under pressure", f"不足：出现 {squeezed} 次压力"
    )
    return _memory_found(
        Severity.WARNING, Confidence.HIGH, observed, figures, wanted if steps_possible else None, pages
    )


def _memory_figures(
    pages: tuple[int, ...], memory_pages: int, en: str, zh: str
) -> tuple[dict[str, str], str]:
    figures = {
        "state": en,
        "limit": size(pages[2] * PAGE_BYTES),
        "memory": size(memory_pages * PAGE_BYTES),
        "share": percent(pages[2] / memory_pages),
    }
    return figures, zh


def _memory_found(
    severity: Severity,
    confidence: Confidence,
    observed: tuple[Observed, ...],
    figures: tuple[dict[str, str], str],
    wanted: tuple[int, int, int] | None,
    pages: tuple[int, ...],
) -> Found:
    key, was = "net.ipv4.tcp_mem", " ".join(map(str, pages))
    steps: tuple[Step, ...] = (Sysctl(key, " ".join(map(str, wanted)), was),) if wanted else ()
    return Found(severity, confidence, observed, figures[0], steps, (key,), {"state": figures[1]})


def swappiness(evidence: Evidence) -> Found | None:
    """vm.swappiness above 10: a warning where the host swaps, else a remark. Silent without swap."""
    name = "sysctl.vm.swappiness"
    value = evidence.integer(name)
    if value <= SWAPPINESS or evidence.integer("swap.total_bytes") == 0:
        return None
    kernel = evidence.kernel
    swapped = None
    if kernel is not None and {"pages_swapped_in", "pages_swapped_out"} <= kernel.counters.keys():
        swapped = kernel.counters["pages_swapped_in"] + kernel.counters["pages_swapped_out"]
    per_second = None if swapped is None or kernel is None or not kernel.seconds else swapped / kernel.seconds
    swaps = per_second is not None and per_second > SWAPPED_PAGES_PER_SECOND
    figures = {
        "value": value,
        "swapped": "not known" if per_second is None else f"{per_second:.2g} pages/s",
    }
    chinese = {"swapped": "未知" if per_second is None else f"每秒 {per_second:.2g} 页"}
    observed = evidence.observed(name, "swap.total_bytes") + evidence.counted(
        "pages_swapped_in", "pages_swapped_out"
    )
    step = Sysctl("vm.swappiness", str(SWAPPINESS), str(value))
    severity = Severity.WARNING if swaps else Severity.INFO
    confidence = Confidence.LOW if per_second is None else Confidence.HIGH
    return Found(severity, confidence, observed, figures, (step,), ("vm.swappiness",), chinese)
