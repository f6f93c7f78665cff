"""Route to each target: who answers at each distance, how fast, and whether the way has changed.

Packets keep their flow id (Paris), so a load balancer shows one of its ways; several flows are sent when the
route is new or looks changed, to tell a change from an alternative. A few targets at a time, all packets paced.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec

from agent.flight import Unavailable, unsent
from agent.kernel.as_table import AsTable
from agent.kernel.parse_error import ParseError
from agent.net.trace import Reply, TraceFlow
from agent.probes.route import Hop, Route, RouteMemory, merged
from agent.sample import Burst, Measure, Sample, Target
from agent.wire.assignment import Port
from agent.wire.series import Family, Outcome

_AT_A_TIME = 2
_UDP_PORT, _TCP_PORT = 33434, 443
_WINDOW = 8  # distances in flight together
_FLOWS = 8
"""Flows that look for alternatives: of two equal ones, all eight miss one in 1 of 128 cases; then it is a new address later."""

_TIME_EXCEEDED = {Family.IPV4: 11, Family.IPV6: 3}  # RFC 792, RFC 4443
_PORT_UNREACHABLE = {Family.IPV4: (3, 3), Family.IPV6: (1, 4)}
_CODES = {
    Family.IPV4: {(3, 0): "!N", (3, 1): "!H", (3, 2): "!P", (3, 4): "!F", (3, 5): "!S",
                  (3, 9): "!X", (3, 10): "!X", (3, 13): "!X"},
    Family.IPV6: {(1, 0): "!N", (1, 1): "!X", (1, 3): "!H", (1, 5): "!X", (1, 6): "!X", (2, 0): "!F"},
}  # fmt: skip


class Options(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What can be set for this probe."""

    method: Annotated[
        Literal["udp", "tcp"],
        msgspec.Meta(description="udp needs no privilege; tcp sends SYNs, which firewalls let through"),
    ] = "udp"
    port: Annotated[
        Port | None,
        msgspec.Meta(
            description="destination port; unless set 33434 for udp, the peer's (by hand 443) for tcp"
        ),
    ] = None
    queries: Annotated[int, msgspec.Meta(ge=1, le=10, description="packets for each hop")] = 3
    max_hops: Annotated[int, msgspec.Meta(ge=1, le=64, description="largest TTL")] = 30
    silent_hops: Annotated[
        int, msgspec.Meta(ge=1, le=64, description="stop after so many hops without answer")
    ] = 6
    names: Annotated[bool, msgspec.Meta(description="look up the names of hops in DNS")] = False
    as_table: Annotated[
        str | None, msgspec.Meta(description="file with a line PREFIX,ASN for each known network")
    ] = None


MEASURES = (
    Measure("hop_count", "gauge", "lightfloor_route_hops", "Hops to the target, itself included."),
    Measure("reached", "gauge", "lightfloor_route_reached", "1 if the target answered the trace."),
)


async def run(burst: Burst) -> None:
    """One trace to each target."""
    places = asyncio.Semaphore(_AT_A_TIME)

    async def one(target: Target) -> None:
        async with places:
            burst.record(target, await _measure(burst, target))

    await asyncio.gather(*(one(target) for target in burst.targets))


async def _measure(burst: Burst, target: Target) -> Sample:
    options: Options = burst.options
    memory: RouteMemory = burst.memory.setdefault(target, RouteMemory())
    try:
        table = None if options.as_table is None else burst.network.as_table(options.as_table)
    except (OSError, ParseError, UnicodeDecodeError) as error:
        return Sample(Outcome.FAILED, detail=f"{options.as_table}: {error}")
    try:
        route = await _trace(burst, target, 0, options.queries, memory.length)
        if not merged([route]):
            return Sample(Outcome.TIMEOUT, detail="neither a router nor the target answered")
        await _remember(burst, target, memory, route)
    except Unavailable as lack:
        return Sample(Outcome.UNAVAILABLE, detail=str(lack))
    except OSError as error:
        return unsent(error)
    hops = [await _as_row(burst, hop, table) for hop in route.hops]
    result = {"reached": route.reached, "hop_count": route.length, "hops": hops}
    return Sample(Outcome.OK if route.reached else _why_not(route), detail=_last_word(route), result=result)


