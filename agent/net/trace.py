"""Waves of packets with small TTLs and one flow id (Paris traceroute): what routers and the target say of each.

Ports stay the same within a flow, so that load balancers send all of them one way (Augustin et al., 2006). UDP
packets carry their number in the data, SYNs in the sequence number. Routers that quote no data of a UDP packet
(RFC 792 asks for 8 bytes after the IP header) give an answer without number: it counts when one packet is out.
"""

import asyncio
import errno
import secrets
import socket
import struct
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from agent.flight import Unavailable
from agent.kernel.checksum import internet_checksum
from agent.kernel.parse_error import ParseError
from agent.net import timestamp
from agent.net.endpoint import free_ports, open_tcp
from agent.net.poller import READ, Poller
from agent.net.timestamp import PacketError
from agent.wire.series import Family

TraceMethod = Literal["udp", "tcp"]

PACKETS_PER_SECOND = 100.0
"""Of all traces of this node together; routers answer no faster, and a fleet must not look like a flood."""

_AF = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}
_PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_DATA_BYTES = 2048
_MARGIN_SECONDS = 0.1
_FLOW_PORTS, _BIND_TRIES = 16, 8
_UDP_DATA = struct.Struct("!8sH")
_TCP_HEADER = struct.Struct("!HHIIHHHH")  # RFC 9293, 3.1
_SYN, _WINDOW = 5 << 12 | 0x02, 64240
_QUOTED = struct.Struct("!HHI")
_ANSWER = struct.Struct("!HHIIxB")
_RST_OR_SYN = 0x06


@dataclass(frozen=True, slots=True)
class Reply:
    """What one packet brought. ttl: it was sent with; address: who answered; icmp: its type and code, None for the
    target's own answer by TCP or UDP; rtt_ns: from the send call to the kernel's stamp, None where the clock was set
    meanwhile; mtu_bytes: next hop's, where it was too big.
    """

    ttl: int
    address: str
    icmp: tuple[int, int] | None
    rtt_ns: int | None
    mtu_bytes: int | None = None


class Pace:
    """Spreads the packets of all traces: at most so many per second."""

    def __init__(self, per_second: float) -> None:
        self._gap = 1 / per_second
        self._next = 0.0

    async def turn(self) -> None:
        """Return when the next packet may go."""
        now = asyncio.get_running_loop().time()
        self._next = max(self._next + self._gap, now)
        if self._next > now:
            await asyncio.sleep(self._next - now)


class Wire(Protocol):
    """Makes the packets of one flow and finds their numbers in what comes back."""

    sock: socket.socket

    def packet(self, number: int) -> bytes: ...
    def of_quote(self, quoted: bytes) -> int | None: ...
    def of_answer(self, data: bytes, address: str) -> int | None: ...
    def close(self) -> None: ...


