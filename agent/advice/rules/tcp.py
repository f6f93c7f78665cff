"""The TCP stack's switches, and what its retransmissions say."""

from collections.abc import Iterator
from dataclasses import dataclass

from agent.advice.evidence import MINIMUM_SEGMENTS, Evidence, NotKnown, PathEvidence
from agent.advice.finding import Confidence, Measurement, Observed, Severity, Step, Sysctl
from agent.advice.rule import Found
from agent.advice.units import milliseconds, percent, rate

LARGEST_UNSCALED_BYTES = 65535
"""The window field has 16 bits (RFC 9293, 3.1)."""
LONG_PATH_NS = 50_000_000
ASSUMED_RTT_NS, ASSUMED_WINDOW, ASSUMED_MSS = 100_000_000, 160, 1448
"""For figures of a host whose paths or sockets were not measured; the words say so."""
BBR_LOSS = (0.001, 0.15)
"""Below, there is nothing to win; above, no sender helps."""
BBR_KERNEL = (4, 9)
MATHIS = 1.22
"""Rate ≤ MSS ÷ RTT × 1.22 ÷ √loss of a loss-based sender (Mathis et al., 1997)."""
RETRANSMITS, MANY_RETRANSMITS = 0.05, 0.15
DOMINANT = 0.5
"""A kind that is more than half of all retransmitted segments."""


def sack(evidence: Evidence) -> Found | None:
    """tcp_sack is 0 (RFC 2018)."""
    name = "sysctl.net.ipv4.tcp_sack"
    if evidence.integer(name):
        return None
    step = Sysctl("net.ipv4.tcp_sack", "1", "0")
    return Found(
        Severity.WARNING, Confidence.HIGH, evidence.observed(name), {}, (step,), ("net.ipv4.tcp_sack",)
    )


def window_scaling(evidence: Evidence) -> Found | None:
    """tcp_window_scaling is 0 (RFC 7323, 2); how bad follows from the largest bandwidth-delay product, else from RTT."""
    name = "sysctl.net.ipv4.tcp_window_scaling"
    if evidence.integer(name):
        return None
    products = [path.bdp_bytes for path in evidence.paths if path.bdp_bytes is not None]
    medians = [path.p50_ns for path in evidence.paths if path.p50_ns]
    longest_ns = max(medians, default=ASSUMED_RTT_NS)
    ceiling = LARGEST_UNSCALED_BYTES * 8e9 / longest_ns
    needs = max(products, default=None)
    costs_nothing = needs < LARGEST_UNSCALED_BYTES if needs is not None else bool(medians) and ceiling > 1e9
    severity = Severity.INFO if costs_nothing else Severity.WARNING
    if needs is not None and needs > 16 * LARGEST_UNSCALED_BYTES:
        severity = Severity.CRITICAL
    observed = evidence.observed(name) + tuple(
        path.observed("p50_ns", path.p50_ns) for path in evidence.paths if path.p50_ns == longest_ns
    )
    figures, chinese = {"rtt": milliseconds(longest_ns), "ceiling": rate(ceiling)}, {}
    if not medians:
        figures["rtt"], chinese["rtt"] = _assumed(figures["rtt"])
    confidence = Confidence.HIGH if products else Confidence.MEDIUM
    step = Sysctl("net.ipv4.tcp_window_scaling", "1", "0")
    return Found(severity, confidence, observed, figures, (step,), ("net.ipv4.tcp_window_scaling",), chinese)


def _assumed(figure: str) -> tuple[str, str]:
    """A figure that nobody measured, marked as such in both languages."""
    return f"{figure} (assumed, not measured)", f"{figure}（假定值，未测量）"