def _why_not(route: Route) -> Outcome:
    return Outcome.UNREACHABLE if any(hop.codes for hop in route.hops) else Outcome.TIMEOUT


def _last_word(route: Route) -> str:
    if route.reached:
        return ""
    for hop in route.hops:
        if hop.codes:
            return f"{hop.addresses[0]} at hop {hop.ttl} says {' '.join(hop.codes)}"
    answered = max(route.addresses())
    return f"no answer beyond hop {answered}, {', '.join(sorted(route.addresses()[answered]))}"


async def _trace(
    burst: Burst, target: Target, flow_number: int, queries: int, length: int | None = None
) -> Route:
    """The route of one flow; length: where the target is expected. Raises OSError, Unavailable.

    Hosts answer a few packets to closed ports and then one a second (net.ipv4.icmp_ratelimit), so none is wasted.
    """
    options: Options = burst.options
    port = options.port or (_UDP_PORT if options.method == "udp" else target.port or _TCP_PORT)
    flow = burst.network.trace_flow(target.address, port, target.family, options.method, flow_number)
    tracer = _Tracer(flow, target, burst.timeout_seconds)
    try:
        await tracer.find_end(options.max_hops, options.silent_hops, length)
        for _ in range(queries - 1):
            await tracer.ask_again()
    finally:
        flow.close()
    return tracer.route()


class _Tracer:
    """Collects the replies of one flow. last: distance of the target, or of what refuses to go on."""

    def __init__(self, flow: TraceFlow, target: Target, timeout_seconds: float) -> None:
        self._flow = flow
        self._target = target
        self._timeout_seconds = timeout_seconds
        self._hops: dict[int, Hop] = {}
        self._last: int | None = None
        self._reached = False

    async def find_end(self, max_hops: int, silent_hops: int, length: int | None) -> None:
        """Ask each distance once, some at a time, until the target answers or too many stay silent."""
        asked = 0
        while asked < max_hops:
            first, asked = asked + 1, min(asked + _WINDOW, max_hops)
            if length is not None and first <= length < asked:
                asked = length
            await self._wave(range(first, asked + 1))
            answered = max((ttl for ttl, hop in self._hops.items() if hop.received), default=0)
            if self._last is not None or max(self._hops) - answered >= silent_hops:
                return

    async def ask_again(self) -> None:
        """One more packet to each distance; to one that does not answer alone, so that any answer counts for it."""
        ttls = range(1, (self._end() or 0) + 1)
        known = [ttl for ttl in ttls if self._hops[ttl].received]
        for start in range(0, len(known), _WINDOW):
            await self._wave(known[start : start + _WINDOW])
        for ttl in ttls:
            if ttl not in known:
                await self._wave([ttl])

    def route(self) -> Route:
        end = self._end() or 0
        return Route([hop for ttl, hop in sorted(self._hops.items()) if ttl <= end], self._reached)

    def _end(self) -> int | None:
        """Last distance worth a packet."""
        if self._last is not None:
            return self._last
        return max((ttl for ttl, hop in self._hops.items() if hop.received), default=None)

    async def _wave(self, ttls: Sequence[int]) -> None:
        sent, replies = await self._flow.wave(ttls, self._timeout_seconds, self._is_end)
        for ttl in sent:
            self._hops.setdefault(ttl, Hop(ttl)).sent += 1
        for reply in replies:
            self._add(reply)

    def _is_end(self, reply: Reply) -> bool:
        return reply.icmp is None or reply.icmp[0] != _TIME_EXCEEDED[self._target.family]

    def _add(self, reply: Reply) -> None:
        hop = self._hops[reply.ttl]
        hop.received += 1
        if reply.address not in hop.addresses:
            hop.addresses.append(reply.address)
        if reply.rtt_ns is not None:
            hop.rtts_ns.append(reply.rtt_ns)
        if reply.mtu_bytes is not None:
            hop.mtu_bytes = reply.mtu_bytes
        if not self._is_end(reply):
            return
        arrived = reply.icmp is None or reply.icmp == _PORT_UNREACHABLE[self._target.family]
        code = None if arrived or reply.icmp is None else _code(self._target.family, reply.icmp)
        if code is not None and code not in hop.codes:
            hop.codes.append(code)
        if self._last is None or reply.ttl <= self._last:
            self._last, self._reached = reply.ttl, arrived or self._reached