class UdpWire:
    """UDP to a closed port: the target answers port unreachable. Needs no privilege."""

    def __init__(self, address: str, port: int, family: Family, flow: int) -> None:
        """Raises OSError."""
        self._nonce = secrets.token_bytes(8)
        self.sock = socket.socket(_AF[family], socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            timestamp.switch_on_rx(self.sock)
            timestamp.report_errors(self.sock)
            _bind(self.sock, family, zlib.crc32(address.encode()) * _FLOW_PORTS + flow)
            self.sock.connect((address, port))
        except OSError:
            self.sock.close()
            raise

    def packet(self, number: int) -> bytes:
        return _UDP_DATA.pack(self._nonce, number)

    def of_quote(self, quoted: bytes) -> int | None:
        """Number in the data that a router quoted; None where it quoted none."""
        if len(quoted) < _UDP_DATA.size:
            return None
        nonce, number = _UDP_DATA.unpack_from(quoted)
        return int(number) if nonce == self._nonce else None

    def of_answer(self, data: bytes, _address: str) -> int | None:
        """Only an echo names its packet; any other answer is one without number."""
        return self.of_quote(data)

    def close(self) -> None:
        self.sock.close()


class SynWire:
    """SYNs from a raw socket; the kernel resets what the target opens. Needs CAP_NET_RAW."""

    def __init__(self, address: str, port: int, family: Family, flow: int, source: str) -> None:
        """Raises Unavailable."""
        self._endpoint = open_tcp(family)
        self.sock = self._endpoint.sock
        self._address = address
        self._port = port
        ports = self._endpoint.ports
        self._own = ports[len(ports) - 1 - flow % len(ports)]
        self._base = secrets.randbelow(1 << 16) << 16
        self._has_ip_header = family is Family.IPV4
        self._pseudo = b""
        if self._has_ip_header:
            length = _TCP_HEADER.size
            addresses = socket.inet_aton(source) + socket.inet_aton(address)
            self._pseudo = addresses + struct.pack("!HH", socket.IPPROTO_TCP, length)
        self.sock.connect((address, 0))

    def packet(self, number: int) -> bytes:
        head = self._header(number, 0)
        return self._header(number, internet_checksum(self._pseudo, head)) if self._has_ip_header else head

    def of_quote(self, quoted: bytes) -> int | None:
        """Number in the sequence number, which every router quotes."""
        if len(quoted) < _QUOTED.size:
            return None
        own, port, sequence = _QUOTED.unpack_from(quoted)
        return self._number(own, port, sequence)

    def of_answer(self, data: bytes, address: str) -> int | None:
        """Number in the acknowledgement of a SYN-ACK or RST."""
        at = (data[0] & 0xF) * 4 if self._has_ip_header and data else 0
        if len(data) < at + _ANSWER.size or address != self._address:
            return None
        port, own, _sequence, acknowledged, flags = _ANSWER.unpack_from(data, at)
        return self._number(own, port, (acknowledged - 1) & 0xFFFFFFFF) if flags & _RST_OR_SYN else None

    def close(self) -> None:
        self._endpoint.close()

    def _header(self, number: int, checksum: int) -> bytes:
        return _TCP_HEADER.pack(self._own, self._port, self._base | number, 0, _SYN, _WINDOW, checksum, 0)

    def _number(self, own: int, port: int, sequence: int) -> int | None:
        if (own, port, sequence & 0xFFFF0000) != (self._own, self._port, self._base):
            return None
        return sequence & 0xFFFF


def _bind(sock: socket.socket, family: Family, choice: int) -> None:
    """To the same port each time, so that a target's flow keeps its way, unless another trace has it just now."""
    host = "::" if family is Family.IPV6 else "0.0.0.0"  # noqa: S104 - the kernel chooses the address
    ports = free_ports(_PORT_RANGE.read_text(encoding="ascii"))
    for attempt in range(_BIND_TRIES if ports else 0):
        try:
            sock.bind((host, ports[(choice + attempt * _FLOW_PORTS) % len(ports)]))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return
    sock.bind((host, 0))


class TraceFlow:
    """One flow towards one target. Close it."""

    def __init__(self, poller: Poller, pace: Pace, wire: Wire, family: Family) -> None:
        self._poller = poller
        self._pace = pace
        self._wire = wire
        self._ttl_message = (
            (socket.IPPROTO_IP, timestamp.IP_TTL)
            if family is Family.IPV4
            else (socket.IPPROTO_IPV6, timestamp.IPV6_HOPLIMIT)
        )
        self._number = 0

    def close(self) -> None:
        """Close the socket."""
        self._wire.close()

    async def wave(
        self, ttls: Sequence[int], timeout_seconds: float, is_last: Callable[[Reply], bool]
    ) -> tuple[Sequence[int], list[Reply]]:
        """Send one packet with each TTL, paced; the TTLs sent and what came back. Raises OSError when one cannot be sent.

        Once a reply is_last (the way ends there), what is out gets a margin of a few round trips and no more.
        """
        wave = _Wave(timeout_seconds, is_last)
        self._poller.register(self._wire.sock.fileno(), READ, lambda _events: self._read(wave))
        try:
            for count, ttl in enumerate(ttls):
                await self._pace.turn()
                if wave.last_seen:
                    ttls = ttls[:count]
                    break
                self._send(ttl, wave)
            await wave.wait()
        finally:
            wave.stop()
            self._poller.unregister(self._wire.sock.fileno())
        return ttls, wave.replies

    def _send(self, ttl: int, wave: "_Wave") -> None:
        self._number = (self._number + 1) & 0xFFFF
        control = [(*self._ttl_message, struct.pack("=i", ttl))]
        packet = self._wire.packet(self._number)
        wave.out[self._number] = (ttl, time.time_ns(), time.monotonic_ns())
        for again in (True, False):
            try:
                self._wire.sock.sendmsg([packet], control)
            except OSError:  # an earlier packet's error: once it is read, the send works
                self._read(wave)
                if not again:
                    del wave.out[self._number]
                    raise
            else:
                return

    def _read(self, wave: "_Wave") -> None:
        while True:
            try:
                data, control, _flags, _address = self._wire.sock.recvmsg(
                    _DATA_BYTES, timestamp.CONTROL_BYTES, timestamp.MSG_ERRQUEUE
                )
            except OSError:
                break
            try:
                error, (stamp_ns, _ttl) = timestamp.parse_report(control), timestamp.parse_arrival(control)
            except ParseError:
                continue
            if isinstance(error, PacketError) and error.offender is not None:
                mtu = error.information or None
                wave.add(
                    self._wire.of_quote(data),
                    error.offender,
                    (error.icmp_type, error.icmp_code),
                    stamp_ns,
                    mtu,
                )
        self._read_answers(wave)

    def _read_answers(self, wave: "_Wave") -> None:
        for _ in range(_DATA_BYTES):
            try:
                data, control, _flags, address = self._wire.sock.recvmsg(_DATA_BYTES, timestamp.CONTROL_BYTES)
            except BlockingIOError:
                return
            except OSError:
                continue
            try:
                stamp_ns, _ttl = timestamp.parse_arrival(control)
            except ParseError:
                stamp_ns = None
            number = self._wire.of_answer(data, address[0])
            if number is not None or isinstance(self._wire, UdpWire):
                wave.add(number, address[0], None, stamp_ns, None)


class _Wave:
    """The packets of one wave. out: by number (TTL, wall and monotonic time of the send)."""

    def __init__(self, timeout_seconds: float, is_last: Callable[[Reply], bool]) -> None:
        self.out: dict[int, tuple[int, int, int]] = {}
        self.replies: list[Reply] = []
        self.last_seen = False
        self._timeout_seconds = timeout_seconds
        self._is_last = is_last
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._waiting = False

    async def wait(self) -> None:
        """Until every packet is answered, or the rest must be lost."""
        self._waiting = True
        self._end_if_all()
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout_seconds, self._end)
        await self._ended

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def add(
        self,
        number: int | None,
        address: str,
        icmp: tuple[int, int] | None,
        stamp_ns: int | None,
        mtu: int | None,
    ) -> None:
        if number is None and len(self.out) == 1:
            number = next(iter(self.out))
        sent = None if number is None else self.out.pop(number, None)
        if sent is None:
            return
        ttl, wall_ns, mono_ns = sent
        elapsed = time.monotonic_ns() - mono_ns
        rtt = None if stamp_ns is None else stamp_ns - wall_ns
        if rtt is not None and not 0 <= rtt <= elapsed + 1_000_000:
            rtt = None
        reply = Reply(ttl, address, icmp, rtt, mtu)
        self.replies.append(reply)
        if self._is_last(reply) and not self.last_seen:
            self.last_seen = True
            self.stop()
            self._timer = self._loop.call_later(max(_MARGIN_SECONDS, 2 * elapsed / 1e9), self._end)
        self._end_if_all()

    def _end_if_all(self) -> None:
        if self._waiting and not self.out:
            self._end()

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)


def open_wire(
    address: str, port: int, family: Family, method: TraceMethod, flow: int, source: Callable[[], str]
) -> Wire:
    """Flow number `flow` towards a target. Raises Unavailable without the right to make it, OSError."""
    if method == "udp":
        return UdpWire(address, port, family, flow)
    try:
        return SynWire(address, port, family, flow, source())
    except PermissionError as error:
        raise Unavailable("a TCP trace needs CAP_NET_RAW") from error
