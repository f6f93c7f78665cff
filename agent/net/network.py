"""The network as one small object: what probes may do with it. Tests hand in a scripted one."""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from agent.bandwidth_slot import BandwidthSlot
from agent.flight import Instant, Volley
from agent.kernel.as_table import AsTable, parse_as_table
from agent.net.adjtimex import clock_state
from agent.net.bandwidth import BandwidthPrograms
from agent.net.channel import Channel, read_instant
from agent.net.endpoint import Kind
from agent.net.mapping import Mapping
from agent.net.pathmtu import Method, MtuPath
from agent.net.poller import Poller
from agent.net.resolve import host_name
from agent.net.tcp import Connect, Handshake, handshakes
from agent.net.tls import TlsHandshake, client_context, handshake
from agent.net.trace import PACKETS_PER_SECOND, Pace, TraceFlow, TraceMethod, open_wire
from agent.wire.series import Family

_SOURCE_KEPT_NS = 1_000_000_000
_SOURCES_KEPT = 10_000
_CLOCK_ERROR_KEPT_NS = 1_000_000_000
_AUTHORITIES_KEPT_NS = 3_600_000_000_000


class Network(Protocol):
    """All that a probe may ask of the world. bandwidth: the one slot for bandwidth tests, and their programs."""

    @property
    def bandwidth(self) -> BandwidthPrograms: ...

    async def handshakes(
        self, connects: Sequence[Connect], timeout_seconds: float, done: Callable[[int, Handshake], None]
    ) -> None: ...
    def channel(self, kind: Kind, family: Family) -> Channel: ...
    async def wait(self, volley: Volley, timeout_seconds: float) -> None: ...
    def instant(self) -> Instant: ...
    def source_address(self, address: str, family: Family) -> str: ...
    def clock_error_ns(self) -> int | None: ...
    def read_secret(self, path: str) -> str: ...
    def mtu_path(self, address: str, port: int, family: Family, method: Method) -> MtuPath: ...
    def mapping(self, address: str, port: int, family: Family) -> Mapping: ...
    def trace_flow(
        self, address: str, port: int, family: Family, method: TraceMethod, flow: int
    ) -> TraceFlow: ...
    async def tls(
        self,
        connect: Connect,
        server_name: str,
        timeout_seconds: float,
        *,
        ca_file: str | None,
        verify: bool,
        session: ssl.SSLSession | None,
    ) -> TlsHandshake: ...
    async def host_name(self, address: str) -> str | None: ...
    def as_table(self, path: str) -> AsTable: ...


