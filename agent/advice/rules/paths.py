"""What a node's paths show: latency over the floor, routes that changed, queues that fill, one family worse than the other."""

from agent.advice.evidence import Evidence, NotKnown, PathEvidence
from agent.advice.finding import Command, Confidence, Observed, Request, Severity, Stanza, Step
from agent.advice.rule import Found
from agent.advice.rules.mtu import default_interface
from agent.advice.units import milliseconds, rate

TIMES_FLOOR = 2.0
SHORT_FLOOR_NS = 1_000_000
"""Below, the hosts' own time dominates; the fleet's verdict says TOO_CLOSE."""
ENOUGH_FOR_P99 = 299
"""The least number of samples of which none above a limit proves P99 below it at 95%."""
BLOATED = 5.0
SHAPED = 0.95
BETTER_RATIO, BETTER_NS = 1.1, 5_000_000


def p99_over_floor(evidence: Evidence) -> Found | None:
    """P99 beyond the limit (twice the floor where none is agreed), and whether the route or only the tail is at fault."""
    judged = [
        path for path in evidence.measured_paths()
        if path.floor_ns is not None and path.floor_ns >= SHORT_FLOOR_NS and path.p99_ns is not None
        and path.samples >= ENOUGH_FOR_P99
    ]  # fmt: skip
    if not judged:
        raise NotKnown(
            f"P99 against the floor: no path with a floor of 1 ms or more and {ENOUGH_FOR_P99} samples"
        )
    over = [path for path in judged if (path.p99_ns or 0) > _limit_ns(path)]
    if not over:
        return None
    worst = max(over, key=lambda path: (path.p99_ns or 0) / (path.floor_ns or 1))
    indirect = [path for path in over if (path.min_ns or 0) > _limit_ns(path)]
    tail = [path for path in over if path not in indirect]
    causes = []
    if indirect:
        names = _names(indirect)
        causes.append(
            (
                f"even the minimum is over the limit to {names}: the route is indirect",
                f"到 {names} 连最小值都超限：路由绕行",
            )
        )
    if tail:
        names = _names(tail)
        causes.append(
            (f"only the tail is over to {names}: queueing or loss", f"到 {names} 仅尾部超限：排队或丢包")
        )
    figures = {
        "path": worst.destination, "p99": milliseconds(worst.p99_ns or 0), "floor": milliseconds(worst.floor_ns or 0),
        "ratio": f"{(worst.p99_ns or 0) / (worst.floor_ns or 1):.1f}", "count": len(over), "of": len(judged),
        "causes": "; ".join(en for en, _ in causes),
    }  # fmt: skip
    chinese = {"causes": "；".join(zh for _, zh in causes)}
    observed = tuple(
        path.observed(figure, getattr(path, figure))
        for path in over[:5]
        for figure in ("floor_ns", "min_ns", "p50_ns", "p99_ns", "samples")
    )
    request = Request(
        f"Send the provider the SLA report (lightfloor-collector report) and the routes (lightfloor-agent probe trace {worst.address or worst.destination}).",
        f"将 SLA 报告（lightfloor-collector report）与路由（lightfloor-agent probe trace {worst.address or worst.destination}）发给服务商。",
    )
    subjects = tuple(path.destination for path in over)
    return Found(Severity.WARNING, Confidence.HIGH, observed, figures, (request,), subjects, chinese)


def _limit_ns(path: PathEvidence) -> float:
    return path.limit_ns if path.limit_ns is not None else TIMES_FLOOR * (path.floor_ns or 0)


def _names(paths: list[PathEvidence]) -> str:
    return ", ".join(dict.fromkeys(path.destination for path in paths[:5]))


def route_change(evidence: Evidence) -> Found | None:
    """The way to a peer changed; load-balanced alternatives are not counted."""
    known = [path for path in evidence.paths if path.route_changes is not None]
    if not known:
        raise NotKnown("routes: traced to no peer")
    changed = [path for path in known if path.route_changes]
    if not changed:
        return None
    figures = {"paths": ", ".join(f"{p.destination} ({p.route_changes})" for p in changed[:5])}
    observed = tuple(
        Observed(f"{path.name}.route_changes", path.route_changes, "trace", path.route_changed_s)
        for path in changed[:5]
    )
    return Found(
        Severity.INFO, Confidence.HIGH, observed, figures, subjects=tuple(p.destination for p in changed)
    )


