"""Metric families of this host's own state, as exposition text: what makes its minutes bad, before it does. Pure."""

from collections.abc import Callable, Iterator

from agent.exposition import Family, labels
from agent.hostcounters import Reading
from agent.kernel.stat import COLUMNS, TICKS_PER_SECOND

Sample = tuple[str, float | None]
"""Labels as text, and the value; None where this host does not tell it."""


def _cpu(reading: Reading) -> Iterator[Sample]:
    if reading.stat is not None:
        for mode in COLUMNS:
            ticks = getattr(reading.stat.total, mode)
            yield labels(mode=mode), None if ticks is None else ticks / TICKS_PER_SECOND


def _softnet(figure: str) -> Callable[[Reading], Iterator[Sample]]:
    return lambda reading: iter(
        [("", sum(getattr(cpu, figure) for cpu in reading.softnet))] if reading.softnet else []
    )


def _part(part: str, figure: str) -> Callable[[Reading], Iterator[Sample]]:
    def samples(reading: Reading) -> Iterator[Sample]:
        found = getattr(reading, part)
        if found is not None:
            yield "", getattr(found, figure)

    return samples


def _interfaces(figure: str) -> Callable[[Reading], Iterator[Sample]]:
    def samples(reading: Reading) -> Iterator[Sample]:
        for name, counters in (reading.interfaces or {}).items():
            for direction in ("rx", "tx"):
                yield labels(interface=name, direction=direction), getattr(counters, f"{direction}_{figure}")

    return samples


def _swapped(reading: Reading) -> Iterator[Sample]:
    if reading.memory is not None:
        yield labels(direction="in"), reading.memory.pages_swapped_in
        yield labels(direction="out"), reading.memory.pages_swapped_out


def _allowances(reading: Reading) -> Iterator[Sample]:
    for interface, limits in reading.allowance_exceeded.items():
        for limit, packets in limits.items():
            yield labels(interface=interface, limit=limit), packets


FAMILIES: tuple[tuple[Family, Callable[[Reading], Iterator[Sample]]], ...] = (
    (Family("lightfloor_host_cpu_seconds", "counter", "CPU time of all CPUs by mode; steal is what the hypervisor gave to others."), _cpu),
    (Family("lightfloor_host_throttled_seconds", "counter", "Time that the agent's cgroup was stopped by its CPU quota."), _part("throttling", "throttled_seconds")),
    (Family("lightfloor_host_softnet_processed", "counter", "Packets taken by the receive path."), _softnet("processed")),
    (Family("lightfloor_host_softnet_dropped", "counter", "Packets dropped because a CPU's backlog was full."), _softnet("dropped")),
    (Family("lightfloor_host_softnet_squeezed", "counter", "Times that the receive path ran out of its budget."), _softnet("time_squeeze")),
    (Family("lightfloor_host_conntrack_entries", "gauge", "Connections tracked now."), _part("conntrack", "entries")),
    (Family("lightfloor_host_conntrack_limit", "gauge", "Connections that can be tracked."), _part("conntrack", "limit")),
    (Family("lightfloor_host_conntrack_drops", "counter", "New flows refused because the table was full."), _part("conntrack", "drops")),
    (Family("lightfloor_host_memory_bytes", "gauge", "Memory of the host."), _part("memory", "total_bytes")),
    (Family("lightfloor_host_memory_available_bytes", "gauge", "Memory that can be had without swapping."), _part("memory", "available_bytes")),
    (Family("lightfloor_host_swap_free_bytes", "gauge", "Swap that is free."), _part("memory", "swap_free_bytes")),
    (Family("lightfloor_host_pages_swapped", "counter", "Pages swapped in and out."), _swapped),
    (Family("lightfloor_host_interface_packets", "counter", "Packets by interface."), _interfaces("packets")),
    (Family("lightfloor_host_interface_dropped", "counter", "Packets dropped by interface."), _interfaces("dropped")),
    (Family("lightfloor_host_interface_errors", "counter", "Packets with errors by interface."), _interfaces("errors")),
    (Family("lightfloor_host_allowance_exceeded", "counter", "Packets over the provider's allowance, by interface and limit (Amazon's ENA driver)."), _allowances),
    (Family("lightfloor_host_clock_synchronised", "gauge", "1 while something disciplines the wall clock."), _part("clock", "synchronised")),
    (Family("lightfloor_host_clock_maximum_error_seconds", "gauge", "How far the wall clock can be off, by the kernel's own account."), _part("clock", "maximum_error_seconds")),
)  # fmt: skip


def render(reading: Reading, *, openmetrics: bool) -> bytes:
    """The families that this host has figures for."""
    lines: list[str] = []
    for family, samples in FAMILIES:
        suffix = "_total" if family.kind == "counter" else ""
        rows = [
            f"{family.name}{suffix}{{{own}}} {float(value)!r}\n"
            if own
            else f"{family.name}{suffix} {float(value)!r}\n"
            for own, value in samples(reading)
            if value is not None
        ]
        if rows:
            name = family.name if openmetrics else family.name + suffix
            lines.append(f"# HELP {name} {family.help}\n# TYPE {name} {family.kind}\n")
            lines.extend(rows)
    return "".join(lines).encode()