class SystemNetwork:
    """The kernel's network. Make it inside the running loop; close it there."""

    def __init__(self) -> None:
        self._poller = Poller()
        self.bandwidth = BandwidthPrograms(BandwidthSlot(time.monotonic_ns))
        self._channels: dict[tuple[str, Family], Channel] = {}
        self._routes: dict[Family, socket.socket] = {}
        self._sources: dict[str, tuple[int, str]] = {}
        self._clock_error: tuple[int, int | None] = (0, None)
        self._tls_contexts: dict[tuple[str | None, bool], tuple[int, ssl.SSLContext]] = {}
        self._trace_pace = Pace(PACKETS_PER_SECOND)
        self._as_tables: dict[str, tuple[int, AsTable]] = {}

    async def handshakes(
        self, connects: Sequence[Connect], timeout_seconds: float, done: Callable[[int, Handshake], None]
    ) -> None:
        """See agent.net.tcp.handshakes."""
        await handshakes(self._poller, connects, timeout_seconds, done)

    def mtu_path(self, address: str, port: int, family: Family, method: Method) -> MtuPath:
        """See agent.net.pathmtu.MtuPath."""
        return MtuPath(self._poller, address, port, family, method)

    def mapping(self, address: str, port: int, family: Family) -> Mapping:
        """See agent.net.mapping.Mapping. Raises OSError."""
        return Mapping(self._poller, address, port, family)

    def trace_flow(
        self, address: str, port: int, family: Family, method: TraceMethod, flow: int
    ) -> TraceFlow:
        """See agent.net.trace.TraceFlow. Raises Unavailable, OSError."""
        wire = open_wire(address, port, family, method, flow, lambda: self.source_address(address, family))
        return TraceFlow(self._poller, self._trace_pace, wire, family)

    async def tls(
        self,
        connect: Connect,
        server_name: str,
        timeout_seconds: float,
        *,
        ca_file: str | None,
        verify: bool,
        session: ssl.SSLSession | None,
    ) -> TlsHandshake:
        """See agent.net.tls.handshake. Raises OSError for a CA file that cannot be read."""
        now = time.monotonic_ns()
        made_ns, context = self._tls_contexts.get((ca_file, verify), (0, None))
        if context is None or (now - made_ns > _AUTHORITIES_KEPT_NS and session is None):
            context = client_context(ca_file, verify=verify)
            self._tls_contexts[ca_file, verify] = (now, context)
        return await handshake(self._poller, connect, context, server_name, timeout_seconds, session)

    async def host_name(self, address: str) -> str | None:
        """See agent.net.resolve.host_name."""
        return await host_name(address)

    def as_table(self, path: str) -> AsTable:
        """The table in a file, read again when the file has changed. Raises OSError, ParseError, UnicodeDecodeError."""
        changed_ns = Path(path).stat().st_mtime_ns
        kept = self._as_tables.get(path)
        if kept is None or kept[0] != changed_ns:
            kept = self._as_tables[path] = (
                changed_ns,
                parse_as_table(Path(path).read_text(encoding="utf-8")),
            )
        return kept[1]

    def channel(self, kind: Kind, family: Family) -> Channel:
        """The one socket of this kind and family, opened when first asked for. Raises Unavailable."""
        channel = self._channels.get((kind.name, family))
        if channel is None:
            endpoint = kind.open(family)
            channel = Channel(self._poller, endpoint, kind.session(endpoint))
            self._channels[kind.name, family] = channel
        return channel

    async def wait(self, volley: Volley, timeout_seconds: float) -> None:
        """Return when every flight of the volley has its outcome, at the latest after timeout_seconds."""
        for channel in self._channels.values():
            channel.read_reports()
        if not volley.open:
            return
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()

        def end() -> None:
            if not ended.done():
                ended.set_result(None)

        volley.on_empty = end
        timer = loop.call_later(timeout_seconds, end)
        try:
            await ended
        finally:
            timer.cancel()
            volley.on_empty = None

    def instant(self) -> Instant:
        """Both clocks now."""
        return read_instant()

    def source_address(self, address: str, family: Family) -> str:
        """The address that packets to this one leave from now, at most a second old. Raises OSError without a route."""
        now = time.monotonic_ns()
        kept = self._sources.get(address)
        if kept is not None and now - kept[0] < _SOURCE_KEPT_NS:
            return kept[1]
        if len(self._sources) >= _SOURCES_KEPT:
            self._sources.clear()
        sock = self._routes.get(family)
        if sock is None:
            domain = socket.AF_INET6 if family is Family.IPV6 else socket.AF_INET
            sock = self._routes[family] = socket.socket(domain, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        sock.connect((address, 9))
        source = str(sock.getsockname()[0])
        self._sources[address] = (now, source)
        return source

    def clock_error_ns(self) -> int | None:
        """How far the wall clock can be off, None while nothing synchronises it."""
        now = time.monotonic_ns()
        if now - self._clock_error[0] > _CLOCK_ERROR_KEPT_NS:
            self._clock_error = (now, read_clock_error_ns())
        return self._clock_error[1]

    def read_secret(self, path: str) -> str:
        """The text of a key file. Raises OSError or ValueError."""
        return Path(path).read_text(encoding="ascii").strip()

    def close(self) -> None:
        """Stop watching sockets; bursts in flight must have ended."""
        for channel in self._channels.values():
            channel.close()
        for sock in self._routes.values():
            sock.close()
        self._poller.close()


def read_clock_error_ns() -> int | None:
    """The kernel's maximum error of the wall clock (adjtimex(2)), None where it is not synchronised or not readable."""
    try:
        clock = clock_state()
    except OSError:
        return None
    return round(clock.maximum_error_seconds * 1e9) if clock.synchronised else None
