"""The machine below: virtualisation, clock, network device and its offloads."""

from agent.advice.evidence import Evidence, NotKnown
from agent.advice.finding import Command, Confidence, Observed, Request, Severity, Step
from agent.advice.rule import Found
from agent.advice.units import percent

STEAL, MUCH_STEAL = 0.05, 0.2
SLOW_CLOCKS = ("acpi_pm", "hpet", "jiffies", "refined-jiffies", "pit")
EMULATED = {
    "e1000": None,
    "8139cp": None,
    "8139too": None,
    "rtl8139": None,
    "pcnet32": None,
    "ne2k-pci": None,
    "e1000e": True,
}
"""Drivers of emulated devices; True: real machines have such devices too, so the hypervisor must be known."""
BETTER_DEVICE = {"vmware": "vmxnet3", "xen": "xen-netfront", "hyperv": "hv_netvsc"}
CHECKSUMS = {"rx-checksumming": "rx", "tx-checksumming": "tx"}
LARGE_RECEIVE = "large-receive-offload"


def virt_acceleration(evidence: Evidence) -> Found | None:
    """An emulated CPU, a clock source that traps, or time stolen by neighbours. vmx and svm prove nothing in a guest."""
    kind, accelerated = evidence.get("virtualisation.kind"), evidence.get("virtualisation.accelerated")
    clock = evidence.get("clock.source")
    steal = _steal(evidence)
    reasons: list[tuple[str, str]] = []
    severity = Severity.WARNING
    if accelerated is False:
        severity = Severity.CRITICAL
        reasons.append(("the CPU is emulated in software", "CPU 由软件模拟（无硬件加速）"))
    if clock in SLOW_CLOCKS:
        reasons.append(
            (f"the clock source is {clock}: every time stamp is slow", f"时钟源为 {clock}：每次取时都很慢")
        )
    if steal is not None and steal > STEAL:
        severity = Severity.CRITICAL if steal > MUCH_STEAL else severity
        reasons.append(
            (f"{percent(steal)} of CPU time is stolen", f"{percent(steal)} 的 CPU 时间被宿主机占用")
        )
    if not reasons:
        if accelerated is None and clock is None and steal is None:
            raise NotKnown("virtualisation: neither the hypervisor, the clock source nor steal time is known")
        return None
    observed = evidence.observed(
        "virtualisation.kind", "virtualisation.accelerated", "virtualisation.evidence", "clock.source",
        "clock.sources_available", "cpu.model", "cpu.flags.hypervisor", "cpu.flags.vmx", "cpu.flags.svm",
    )  # fmt: skip
    if steal is not None and evidence.kernel is not None:
        observed += (Observed("steal_ratio", round(steal, 4), evidence.kernel.source, evidence.kernel.end_s),)
    figures = {"reasons": "; ".join(en for en, _ in reasons), "kind": kind or "not known"}
    chinese = {"reasons": "；".join(zh for _, zh in reasons), "kind": kind or "未知"}
    confidence = Confidence.HIGH if accelerated is False or (steal or 0) > STEAL else Confidence.MEDIUM
    return Found(
        severity, confidence, observed, figures, (_other_host(figures, chinese),), figures_zh=chinese
    )


def _steal(evidence: Evidence) -> float | None:
    return None if evidence.kernel is None else evidence.kernel.gauges.get("steal_ratio")


def _other_host(figures: dict[str, object], chinese: dict[str, object]) -> Request:
    return Request(
        f"Ask the provider to move this server to a host with hardware virtualisation and spare CPU: {figures['reasons']}.",
        f"请服务商将该服务器迁移到支持硬件虚拟化且 CPU 充裕的宿主机：{chinese['reasons']}。",
    )


def nic_driver(evidence: Evidence) -> Found | None:
    """A network device that the hypervisor emulates, register by register."""
    kind = evidence.get("virtualisation.kind")
    names = evidence.names_of("interface.", ".driver")
    drivers = {name: driver for name in names if (driver := evidence.get(f"interface.{name}.driver"))}
    if not drivers:
        raise NotKnown("interface drivers: none is known")
    emulated = {
        name: driver for name, driver in drivers.items() if isinstance(driver, str) and driver in EMULATED
    }
    if not emulated or kind == "none":
        return None
    if kind is None and all(EMULATED[driver] for driver in emulated.values()):
        raise NotKnown("virtualisation.kind: real machines have these devices too")
    better = BETTER_DEVICE.get(str(kind), "virtio")
    figures = {
        "devices": ", ".join(f"{name} ({driver})" for name, driver in emulated.items()),
        "better": better,
    }
    observed = evidence.observed(*(f"interface.{name}.driver" for name in emulated), "virtualisation.kind")
    request = Request(
        f"In the provider's panel, or by ticket, change the network device's model to {better}.",
        f"在服务商控制面板中（或提交工单）将网卡型号改为 {better}。",
    )
    confidence = Confidence.HIGH if kind else Confidence.MEDIUM
    return Found(Severity.WARNING, confidence, observed, figures, (request,), tuple(emulated))


def offloads(evidence: Evidence) -> Found | None:
    """Checksum offload off though the driver has it; LRO on a host that forwards. GRO and TSO are never judged here."""
    names = [
        name
        for name in evidence.names_of("interface.", ".driver")
        if evidence.get(f"interface.{name}.driver")
    ]
    asked, off, merged = False, [], []
    forwards = evidence.get("sysctl.net.ipv4.ip_forward") == 1
    for name in names:
        for feature, short in CHECKSUMS.items():
            state = evidence.get(f"interface.{name}.offload.{feature}")
            asked = asked or state is not None
            if isinstance(state, dict) and not state.get("enabled") and not state.get("fixed"):
                off.append((name, feature, short))
        state = evidence.get(f"interface.{name}.offload.{LARGE_RECEIVE}")
        if forwards and isinstance(state, dict) and state.get("enabled") and not state.get("fixed"):
            merged.append(name)
    if not asked:
        raise NotKnown("offloads: no driver told its features")
    if not off and not merged:
        return None
    steps: list[Step] = [_switch(name, feature, short, "on") for name, feature, short in off]
    steps += [_switch(name, LARGE_RECEIVE, "lro", "off") for name in merged]
    reasons = [(f"{feature} is off on {name}", f"{name} 的 {feature} 已关闭") for name, feature, _ in off]
    reasons += [
        (f"LRO is on on {name}, and this host forwards", f"{name} 开启了 LRO，而本机转发流量")
        for name in merged
    ]
    observed = evidence.observed(
        *(f"interface.{name}.offload.{feature}" for name, feature, _ in off),
        *(f"interface.{name}.offload.{LARGE_RECEIVE}" for name in merged),
    )
    figures = {"reasons": "; ".join(en for en, _ in reasons)}
    chinese = {"reasons": "；".join(zh for _, zh in reasons)}
    severity = Severity.WARNING if merged else Severity.INFO
    subjects = tuple(dict.fromkeys([name for name, _, _ in off] + merged))
    return Found(severity, Confidence.HIGH, observed, figures, tuple(steps), subjects, chinese)


def _switch(interface: str, feature: str, short: str, wanted: str) -> Command:
    other = "off" if wanted == "on" else "on"
    return Command(
        f"ethtool -K {interface} {short} {wanted}",
        f"ethtool -K {interface} {short} {other}",
        f"ethtool -k {interface} | grep -q '^{feature}: {wanted}'",
    )
