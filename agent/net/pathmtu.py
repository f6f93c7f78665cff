"""Flights of DF packets of given sizes, by UDP to an agent or by ICMP echo to anybody.

IP_MTU_DISCOVER is PROBE: DF is set and the kernel's own path MTU cache is ignored, so each packet shows the path.
An ICMP error makes the next send fail with EMSGSIZE for the earlier packet: the error queue is drained and the
send tried again, else a good size would be called too big.
"""

import asyncio
import errno
import secrets
import select
import socket
import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from agent.flight import Unavailable
from agent.kernel.checksum import internet_checksum
from agent.kernel.parse_error import ParseError
from agent.net import timestamp
from agent.net.endpoint import attach_filter
from agent.net.filter import echo_reply_filter
from agent.net.poller import READ, Poller
from agent.net.timestamp import PacketError
from agent.wire.series import Family

Method = Literal["udp", "icmp"]

_MTU_DISCOVER = {Family.IPV4: (socket.IPPROTO_IP, 10), Family.IPV6: (socket.IPPROTO_IPV6, 23)}
_RECVERR = {
    Family.IPV4: (socket.IPPROTO_IP, timestamp.IP_RECVERR),
    Family.IPV6: (socket.IPPROTO_IPV6, timestamp.IPV6_RECVERR),
}
_PMTUDISC_PROBE = 3  # include/uapi/linux/in.h
_LARGEST = 65535
_ECHO_HEAD = struct.Struct("!BBHHH")
_ECHO_REQUEST = {Family.IPV4: 8, Family.IPV6: 128}
_ECHO_PROTOCOL = {Family.IPV4: socket.IPPROTO_ICMP, Family.IPV6: socket.IPPROTO_ICMPV6}
_MARGIN_SECONDS = 0.02
"""How long a larger packet may trail a smaller one sent after it before it counts as lost; at least a quarter of an RTT."""

_CORROBORATED_SECONDS = 0.002
"""The same where a router has said of this very round's size that it is the largest."""

_MAGIC, _ANSWER_MAGIC = b"LFmtu?1\0", b"LFmtu!1\0"
_HEAD = struct.Struct("!8sQH")  # magic, nonce, size of the IP packet
OVERHEAD = {Family.IPV4: 28, Family.IPV6: 48}
"""Bytes of IP and UDP (or ICMP) headers."""


def request(nonce: int, size: int, overhead: int) -> bytes:
    """The UDP payload that makes an IP packet of this size."""
    return _HEAD.pack(_MAGIC, nonce, size).ljust(size - overhead, b"\0")


def answer(payload: bytes) -> bytes | None:
    """What an agent answers to a request: its head alone, never longer than what came. None for anything else."""
    if len(payload) < _HEAD.size or not payload.startswith(_MAGIC):
        return None
    return _ANSWER_MAGIC + payload[8 : _HEAD.size]


def answered_size(payload: bytes, nonce: int) -> int | None:
    """The size that an answer confirms; None when it is no answer to this nonce."""
    if len(payload) != _HEAD.size:
        return None
    magic, got, size = _HEAD.unpack(payload)
    return int(size) if magic == _ANSWER_MAGIC and got == nonce else None


@dataclass(frozen=True, slots=True)
class Flight:
    """What came back from one round of packets.

    echoed: sizes answered; hints: next-hop MTUs that routers reported; device_bytes: MTU of the own interface when a
    size was over it; refused: the host answered that nobody listens on the port.
    """

    echoed: Collection[int]
    hints: Sequence[int] = ()
    device_bytes: int | None = None
    refused: bool = False


