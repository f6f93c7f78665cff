"""Path MTU by DF-bit packets, exact to the byte, in the direction from here to the target.

The search is pure: it says which packet sizes to send next and is fed what came back. A size counts as too big
only after several copies of it vanished while smaller packets sent after them came through; an ICMP hint is
believed only when its size is answered and none above is (RFC 8899 section 4.6). Sizes are whole IP packets.

Towards an agent each packet is answered by a short one, so only the way there is measured; towards other hosts
ICMP echo is used, whose answer is as large as the request, so the smaller of both directions is found.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import msgspec

from agent.flight import Unavailable, unsent
from agent.net.pathmtu import Flight, Method, MtuPath
from agent.net.tcp import Connect
from agent.sample import Burst, Measure, Sample, Target
from agent.wire.series import Family, Outcome

SMALLEST = {Family.IPV4: 576, Family.IPV6: 1280}
"""What every path is asked to carry (RFC 791, RFC 8200). Below it nothing is searched."""

USUAL = (
    9001, 9000, 8950, 8900, 8870, 4470, 4352, 2304, 2002, 1600, 1500, 1492, 1480, 1476, 1472, 1468, 1460, 1454, 1450,
    1446, 1442, 1440, 1436, 1434, 1430, 1428, 1424, 1420, 1412, 1408, 1406, 1400, 1390, 1380, 1372, 1370, 1360, 1350,
    1340, 1330, 1320, 1310, 1300, 1290, 1280, 1240, 1200, 1006, 800,
)  # fmt: skip
"""MTUs of links, tunnels and clouds that are met; most paths have one of them (field tables; RFC 1191 section 7.1)."""

TUNNELS = (1492, 1480, 1476, 1460, 1450, 1440, 1420, 1412, 1400, 1380, 1360, 1280)
"""Those tried at once with the interface's MTU: where a router reports one of them, its echo is there with the report."""

COPIES, EDGE_COPIES, FAN = 3, 6, 16
_MOST_ROUNDS = 20
_AT_A_TIME = 4