def slow_start_after_idle(evidence: Evidence) -> Found | None:
    """tcp_slow_start_after_idle is 1 and a path is long: after a pause each connection starts over (RFC 2861)."""
    name = "sysctl.net.ipv4.tcp_slow_start_after_idle"
    if not evidence.integer(name):
        return None
    longest_ns = evidence.longest_ns()
    if longest_ns < LONG_PATH_NS:
        return None
    long = [path for path in evidence.paths if path.p50_ns is not None and path.p50_ns >= LONG_PATH_NS]
    observed = evidence.observed(name) + tuple(path.observed("p50_ns", path.p50_ns) for path in long[:5])
    windows = [path.cwnd_segments for path in long if path.cwnd_segments]
    window = int(max(windows, default=ASSUMED_WINDOW))
    trips = max(1, (window // 10).bit_length())
    figures = {
        "rtt": milliseconds(longest_ns),
        "window": str(window),
        "trips": str(trips),
        "lost": milliseconds(trips * longest_ns),
    }
    chinese = {}
    if not windows:
        figures["window"], chinese["window"] = _assumed(figures["window"])
    step = Sysctl("net.ipv4.tcp_slow_start_after_idle", "0", "1")
    subjects = tuple(path.destination for path in long)
    return Found(Severity.INFO, Confidence.MEDIUM, observed, figures, (step,), subjects, chinese)


def congestion_control(evidence: Evidence) -> Found | None:
    """A loss-based sender on long paths that lose a little, where BBR is at hand."""
    name, available_name = (
        "sysctl.net.ipv4.tcp_congestion_control",
        "sysctl.net.ipv4.tcp_available_congestion_control",
    )
    in_use = evidence.text(name)
    if in_use not in ("cubic", "reno"):
        return None
    lossy = [
        (path, loss) for path in evidence.measured_paths() if (loss := _loss_on_long_path(path)) is not None
    ]
    if not lossy:
        _require_known_loss(evidence)
        return None
    if kernel_release(evidence) < BBR_KERNEL or not _bbr_at_hand(evidence):
        return None
    path, loss = max(lossy, key=lambda pair: (pair[0].p50_ns or 0) * pair[1] ** 0.5)
    mss = path.tcp_mss_bytes or ASSUMED_MSS
    limit = mss * 8e9 / (path.p50_ns or 1) * MATHIS / loss**0.5
    qdisc = evidence.get("sysctl.net.core.default_qdisc")
    steps: tuple[Step, ...] = (Sysctl("net.ipv4.tcp_congestion_control", "bbr", in_use),)
    if qdisc != "fq":
        steps = (Sysctl("net.core.default_qdisc", "fq", qdisc), *steps)
    figures = {
        "in_use": in_use, "path": path.destination, "rtt": milliseconds(path.p50_ns or 0),
        "loss": percent(loss), "limit": rate(limit), "qdisc": qdisc or "?", "mss": str(mss),
    }  # fmt: skip
    observed = evidence.observed(name, available_name, "sysctl.net.core.default_qdisc") + tuple(
        path.observed("loss_ratio" if path.retransmit_ratio is None else "retransmit_ratio", round(ratio, 6))
        for path, ratio in lossy[:5]
    )
    subjects = tuple(path.destination for path, _ in lossy)
    return Found(Severity.WARNING, Confidence.MEDIUM, observed, figures, steps, subjects)


def _loss_on_long_path(path: PathEvidence) -> float | None:
    """Its loss where BBR could help: what TCP itself retransmitted if known, else what probes lost."""
    loss = path.retransmit_ratio if path.retransmit_ratio is not None else path.loss_ratio
    if loss is None or path.p50_ns is None or path.p50_ns < LONG_PATH_NS:
        return None
    return loss if BBR_LOSS[0] <= loss <= BBR_LOSS[1] else None


def _require_known_loss(evidence: Evidence) -> None:
    if all(path.loss_ratio is None and path.retransmit_ratio is None for path in evidence.paths):
        raise NotKnown("loss: too few probes and segments on every path")


def kernel_release(evidence: Evidence) -> tuple[int, int]:
    """Major and minor of the running kernel. Raises NotKnown."""
    release = evidence.text("kernel.release")
    parts = release.split("-")[0].split(".")
    try:
        return int(parts[0]), int(parts[1])
    except (IndexError, ValueError):
        raise NotKnown(f"kernel.release: no version in {release!r}") from None


def _bbr_at_hand(evidence: Evidence) -> bool:
    """Loaded, or there to be loaded. Raises NotKnown."""
    if "bbr" in evidence.text("sysctl.net.ipv4.tcp_available_congestion_control").split():
        return True
    return "tcp_bbr" in evidence.value("modules.available")


@dataclass(frozen=True, slots=True)
class _Kind:
    """One way to retransmit: its counters (series `kernel`, without their prefix), its words, what to measure next."""

    name: str
    counters: tuple[str, ...]
    en: str
    zh: str


_KINDS = (
    _Kind(
        "syn",
        ("syn",),
        "SYNs dominate: peers that cannot be reached, or a full SYN backlog. Look at `listen-queue`, then probe the"
        " port: lightfloor-agent probe syn",
        "以 SYN 重传为主：对端不可达或 SYN 队列已满。先看 listen-queue，再用 lightfloor-agent probe syn 测试端口",
    ),
    _Kind(
        "spurious",
        ("spurious_dsack", "spurious_timeout"),
        "most were needless (the peer had the data): reordering, or delays that jump beyond the timer. Compare the"
        " udp probe's reordering and P99/P50",
        "多数重传并非必要（对端早已收到）：存在乱序或时延突变。请比较 udp 探测的乱序率与 P99/P50",
    ),
    _Kind(
        "timeout",
        ("timeout", "slow_start"),
        "timeouts dominate: the tail of a burst is lost, or large packets vanish. Rule out a black hole:"
        " lightfloor-agent probe mtu",
        "以超时重传为主：尾部丢包或大包被丢弃。先用 lightfloor-agent probe mtu 排除 PMTU 黑洞",
    ),
    _Kind(
        "fast",
        ("fast",),
        "fast retransmits dominate: the path drops single segments, by congestion or a policer. Compare the udp"
        " probe's loss by direction",
        "以快速重传为主：路径随机丢段（拥塞或限速器）。请比较 udp 探测的单向丢包率",
    ),
)


def retransmits(evidence: Evidence) -> Found | None:
    """More than 5% of sent segments were retransmitted, by the whole node or towards a peer; which kind dominates."""
    affected = [(p, r) for p in evidence.paths if (r := p.retransmit_ratio) is not None and r > RETRANSMITS]
    node_ratio = _node_ratio(evidence)
    if not affected and (node_ratio is None or node_ratio <= RETRANSMITS):
        if node_ratio is None and all(path.retransmit_ratio is None for path in evidence.paths):
            raise NotKnown(
                f"retransmits: fewer than {MINIMUM_SEGMENTS} segments were sent, or none were counted"
            )
        return None
    worst = max([ratio for _, ratio in affected] + ([node_ratio] if node_ratio is not None else []))
    kind = _dominant(evidence)
    figures = {
        "ratio": percent(worst),
        "peers": ", ".join(path.destination for path, _ in affected[:5]) or evidence.node,
        "kind": kind.en if kind else "no kind dominates; capture one transfer (inspect pcap)",
    }
    chinese = {"kind": kind.zh if kind else "没有占主导的类型；请抓包一次（inspect pcap）"}
    counters = ("tcp_segments_sent", "tcp_segments_retransmitted")
    observed = evidence.counted(
        *counters, *(f"tcp_retransmits_{c}" for each in _KINDS for c in each.counters)
    )
    observed += tuple(_of_path(affected))
    return Found(
        Severity.CRITICAL if worst >= MANY_RETRANSMITS else Severity.WARNING,
        Confidence.HIGH, observed, figures, _next_measurement(affected), tuple(p.destination for p, _ in affected),
        chinese,
    )  # fmt: skip


def _of_path(affected: list[tuple[PathEvidence, float]]) -> Iterator[Observed]:
    for path, _ in affected[:5]:
        for figure in ("bytes_sent", "bytes_retransmitted", "segments_sent", "segments_retransmitted"):
            if getattr(path, figure) is not None:
                yield path.observed(figure, getattr(path, figure), "inet_diag")


def _node_ratio(evidence: Evidence) -> float | None:
    if evidence.kernel is None:
        return None
    sent = evidence.kernel.counters.get("tcp_segments_sent")
    again = evidence.kernel.counters.get("tcp_segments_retransmitted")
    if sent is None or again is None or sent < MINIMUM_SEGMENTS:
        return None
    return again / sent


def _dominant(evidence: Evidence) -> _Kind | None:
    """The kind that is more than half of all retransmitted segments; the first of the list where several are."""
    if evidence.kernel is None:
        return None
    counters = evidence.kernel.counters
    again = counters.get("tcp_segments_retransmitted", 0)
    for kind in _KINDS:
        events = max(counters.get(f"tcp_retransmits_{name}", 0) for name in kind.counters)
        if again and events > DOMINANT * again:
            return kind
    return None


def _next_measurement(affected: list[tuple[PathEvidence, float]]) -> tuple[Step, ...]:
    """What tells loss on the path from a fault of this host; it changes nothing, so there is nothing to undo."""
    hosts = [path.address or path.destination for path, _ in affected[:1]]
    return tuple(Measurement(f"lightfloor-agent probe udp {host}:10981 -c 500 -i 0.02") for host in hosts)
