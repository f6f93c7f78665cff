"""What the kernel knows, read at an interval: TCP counters, sockets per peer, and the host's facts when they change."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from agent.clock import NS, Clock
from agent.hostcounters import Reading
from agent.kernel.parse_error import ParseError
from agent.net.procfs import ProcRoot
from agent.net.resolve import Resolver
from agent.net.sockets import SocketReader, SocketsUnavailableError
from agent.net.tcp_counters import TcpCounterReader, TcpReading
from agent.net.tracepoints import HostEvents
from agent.passive_windows import PassiveWindows, group_names
from agent.socket_groups import SocketGroup, own_group_key
from agent.wire.assignment import Peer
from agent.wire.batch import Fact
from agent.wire.series import Family

if TYPE_CHECKING:
    from agent.sockets import SocketReading

_LOG = logging.getLogger("agent.passive")
INTERVAL_SECONDS = 15.0
FACTS_INTERVAL_SECONDS = 600.0


class Passive:
    """The latest readings. tcp, sockets: None before the first; sockets_problem: why there are none, empty when there are.

    host: this host's own counters. windows: what was read since the minute began. own_groups: sockets that the
    configuration groups by network and port, beside the peers'. tracepoints: None unless asked for.
    """

    def __init__(
        self,
        resolver: Resolver,
        clock: Clock,
        root: ProcRoot,
        read_host: Callable[[], Reading],
        own_groups: Iterable[SocketGroup] = (),
        *,
        tracepoints: bool = False,
    ) -> None:
        self._resolver = resolver
        self._clock = clock
        self._counters = TcpCounterReader(root.read, clock)
        self._read_host = read_host
        self.own_groups = tuple(own_groups)
        self._groups: tuple[SocketGroup, ...] = ()
        self._reader: SocketReader | None = None
        self._facts: list[Fact] = []
        self.host: Reading | None = None
        self.tcp: TcpReading | None = None
        self.sockets: SocketReading | None = None
        self.sockets_problem = ""
        self.windows = PassiveWindows()
        self.tracepoints = HostEvents() if tracepoints else None

    async def run(self, peers: Callable[[], Iterable[Peer]]) -> None:
        """Read counters and sockets at each interval, for ever. peers: those of the moment."""
        while True:
            self.host = self._read_host()
            self.tcp = self._counters.read()
            self.windows.add_counters(self.tcp.since, self.tcp.states)
            await self._read_sockets(peers())
            await asyncio.sleep(INTERVAL_SECONDS)

    async def run_facts(self, send: Callable[[list[Fact]], None]) -> None:
        """Hand over all facts once, then what changed at each interval, for ever."""
        from agent.hostfacts import collect, facts_changed  # noqa: PLC0415 - costs memory only where there is a collector

        while True:
            facts = await asyncio.to_thread(collect, Path("/"), self._clock.wall_ns() // NS)
            changed = facts_changed(self._facts, facts)
            self._facts = facts
            if changed:
                send(changed)
            await asyncio.sleep(FACTS_INTERVAL_SECONDS)

    async def _read_sockets(self, peers: Iterable[Peer]) -> None:
        of_peers = (group for peer in peers for group in self._groups_of(peer))
        groups = (*of_peers, *(replace(group, name=own_group_key(group.name)) for group in self.own_groups))
        if self._reader is None or groups != self._groups:
            self._groups, self._reader = groups, SocketReader(groups)
        try:
            self.sockets = await self._reader.read()
        except (SocketsUnavailableError, ParseError, TimeoutError) as error:
            problem = str(error) or type(error).__name__
            if problem != self.sockets_problem:
                _LOG.warning("sockets cannot be read", extra={"error": problem})
            self.sockets, self.sockets_problem = None, problem
        else:
            self.windows.add_sockets(self.sockets)
            self.sockets_problem = ""

    def _groups_of(self, peer: Peer) -> Iterator[SocketGroup]:
        """The peer's connections, and where it has two addresses those of each family too."""
        hosts = {Family.IPV4: peer.ipv4, Family.IPV6: peer.ipv6}
        known: dict[Family, str] = {}
        for family, host in hosts.items():
            address = None if host is None else self._resolver.address(host, family)
            if address is not None:
                known[family] = address
        if known:
            yield SocketGroup(peer.name, tuple(known.values()))
        for family, name in group_names(peer).items():
            if name != peer.name and family in known:
                yield SocketGroup(name, (known[family],))