class Options(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What can be set for this probe."""

    port: Annotated[int, msgspec.Meta(ge=1, le=65535, description="UDP port of the peer's agent")] = 10981
    method: Annotated[
        Literal["auto", "udp", "icmp"],
        msgspec.Meta(description="udp needs an agent there, icmp an answer to ping; auto tries udp first"),
    ] = "auto"


MEASURES = (
    Measure(
        "path_mtu_bytes", "gauge", "lightfloor_path_mtu_bytes", "Largest IP packet that the path carries."
    ),
    Measure(
        "interface_mtu_bytes",
        "gauge",
        "lightfloor_path_interface_mtu_bytes",
        "MTU of the interface that the path starts at.",
    ),
    Measure(
        "black_hole",
        "gauge",
        "lightfloor_path_mtu_black_hole",
        "1 if larger packets vanish without an ICMP error.",
    ),
    Measure("icmp_seen", "gauge", "lightfloor_path_mtu_icmp_seen", "1 if a router reported an MTU."),
    Measure(
        "tcp_mss_bytes",
        "gauge",
        "lightfloor_path_tcp_mss_bytes",
        "Payload of a full TCP segment to the peer, after its MSS option and the headers' options.",
    ),
)


class Search:
    """Finds the largest size that is answered, between a size that every path carries and the interface's MTU."""

    def __init__(self, smallest: int, ceiling: int) -> None:
        self.smallest = smallest
        self.ceiling = ceiling
        self.icmp_seen = False
        self.packets = 0
        self.rounds = 0
        self._low: int | None = None  # largest size answered
        self._lost: dict[int, int] = {}  # copies of a size that vanished, above _low
        self._hint: int | None = None
        self._hinted: set[int] = set()  # each is tried once: a forged one must not keep the search busy
        self._unvalued = False  # some router said "too big" without saying what would fit (before RFC 1191)
        self._unanswered_rounds = 0
        self._sent: list[int] = []

    @property
    def found(self) -> int | None:
        """The path MTU, once nothing above the largest answered size is in doubt."""
        if self._low is None:
            return None
        lost_above = self._lost.get(self._low + 1, 0)
        enough = (
            1 if self._low in self._hinted else EDGE_COPIES
        )  # a router's word and one packet, or six packets
        if self._low >= self.ceiling or lost_above >= enough:
            return self._low
        return None

    @property
    def silent(self) -> bool:
        """Three rounds without any answer: the target cannot be measured."""
        return self._unanswered_rounds >= COPIES

    def reported(self, path_mtu: int) -> bool:
        """Whether a router told senders of this MTU. Another's hint, or a forged one, helps no TCP here."""
        return self._unvalued or path_mtu in self._hinted

    def next_sizes(self) -> list[int]:
        """Packets to send now, in this order. The last ones are small: their answers tell that the rest is lost."""
        sizes = self._edge() or self._first() or self._between()
        self._sent = [*sorted(sizes, reverse=True), *[self.smallest] * COPIES]
        self.packets += len(self._sent)
        self.rounds += 1
        return self._sent

    def feed(self, flight: Flight) -> None:
        """Take in what the last round brought back."""
        if flight.device_bytes is not None:
            self.ceiling = max(self.smallest, min(self.ceiling, flight.device_bytes))
        answered = [size for size in flight.echoed if size <= self.ceiling]
        fresh = [
            hint
            for hint in flight.hints
            if self.smallest <= hint <= self.ceiling and hint not in self._hinted
        ]
        self.icmp_seen |= bool(flight.hints)
        self._unvalued |= 0 in flight.hints
        self._unanswered_rounds = 0 if answered or fresh else self._unanswered_rounds + 1
        if answered:
            self._low = max(*answered, self._low or 0)
            for size in self._sent:
                if size > self._low:
                    self._lost[size] = self._lost.get(size, 0) + 1
            self._lost = {size: copies for size, copies in self._lost.items() if size > self._low}
        if fresh:
            self._hint = fresh[-1]
            self._hinted.update(fresh)

    def _first(self) -> list[int]:
        """Before anything is known: the interface's MTU, and once the tunnels' with the size above each."""
        if self._low is not None or self.rounds:
            return [] if self._low is not None else [self.ceiling] * COPIES
        usual = [size for mtu in TUNNELS for size in (mtu, mtu + 1) if self.smallest < mtu < self.ceiling - 1]
        return [self.ceiling] * COPIES + usual

    def _edge(self) -> list[int]:
        """The candidate and the size above it, when there is a candidate: a hint, or a bracket closed to one byte."""
        candidate, self._hint = self._hint, None
        if candidate is None and self._low is not None and self._lost.get(self._low + 1, 0) > 0:
            candidate = self._low
        if candidate is None or (self._low is not None and candidate < self._low):
            return []
        above = [candidate + 1] * EDGE_COPIES if candidate < self.ceiling else []
        return [candidate] * COPIES + above

    def _between(self) -> list[int]:
        """Sizes between the largest answered and the smallest lost one: the usual ones first, then evenly spread."""
        low = self._low or self.smallest
        high = min(
            (size for size, copies in self._lost.items() if copies >= COPIES), default=self.ceiling + 1
        )
        untried = [
            s for usual in USUAL for s in (usual, usual + 1) if low < s < high and self._lost.get(s, 0) < 2
        ]
        if not untried:
            step = max(1, (high - low) // (FAN + 1))
            untried = list(range(low + step, high, step))[:FAN]
        again = [high] * COPIES if high <= self.ceiling else []
        copies = EDGE_COPIES if len(untried) <= COPIES + 1 else COPIES if len(untried) <= FAN else 2
        return untried * copies + again


@dataclass(frozen=True, slots=True)
class PathMtu:
    """What a search found.

    black_hole: larger packets vanish and no router says so. probes_sent: of this check. rounds: of the search, 0 where
    a check found the last one still right. tcp_mss_bytes: payload of a
    full segment to the peer's TCP port, as of the last search; it shows MSS clamping; None where none answers.
    """

    path_mtu_bytes: int
    interface_mtu_bytes: int
    icmp_seen: bool
    black_hole: bool
    probes_sent: int
    rounds: int
    method: str
    tcp_mss_bytes: int | None = None

    def as_result(self) -> Mapping[str, Any]:
        """JSON-ready, with the names that the command line and the measures use."""
        return {
            "path_mtu_bytes": self.path_mtu_bytes,
            "interface_mtu_bytes": self.interface_mtu_bytes,
            "black_hole": self.black_hole,
            "icmp_seen": self.icmp_seen,
            "probes_sent": self.probes_sent,
            "rounds": self.rounds,
            "method": self.method,
            "tcp_mss_bytes": self.tcp_mss_bytes,
        }


def conclude(search: Search, path_mtu: int, method: str) -> PathMtu:
    """The search's result in words of the path."""
    return PathMtu(
        path_mtu_bytes=path_mtu,
        interface_mtu_bytes=search.ceiling,
        icmp_seen=search.icmp_seen,
        black_hole=path_mtu < search.ceiling and not search.reported(path_mtu),
        probes_sent=search.packets,
        rounds=search.rounds,
        method=method,
    )


async def run(burst: Burst) -> None:
    """Search a few targets' path MTU at a time; where it is known, two packets see whether it still is."""
    places = asyncio.Semaphore(_AT_A_TIME)

    async def one(target: Target) -> None:
        async with places:
            burst.record(target, await _measure(burst, target))

    await asyncio.gather(*(one(target) for target in burst.targets))


async def _measure(burst: Burst, target: Target) -> Sample:
    options: Options = burst.options
    before: PathMtu | None = burst.memory.get(target)
    reasons: list[str] = []
    for method in _methods(options):
        try:
            path = burst.network.mtu_path(target.address, options.port, target.family, method)
        except Unavailable as lack:
            if not reasons:
                return Sample(Outcome.UNAVAILABLE, detail=str(lack))
            reasons.append(str(lack))
            continue
        except OSError as error:
            return unsent(error)
        try:
            found = await _search(path, target.family, method, burst.timeout_seconds, before)
        finally:
            path.close()
        if found is not None:
            if found.rounds:
                found = replace(found, tcp_mss_bytes=await _tcp_mss(burst, target))
            _report_change(burst, target, before, found)
            burst.memory[target] = found
            return Sample(Outcome.OK, result=found.as_result())
        reasons.append(f"no {method} packet of {SMALLEST[target.family]} bytes or more was answered")
    return Sample(Outcome.TIMEOUT, detail="; ".join(reasons))


async def _tcp_mss(burst: Burst, target: Target) -> int | None:
    """By one handshake with the peer's TCP port."""
    seen: list[int | None] = []
    connect = Connect(target.address, target.port or burst.options.port)
    await burst.network.handshakes([connect], burst.timeout_seconds, lambda _, h: seen.append(h.mss_bytes))
    return seen[0]


def _methods(options: Options) -> tuple[Method, ...]:
    return ("udp", "icmp") if options.method == "auto" else (options.method,)


async def _search(
    path: MtuPath, family: Family, method: Method, timeout_seconds: float, before: PathMtu | None
) -> PathMtu | None:
    """The path MTU, None when nothing was answered."""
    search = Search(SMALLEST[family], path.device_bytes)
    if before is not None and before.method == method and before.interface_mtu_bytes == search.ceiling:
        holds, search.packets = await _still(path, before.path_mtu_bytes, search.ceiling, timeout_seconds)
        if holds:
            return replace(before, probes_sent=search.packets, rounds=0)
    elif before is not None and before.method != method:  # is it worth a search? An agent may have come back
        flight = await path.flight([search.smallest] * COPIES, timeout_seconds)
        search.packets = COPIES
        if not flight.echoed:
            return None
    while search.found is None and not search.silent and search.rounds < _MOST_ROUNDS:
        flight = await path.flight(search.next_sizes(), timeout_seconds)
        search.feed(flight)
        if flight.refused and not flight.echoed:
            return None
    return None if search.found is None else conclude(search, search.found, method)


async def _still(path: MtuPath, known: int, ceiling: int, timeout_seconds: float) -> tuple[bool, int]:
    """Whether the path MTU is still the known one, and the packets it took: two, and two more for each loss."""
    sizes = [known + 1, known] if known < ceiling else [known, known]
    for attempt in range(1, COPIES + 1):
        flight = await path.flight(sizes, timeout_seconds)
        if known in flight.echoed:
            return known + 1 not in flight.echoed, 2 * attempt
    return False, 2 * COPIES


def _report_change(burst: Burst, target: Target, before: PathMtu | None, found: PathMtu) -> None:
    if before is not None and (before.path_mtu_bytes, before.black_hole) != (
        found.path_mtu_bytes,
        found.black_hole,
    ):
        burst.event(
            target, "path_mtu_changed", {"before": dict(before.as_result()), "after": dict(found.as_result())}
        )
