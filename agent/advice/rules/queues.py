"""Queues of this host that overflow: listening sockets, receive windows, the kernel's packet backlog."""

from agent.advice.evidence import Counted, Evidence
from agent.advice.finding import Command, Confidence, Observed, Severity, Step, Sysctl
from agent.advice.rule import Found
from agent.advice.units import percent

FEW = 10
"""Events fewer than these, over the whole time, are an accident."""
LEAST_BACKLOG, MOST_BACKLOG = 4096, 65535
SQUEEZED_RATIO = 1e-4
"""Of received packets' polls; DPDK-free hosts at rest show some at boot."""
DROPPED_RATIO = 1e-6
BUSIEST_CPU = 0.8
RECEIVE_SOFTIRQS_PER_SECOND = 1000
"""Below, one CPU has time for all of them."""


def listen_queue(evidence: Evidence) -> Found | None:
    """Connections were turned away because an accept queue was full."""
    kernel = evidence.counts()
    overflows, drops = kernel.count("tcp_listen_overflows"), kernel.count("tcp_listen_drops")
    if max(overflows, drops) < FEW:
        return None
    names = ("sysctl.net.core.somaxconn", "sysctl.net.ipv4.tcp_max_syn_backlog")
    steps = []
    for name in names:
        value = evidence.integer(name)
        wanted = min(MOST_BACKLOG, max(LEAST_BACKLOG, 2 * value))
        if value < wanted:
            steps.append(Sysctl(name.removeprefix("sysctl."), str(wanted), str(value)))
    observed = evidence.observed(*names) + evidence.counted(
        "tcp_listen_overflows", "tcp_listen_drops", "tcp_syncookies_sent"
    )
    cookies = kernel.counters.get("tcp_syncookies_sent")
    figures = {
        "overflows": overflows, "drops": drops, "cookies": "?" if cookies is None else cookies,
    }  # fmt: skip
    keys = tuple(step.key for step in steps)
    return Found(Severity.WARNING, Confidence.HIGH, observed, figures, tuple(steps), keys)


def zero_window(evidence: Evidence) -> Found | None:
    """Receive windows closed: this host's own (a slow program, or a small buffer), or its peers'."""
    kernel = evidence.counts()
    own, peers = kernel.count("tcp_to_zero_window"), kernel.counters.get("tcp_window_probes_sent", 0)
    if max(own, peers) < FEW:
        return None
    cut = kernel.counters.get("tcp_pruned", 0) + kernel.counters.get("tcp_collapsed", 0)
    if own < peers:
        who = ("the peers' programs read too slowly", "对端程序读取过慢")
    elif cut > own:
        who = (
            "receive buffers here are too small: the kernel had to collapse or prune queues",
            "本机接收缓冲区过小：内核被迫合并或裁剪队列",
        )
    else:
        who = (
            "a program here reads too slowly: its queue fills with room to spare",
            "本机程序读取过慢：缓冲区充足但队列被填满",
        )
    figures = {"own": own, "peers": peers, "who": who[0]}
    observed = evidence.counted(
        "tcp_to_zero_window", "tcp_from_zero_window", "tcp_want_zero_window", "tcp_window_probes_sent",
        "tcp_pruned", "tcp_collapsed",
    )  # fmt: skip
    return Found(Severity.WARNING, Confidence.MEDIUM, observed, figures, figures_zh={"who": who[1]})


def softnet(evidence: Evidence) -> Found | None:
    """The kernel's receive loop dropped packets, stopped early, or has all its work on one CPU."""
    kernel = evidence.counts()
    processed, dropped = kernel.count("softnet_processed"), kernel.count("softnet_dropped")
    squeezed = kernel.count("softnet_time_squeeze")
    reasons: list[tuple[str, str]] = []
    steps: list[Step] = []
    if dropped >= FEW and dropped > DROPPED_RATIO * processed:
        reasons.append(
            (f"{dropped} packets dropped from a full backlog", f"积压队列已满，丢弃 {dropped} 个包")
        )
        steps.append(_raised(evidence, "net.core.netdev_max_backlog", 2048))
    if squeezed >= FEW and squeezed > SQUEEZED_RATIO * processed:
        reasons.append((f"the loop ran out of budget {squeezed} times", f"收包循环 {squeezed} 次用尽配额"))
        steps.append(_raised(evidence, "net.core.netdev_budget", 600))
        if "sysctl.net.core.netdev_budget_usecs" in evidence.facts:
            steps.append(_raised(evidence, "net.core.netdev_budget_usecs", 8000))
    crowded = _one_busy_cpu(evidence, kernel)
    if crowded is not None:
        reasons.append(
            (f"one CPU does {percent(crowded)} of receiving", f"单个 CPU 承担 {percent(crowded)} 的收包")
        )
        steps += _receive_steering(evidence)
    if not reasons:
        return None
    observed = evidence.counted("softnet_processed", "softnet_dropped", "softnet_time_squeeze")
    if crowded is not None:
        observed += (Observed("net_rx_busiest_cpu_ratio", round(crowded, 3), kernel.source, kernel.end_s),)
    severity = Severity.WARNING if dropped >= FEW and dropped > DROPPED_RATIO * processed else Severity.INFO
    figures = {"reasons": "; ".join(en for en, _ in reasons)}
    chinese = {"reasons": "；".join(zh for _, zh in reasons)}
    return Found(severity, Confidence.HIGH, observed, figures, tuple(steps), figures_zh=chinese)


def _raised(evidence: Evidence, key: str, least: int) -> Sysctl:
    value = evidence.integer(f"sysctl.{key}")
    return Sysctl(key, str(max(least, 2 * value)), str(value))


def _one_busy_cpu(evidence: Evidence, kernel: Counted) -> float | None:
    """The busiest CPU's share of receive softirqs, where it is too much; None where it is not or cannot be told."""
    share, per_second = kernel.gauges.get("net_rx_busiest_cpu_ratio"), kernel.gauges.get("net_rx_per_second")
    cpus = evidence.get("cpu.count")
    if share is None or per_second is None or not isinstance(cpus, int) or cpus < 2:
        return None
    return share if share > BUSIEST_CPU and per_second > RECEIVE_SOFTIRQS_PER_SECOND else None


def _receive_steering(evidence: Evidence) -> list[Step]:
    """RPS on devices with one receive queue (Documentation/networking/scaling.rst): a mask of all CPUs."""
    cpus = evidence.integer("cpu.count")
    mask = f"{(1 << min(cpus, 32)) - 1:x}"
    steps: list[Step] = []
    for name in evidence.names_of("interface.", ".rx_queues"):
        queues, enabled = (
            evidence.get(f"interface.{name}.rx_queues"),
            evidence.get(f"interface.{name}.rps_enabled"),
        )
        if queues == 1 and enabled is False and evidence.get(f"interface.{name}.driver"):
            file = f"/sys/class/net/{name}/queues/rx-0/rps_cpus"
            steps.append(Command(f"echo {mask} > {file}", f"echo 0 > {file}", f"grep -qi '{mask}$' {file}"))
    return steps
