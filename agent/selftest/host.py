"""What this host gives the agent: kernel files, netlink, packet stamps, a disciplined clock, capabilities, disk."""

import asyncio
import re
import time
from collections.abc import Iterable
from pathlib import Path

from agent import hostfacts
from agent.clock import SystemClock
from agent.config import Config
from agent.kernel.parse_error import ParseError
from agent.net import adjtimex, rtnetlink, timestamp
from agent.net.counter_reader import CounterReader
from agent.net.disk import free_bytes
from agent.net.durable import write_durably
from agent.net.packet_capture import interface_of
from agent.net.procfs import ProcRoot
from agent.net.sockets import SocketReader, SocketsUnavailableError
from agent.net.tcp_counters import TcpCounterReader
from agent.net.tracepoints import HostEvents
from agent.selftest.check import Check, State

CAPABILITIES = {
    "CAP_NET_RAW": (13, "the probes syn and trace --method tcp, and packet captures"),
    "CAP_PERFMON": (38, "tracepoints"),
}
"""Number in include/uapi/linux/capability.h, and what stands still without it."""


async def check_host(config: Config | None) -> list[Check]:
    """Everything that needs no network. With a configuration also what it asks for: disk, captures, tracepoints."""
    root = ProcRoot()
    checks = [
        *_capabilities(root, config),
        _timestamps(),
        _clock(),
        _kernel_files(root),
        _routing(),
        await _sockets(),
        await asyncio.to_thread(_facts),
    ]
    if config is not None:
        if config.collector is not None:
            checks.append(await asyncio.to_thread(_spool, config))
        checks += _opted_in(config)
    return checks


def _capabilities(root: ProcRoot, config: Config | None) -> Iterable[Check]:
    text = root.read("proc/self/status").decode("ascii", "replace")
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", text, re.MULTILINE)
    effective = int(found[1], 16) if found else 0
    for name, (number, use) in CAPABILITIES.items():
        if name == "CAP_PERFMON" and (config is None or not config.tracepoints):
            continue
        if effective >> number & 1:
            yield Check(name, State.WORKS, f"for {use}")
        else:
            yield Check(name, State.UNAVAILABLE, f"without it no {use}")


def _timestamps() -> Check:
    try:
        stamped = timestamp.loopback_stamps()
    except OSError as error:
        return Check("packet stamps", State.UNAVAILABLE, str(error))
    missing = [name for name, there in zip(("sent", "received"), stamped, strict=True) if not there]
    if not missing:
        return Check("packet stamps", State.WORKS, "the kernel stamps what is sent and what is received")
    return Check("packet stamps", State.UNAVAILABLE, f"no stamp of what is {' or '.join(missing)}")


def _clock() -> Check:
    try:
        state = adjtimex.clock_state()
    except OSError as error:
        return Check("clock", State.UNAVAILABLE, f"adjtimex: {error.strerror}")
    if state.synchronised:
        return Check("clock", State.WORKS, f"off by {state.maximum_error_seconds * 1e3:.3g} ms at most")
    return Check(
        "clock",
        State.UNAVAILABLE,
        "nothing disciplines it, so that windows may bear wrong minutes",
        "run one time service, such as chrony; a container's clock is its host's",
    )


def _kernel_files(root: ProcRoot) -> Check:
    reader = CounterReader(root, SystemClock())
    try:
        unreadable = {
            **TcpCounterReader(root.read, SystemClock()).read().unreadable,
            **reader.read().unreadable,
        }
    finally:
        reader.close()
    told = ", ".join(f"{name} ({reason})" for name, reason in unreadable.items())
    if "proc/net/snmp" in unreadable or "proc/net/netstat" in unreadable:
        return Check("kernel counters", State.FAILED, told, "mount /proc; in systemd not ProcSubset=pid")
    return Check("kernel counters", State.WORKS, f"all but {told}" if told else "all")


def _routing() -> Check:
    try:
        links = rtnetlink.links()
        routes = rtnetlink.routes({link.index: link.name for link in links})
    except (OSError, ParseError) as error:
        return Check("netlink routes", State.UNAVAILABLE, str(error))
    return Check("netlink routes", State.WORKS, f"{len(links)} links, {len(routes)} routes")


async def _sockets() -> Check:
    try:
        reading = await SocketReader(()).read()
    except (SocketsUnavailableError, ParseError, TimeoutError) as error:
        return Check("sockets", State.UNAVAILABLE, str(error), "modprobe inet_diag, or install iproute2")
    return Check("sockets", State.WORKS, f"read by {reading.source}")


def _facts() -> Check:
    facts = hostfacts.collect(Path("/"), int(time.time()))
    known = sum(fact.value is not None for fact in facts)
    return Check(
        "facts", State.WORKS, f"{known} of {len(facts)}; `lightfloor-agent facts` says why not the others"
    )


def _spool(config: Config) -> Check:
    """Written to only where the directory is there: what root made the service's own user could not use."""
    directory = Path(config.state_directory)
    try:
        room = free_bytes(directory)
        took = _write_seconds(directory / "spool" / "selftest") if (directory / "spool").is_dir() else None
    except OSError as error:
        return Check(
            "spool", State.FAILED, f"{directory}: {error.strerror}", "state_directory must be writable"
        )
    told = f"{room / 1e9:.1f} GB free" + (
        "" if took is None else f", a file is durable in {took * 1e3:.1f} ms"
    )
    if room < config.spool.max_bytes:
        remedy = f"free the disk, or lower spool.max_bytes ({config.spool.max_bytes / 1e9:.2g} GB)"
        return Check("spool", State.FAILED, f"{told}, less than it may take", remedy)
    return Check("spool", State.WORKS, told)


def _write_seconds(path: Path) -> float:
    began = time.monotonic()
    write_durably(path, b"selftest\n")
    took = time.monotonic() - began
    path.unlink()
    return took


def _opted_in(config: Config) -> Iterable[Check]:
    """What this file switches on must work."""
    if config.capture.enabled:
        try:
            interface = interface_of(config.capture.interface)
        except (OSError, ParseError) as error:
            yield Check(
                "capture", State.FAILED, f"{config.capture.interface}: {error}", "correct capture.interface"
            )
        else:
            yield Check("capture", State.WORKS, f"on {interface}")
    if config.tracepoints:
        events = HostEvents()
        events.close()
        for name, reason in events.unavailable.items():
            yield Check(
                f"tracepoint {name}",
                State.FAILED,
                reason,
                "the drop-in tracepoints.conf, or tracepoints = false",
            )
