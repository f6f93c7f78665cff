"""Every node's directed paths, and what routers do with packets that are for no node. Pure."""

from collections.abc import Sequence
from ipaddress import ip_address

from lab import icmp
from lab.packet import flow_hash, hops_left, version
from lab.path import CORE_ADDRESSES, Path
from lab.transit import Arrival, Counters, Transit

_CORE = {4: ip_address(CORE_ADDRESSES[0]).packed, 6: ip_address(CORE_ADDRESSES[1]).packed}


class Wan:
    """A full mesh of directed paths between nodes, numbered as in `addresses` (each node's, IPv4 and IPv6).

    Each directed path has dice of its own, seeded by (seed, source, destination), so what happens on one does
    not depend on the traffic of another.
    """

    def __init__(self, addresses: Sequence[Sequence[str]], seed: int) -> None:
        nodes = range(len(addresses))
        self._paths = {(a, b): Transit(b, f"{seed}/{a}/{b}") for a in nodes for b in nodes if a != b}
        for (a, b), transit in self._paths.items():
            transit.reverse = self._paths[b, a]
        self._to_nodes = [
            {ip_address(text).packed: self._paths[a, b] for b in nodes if b != a for text in addresses[b]}
            for a in nodes
        ]
        self._to_routers: list[dict[bytes, list[tuple[Transit, int]]]] = [{} for _ in nodes]
        for a in nodes:
            self._index_routers(a)

    def configure(self, source: int, destination: int, path: Path) -> None:
        """Put one direction under new settings."""
        self._paths[source, destination].configure(path)
        self._index_routers(source)

    def counters(self, source: int, destination: int) -> Counters:
        """One direction's counts."""
        return self._paths[source, destination].counters

    def forward(self, source: int, packet: bytes, now_ns: int) -> list[Arrival]:
        """What a packet that left node `source` at now_ns becomes: (at_ns, node, packet), any number of them."""
        family = version(packet)
        if family is None:
            return []
        destination = packet[16:20] if family == 4 else packet[24:40]
        transit = self._to_nodes[source].get(destination)
        if transit is not None:
            return transit.carry(packet, now_ns)
        at_routers = self._to_routers[source].get(destination)
        if at_routers:
            # Load-balanced hops and routers on several paths: the flow chooses, as it does in transit.
            transit, index = at_routers[flow_hash(packet) % len(at_routers)]
            return transit.carry(packet, now_ns, for_router=index)
        if not icmp.may_answer(packet):
            return []
        say = icmp.time_exceeded if hops_left(packet) <= 1 else icmp.no_route
        return [(now_ns, source, say(_CORE[family], packet, icmp.INITIAL_TTL))]

    def _index_routers(self, source: int) -> None:
        table: dict[bytes, list[tuple[Transit, int]]] = {}
        for (a, _), transit in self._paths.items():
            if a == source:
                for index, hop in enumerate(transit.path.hops):
                    for text in hop.addresses:
                        table.setdefault(ip_address(text).packed, []).append((transit, index))
        self._to_routers[source] = table