class MtuPath:
    """A connected socket towards one target. Raises OSError and Unavailable (no right to ping) from the constructor.

    device_bytes: MTU of the interface that packets leave by.
    """

    def __init__(self, poller: Poller, address: str, port: int, family: Family, method: Method) -> None:
        self._poller = poller
        self._family = family
        self._method = method
        self._overhead = OVERHEAD[family]
        self._errors = _Errors()
        self._hints_seen: set[int] = set()
        self._identifier: int | None = None
        if method == "udp":
            self._socket = _socket(family, socket.SOCK_DGRAM, 0)
        else:
            self._socket, self._identifier = _open_echo(family)
        _connect(self._socket, address, port, family)
        self.device_bytes = self._device_mtu()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    async def flight(self, sizes: Sequence[int], timeout_seconds: float) -> Flight:
        """Send packets of these sizes at once; what came back by the time that the rest must be lost.

        The smallest sizes should come last: once one of them is answered, what is missing a margin later is lost.
        """
        loop = asyncio.get_running_loop()
        flight = _InFlight(sizes, loop, secrets.randbits(64))
        self._errors = _Errors()
        self._poller.register(self._socket.fileno(), READ, lambda events: self._receive(events, flight))
        timer = loop.call_later(timeout_seconds, flight.finish)
        try:
            for number, size in enumerate(sizes):
                self._send(number, size, flight)
            await flight.done
        finally:
            timer.cancel()
            flight.cancel_timers()
            self._poller.unregister(self._socket.fileno())
        errors = self._errors
        return Flight(frozenset(flight.echoed), tuple(errors.hints), errors.device_bytes, errors.refused)

    def _send(self, number: int, size: int, flight: "_InFlight") -> None:
        payload = self._payload(number, size, flight.nonce)
        for _attempt in range(4):
            try:
                self._socket.send(payload)
            except BlockingIOError:
                return  # the queue of the interface is full: lost here, as it would be one hop later
            except OSError as error:
                self._drain_errors()
                if (
                    error.errno == errno.EMSGSIZE
                    and self._errors.device_bytes is not None
                    and size > self._errors.device_bytes
                ):
                    return
            else:
                return

    def _payload(self, number: int, size: int, nonce: int) -> bytes:
        if self._method == "udp":
            return request(nonce, size, self._overhead)
        kind, identifier = _ECHO_REQUEST[self._family], self._identifier or 0
        data = nonce.to_bytes(8, "big").ljust(size - self._overhead, b"\0")
        checksum = (
            0  # of datagram sockets and of ICMPv6 the kernel's business, as is a datagram socket's identifier
        )
        if self._has_ip_header:
            head = _ECHO_HEAD.pack(kind, 0, 0, identifier, number & 0xFFFF)
            checksum = internet_checksum(head, data)
        return _ECHO_HEAD.pack(kind, 0, checksum, identifier, number & 0xFFFF) + data

    def _receive(self, events: int, flight: "_InFlight") -> None:
        if events & select.EPOLLERR:
            self._drain_errors()
            flight.corroborated |= any(hint in flight.sizes for hint in self._errors.hints)
            if self._errors.refused or self._has_new_hint(flight.sizes):
                flight.finish()  # the next round will know more than this one's answers can tell
        while True:
            try:
                packet = self._socket.recv(_LARGEST)
            except BlockingIOError:
                return
            except OSError:
                self._drain_errors()
                continue
            size = self._answered_size(packet, flight.nonce)
            if size is not None:
                flight.answered(size)

    def _has_new_hint(self, sizes: Collection[int]) -> bool:
        """A size that was not thought of. Of one that is under way the answer is worth waiting for."""
        fresh = set(self._errors.hints) - self._hints_seen
        self._hints_seen |= fresh
        return not fresh <= set(sizes)

    def _answered_size(self, packet: bytes, nonce: int) -> int | None:
        if self._method == "udp":
            return answered_size(packet, nonce)
        if self._has_ip_header:
            packet = packet[(packet[0] & 0xF) * 4 :]
        if packet[8:16] != nonce.to_bytes(8, "big"):
            return None
        return len(packet) + self._overhead - _ECHO_HEAD.size

    @property
    def _has_ip_header(self) -> bool:
        return self._identifier is not None and self._family is Family.IPV4

    def _device_mtu(self) -> int:
        """Ask for more than any interface carries; the kernel says what this one does (65535 on loopback)."""
        try:
            self._socket.send(self._payload(0, _LARGEST, 0))
        except OSError:
            self._drain_errors()
        return self._errors.device_bytes or _LARGEST

    def _drain_errors(self) -> None:
        while True:
            try:
                _data, control, _flags, _address = self._socket.recvmsg(
                    0, timestamp.CONTROL_BYTES, timestamp.MSG_ERRQUEUE
                )
            except OSError:
                return
            try:
                report = timestamp.parse_report(control)
            except ParseError:
                continue
            if isinstance(report, PacketError):
                self._errors.add(report)


class _Errors:
    """What the error queue said."""

    def __init__(self) -> None:
        self.hints: list[int] = []
        self.device_bytes: int | None = None
        self.refused = False

    def add(self, error: PacketError) -> None:
        if error.code == errno.EMSGSIZE and error.icmp_type == 0:  # the kernel's own
            self.device_bytes = error.information
        elif error.code == errno.EMSGSIZE:
            self.hints.append(error.information)
        elif error.code == errno.ECONNREFUSED:
            self.refused = True


class _InFlight:
    """One round: which sizes are still open, and when to stop waiting for them."""

    def __init__(self, sizes: Sequence[int], loop: asyncio.AbstractEventLoop, nonce: int) -> None:
        self.nonce = nonce
        self.echoed: set[int] = set()
        self.done: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._started = loop.time()
        self.sizes = set(sizes)
        self.corroborated = False
        self._smallest = min(sizes)
        self._ending: asyncio.TimerHandle | None = None

    def answered(self, size: int) -> None:
        if size not in self.sizes:
            return
        self.echoed.add(size)
        if self.echoed >= self.sizes:
            self.finish()
        elif size == self._smallest:
            self.hurry()

    def hurry(self) -> None:
        """A packet sent last was answered: wait no longer than stragglers may need."""
        if self._ending is None:
            margin = max(_MARGIN_SECONDS, (self._loop.time() - self._started) / 4)
            if self.corroborated:
                margin = _CORROBORATED_SECONDS
            self._ending = self._loop.call_later(margin, self.finish)

    def finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def cancel_timers(self) -> None:
        if self._ending is not None:
            self._ending.cancel()


def _open_echo(family: Family) -> tuple[socket.socket, int | None]:
    """An ICMP datagram socket, or a raw one and its echo identifier where ping_group_range bars us. Raises Unavailable."""
    protocol = _ECHO_PROTOCOL[family]
    try:
        return _socket(family, socket.SOCK_DGRAM, protocol), None
    except PermissionError:
        pass
    try:
        sock = _socket(family, socket.SOCK_RAW, protocol)
    except PermissionError:
        raise Unavailable(
            "ICMP echo needs a group within net.ipv4.ping_group_range, or CAP_NET_RAW"
        ) from None
    identifier = secrets.randbelow(1 << 16)
    attach_filter(sock, echo_reply_filter(identifier, has_ip_header=family is Family.IPV4))
    return sock, identifier


def _socket(family: Family, kind: int, protocol: int) -> socket.socket:
    af = socket.AF_INET if family is Family.IPV4 else socket.AF_INET6
    return socket.socket(af, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)


def _connect(sock: socket.socket, address: str, port: int, family: Family) -> None:
    try:
        sock.setsockopt(*_MTU_DISCOVER[family], _PMTUDISC_PROBE)
        sock.setsockopt(*_RECVERR[family], 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.connect((address, port))
    except OSError:
        sock.close()
        raise