def _code(family: Family, icmp: tuple[int, int]) -> str:
    return _CODES[family].get(icmp, f"!<{icmp[0]}.{icmp[1]}>")


async def _remember(burst: Burst, target: Target, memory: RouteMemory, route: Route) -> None:
    """Tell a new route from an alternative of the known one, and keep it as evidence."""
    first = memory.latest_s is None
    routes = [route]
    if first or memory.is_new(route):
        routes += [await _trace(burst, target, flow, 1, route.length) for flow in range(1, _FLOWS)]
    instant = burst.network.instant()
    now_s = (instant.mono_ns + instant.offset_ns) // 1_000_000_000
    changed = not first and memory.differs(routes)
    before = {"alternatives": _json_keys(memory.alternatives), "last_seen_s": memory.latest_s}
    if changed:
        memory.forget()
    memory.add(routes, now_s)
    after = {"alternatives": _json_keys(memory.alternatives), "first_seen_s": now_s, "reached": route.reached}
    if first:
        burst.event(target, "route", after)
    elif changed:
        burst.event(target, "route_changed", {"before": before, "after": after})


def _json_keys(alternatives: Mapping[int, Sequence[str]]) -> dict[str, list[str]]:
    return {str(ttl): list(addresses) for ttl, addresses in alternatives.items()}


async def _as_row(burst: Burst, hop: Hop, table: AsTable | None) -> dict[str, Any]:
    """JSON-ready."""
    rtts = [rtt / 1e9 for rtt in hop.rtts_ns]
    row: dict[str, Any] = {
        "ttl": hop.ttl,
        "addresses": hop.addresses,
        "rtt_seconds": {"min": min(rtts), "mean": sum(rtts) / len(rtts), "max": max(rtts)}
        if rtts
        else dict.fromkeys(("min", "mean", "max")),
        "sent": hop.sent,
        "received": hop.received,
        "loss_ratio": 1 - hop.received / hop.sent,
        "codes": hop.codes,
        "mtu_bytes": hop.mtu_bytes,
    }
    if burst.options.names:
        row["names"] = [await burst.network.host_name(address) for address in hop.addresses]
    if table is not None:
        row["as_numbers"] = [table.find(address) for address in hop.addresses]
    return row


def as_table(result: Mapping[str, Any]) -> list[str]:
    """The hops as lines for people."""
    lines = ["  hop  address                                   min ms   sent  got"]
    for hop in result["hops"]:
        least = hop["rtt_seconds"]["min"]
        shown = [
            " ".join(filter(None, (address, name, f"AS{number}" if number else "")))
            for address, name, number in zip(
                hop["addresses"],
                hop.get("names") or [""] * len(hop["addresses"]),
                hop.get("as_numbers") or [None] * len(hop["addresses"]),
                strict=True,
            )
        ] or ["*"]
        time = "-" if least is None else f"{least * 1e3:.3f}"
        row = f"  {hop['ttl']:>3}  {shown[0]:<40}  {time:>7}  {hop['sent']:>4}  {hop['received']:>3}"
        lines.append(f"{row}  {' '.join(hop['codes'])}".rstrip())
        lines.extend(f"       {other}" for other in shown[1:])
    return lines