def qos(evidence: Evidence) -> Found | None:
    """Round trips grow more than fivefold under this node's own load: a queue without management (bufferbloat)."""
    known = [path for path in evidence.paths if path.loaded_p50_ns is not None and path.p50_ns]
    if not known:
        raise NotKnown("latency under load: no bandwidth test ran beside the probes")
    swollen = [path for path in known if (path.loaded_p50_ns or 0) > BLOATED * (path.p50_ns or 1)]
    if not swollen:
        return None
    worst = max(swollen, key=lambda path: (path.loaded_p50_ns or 0) / (path.p50_ns or 1))
    interface = default_interface(evidence, worst.family)
    steps: tuple[Step, ...] = ()
    if interface is not None and worst.throughput_bits_per_second:
        shaped = int(worst.throughput_bits_per_second * SHAPED)
        steps = (
            Command(
                f"tc qdisc replace dev {interface} root cake bandwidth {shaped}bit",
                f"tc qdisc del dev {interface} root",
                f"tc qdisc show dev {interface} root | grep -q cake",
            ),
        )
    figures = {
        "path": worst.destination, "idle": milliseconds(worst.p50_ns or 0), "loaded": milliseconds(worst.loaded_p50_ns or 0),
        "rate": rate((worst.throughput_bits_per_second or 0) * SHAPED) if worst.throughput_bits_per_second else "95%",
    }  # fmt: skip
    observed = tuple(
        path.observed(figure, getattr(path, figure))
        for path in swollen[:5]
        for figure in ("p50_ns", "loaded_p50_ns")
    )
    return Found(
        Severity.WARNING, Confidence.MEDIUM, observed, figures, steps, tuple(p.destination for p in swollen)
    )


def ipv6(evidence: Evidence) -> Found | None:
    """One family measures better to the same peers; or IPv6 is switched off, which breaks dual-stack peers."""
    off = evidence.get("sysctl.net.ipv6.conf.all.disable_ipv6") == 1
    pairs = _pairs(evidence)
    better = [(v4, v6) for v4, v6 in pairs if _clearly_apart(v4, v6)]
    if not off and not better:
        if not pairs:
            raise NotKnown("IPv4 against IPv6: no peer was measured over both")
        return None
    observed = evidence.observed("sysctl.net.ipv6.conf.all.disable_ipv6") + tuple(
        path.observed("p50_ns", path.p50_ns) for pair in better[:3] for path in pair
    )
    slow_v6 = [v6.destination for v4, v6 in better if (v6.p50_ns or 0) > (v4.p50_ns or 0)]
    slow_v4 = [v4.destination for v4, v6 in better if (v4.p50_ns or 0) > (v6.p50_ns or 0)]
    reasons = []
    if off:
        reasons.append(("IPv6 is switched off on this host", "本机已关闭 IPv6"))
    if slow_v6:
        reasons.append(
            (f"IPv4 is faster to {', '.join(slow_v6[:5])}", f"到 {', '.join(slow_v6[:5])} 走 IPv4 更快")
        )
    if slow_v4:
        reasons.append(
            (f"IPv6 is faster to {', '.join(slow_v4[:5])}", f"到 {', '.join(slow_v4[:5])} 走 IPv6 更快")
        )
    steps: tuple[Step, ...] = ()
    if slow_v6 and not slow_v4:
        steps = (Stanza("/etc/gai.conf", "precedence ::ffff:0:0/96  100", "#precedence ::ffff:0:0/96  100"),)
    figures = {"reasons": "; ".join(en for en, _ in reasons)}
    chinese = {"reasons": "；".join(zh for _, zh in reasons)}
    subjects = tuple(slow_v6 + slow_v4)
    return Found(Severity.INFO, Confidence.HIGH, observed, figures, steps, subjects, chinese)


def _pairs(evidence: Evidence) -> list[tuple[PathEvidence, PathEvidence]]:
    """Paths to the same peer by the same probe over IPv4 and IPv6, both with a median."""
    by_family = {
        (path.destination, path.probe, path.family): path
        for path in evidence.paths
        if path.p50_ns is not None
    }
    return [
        (path, other)
        for (destination, probe, family), path in by_family.items()
        if family == "ipv4" and (other := by_family.get((destination, probe, "ipv6"))) is not None
    ]


def _clearly_apart(one: PathEvidence, other: PathEvidence) -> bool:
    low, high = sorted((one.p50_ns or 0, other.p50_ns or 0))
    return high >= BETTER_RATIO * low and high - low >= BETTER_NS
