"""Which configured groups a connection belongs to: peers of the fleet, networks, ports. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from agent.kernel.inet_diag import AF_INET, AF_INET6, V4_MAPPED

_REMEMBERED = 8192
"""Addresses whose groups are kept at hand; a host with more remote addresses looks some of them up again."""


@dataclass(frozen=True, slots=True)
class SocketGroup:
    """Connections to any of these networks and with any of these ports, local or remote; empty means any.

    networks: CIDR or single addresses, both families; a peer is the group of its addresses.
    """

    name: str
    networks: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()


def own_group_key(name: str) -> str:
    """A configured group among the peers' ones; no peer's name has a slash."""
    return f"group/{name}"


Membership = tuple[int, frozenset[bytes]]
"""Index of a group, and the ports (2 bytes, network order) that it is restricted to, if any."""


class GroupIndex:
    """Finds the groups of a remote address. Raises ValueError for what is no network or port, or a name given twice."""

    def __init__(self, groups: Sequence[SocketGroup]) -> None:
        self._networks: list[tuple[IPv4Network | IPv6Network, Membership]] = []
        self._anywhere: tuple[Membership, ...] = ()
        names = [group.name for group in groups]
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"socket groups of the same name: {', '.join(twice)}")
        for index, group in enumerate(groups):
            member = index, frozenset(port.to_bytes(2, "big") for port in group.ports)
            if not group.networks:
                self._anywhere += (member,)
            self._networks += [(ip_network(text, strict=False), member) for text in group.networks]
        self._only_hosts = all(network.prefixlen == network.max_prefixlen for network, _ in self._networks)
        self._known: dict[int, dict[bytes, tuple[Membership, ...]]] = {AF_INET: {}, AF_INET6: {}}
        self._know_hosts()

    def _know_hosts(self) -> None:
        for network, _ in self._networks:
            if network.prefixlen == network.max_prefixlen:
                packed = network.network_address.packed
                family = AF_INET if network.version == 4 else AF_INET6
                memberships = self._look_up(packed)
                self._known[family][packed.ljust(16, b"\0")] = memberships
                if network.version == 4:
                    self._known[AF_INET6][V4_MAPPED + packed] = memberships

    def known_of(self, family: int) -> Mapping[bytes, tuple[Membership, ...]]:
        """The groups of the addresses of a family that are at hand, for a loop; of() knows the others."""
        return self._known[AF_INET if family == AF_INET else AF_INET6]

    def of(self, family: int, address: bytes) -> tuple[Membership, ...]:
        """The groups of a remote address as INET_DIAG gives it: 16 bytes, IPv4 in the first four."""
        known = self._known[AF_INET if family == AF_INET else AF_INET6]
        found = known.get(address)
        if found is not None:
            return found
        if self._only_hosts:
            return self._anywhere
        if len(known) >= _REMEMBERED:
            known.clear()
            self._know_hosts()
        is_v4 = family == AF_INET
        found = known[address] = self._look_up(address[:4] if is_v4 else address.removeprefix(V4_MAPPED))
        return found

    def _look_up(self, packed: bytes) -> tuple[Membership, ...]:
        host = int.from_bytes(packed, "big")
        matching = (
            member
            for network, member in self._networks
            if network.max_prefixlen == 8 * len(packed)
            and (host ^ int(network.network_address)) >> (network.max_prefixlen - network.prefixlen) == 0
        )
        return (*self._anywhere, *dict.fromkeys(matching))
