"""Who belongs to the fleet, for a probe by hand: the peers of this node's configuration and of its kept assignment."""

import ipaddress
from collections.abc import Iterable
from pathlib import Path

from agent.assignment import KeptAssignment
from agent.byhand import find_address
from agent.config import load
from agent.net.resolve import canonical, lookup
from agent.wire.assignment import Peer
from agent.wire.series import Family
from agent.wire.settings import ConfigError


async def require_member(host: str, family: str | None, config: Path) -> None:
    """Raise ConfigError when host is neither this host's loopback nor a peer, OSError when it has no address."""
    address, _ = await find_address(host, family)
    if ipaddress.ip_address(address.partition("%")[0]).is_loopback:
        return
    try:
        peers = peers_of(config)
    except ConfigError as error:
        why = f"which peers this node has is not known ({error})"
    else:
        if canonical(address) in await addresses_of(peers):
            return
        why = f"it is no peer in {config} or in the kept assignment"
    raise ConfigError(host, "", f"{why}; --allow-any probes it all the same")


def peers_of(config: Path) -> list[Peer]:
    """The peers that an agent with this configuration file probes. Raises ConfigError."""
    loaded = load(config)
    kept = (
        KeptAssignment(Path(loaded.state_directory) / "assignment.json", loaded.node).load()
        if loaded.collector
        else None
    )
    return [*loaded.peers, *(kept[0].peers if kept else ())]


async def addresses_of(peers: Iterable[Peer]) -> set[str]:
    """Every address of these peers; names that do not resolve have none."""
    addresses: set[str] = set()
    for peer in peers:
        for name, family in ((peer.ipv4, Family.IPV4), (peer.ipv6, Family.IPV6)):
            if name is not None:
                try:
                    addresses.update(map(canonical, await lookup(name, family)))
                except OSError:
                    continue
    return addresses
