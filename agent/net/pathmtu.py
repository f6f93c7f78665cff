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

from agent.net.poller import READ, Poller
from agent.wire.series import Family

Method = Literal["udp", "icmp"]

_MTU_DISCOVER = {Family.IPV4: (socket.IPPROTO_IP, 10), Family.IPV6: (socket.IPPROTO_IPV6, 23)}
_RECVERR = {Family.IPV4: (socket.IPPROTO_IP, 11), Family.IPV6: (socket.IPPROTO_IPV6, 25)}
_PMTUDISC_PROBE = 3  # include/uapi/linux/in.h
_MSG_ERRQUEUE = 0x2000
_EXTENDED_ERROR = struct.Struct("=IBBBBII")  # include/uapi/linux/errqueue.h: struct sock_extended_err
_ORIGIN_LOCAL, _ORIGINS_ICMP = 1, (2, 3)
_LARGEST = 65535
_ECHO_HEAD = struct.Struct("!BBHHH")
_ECHO_REQUEST = {Family.IPV4: 8, Family.IPV6: 128}
_MARGIN_SECONDS = 0.02
"""How long a larger packet may trail a smaller one sent after it before it counts as lost; at least half an RTT."""

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
    """A connected socket towards one target. Raises OSError from the constructor; PermissionError: no right to ping.

    device_bytes: MTU of the interface that packets leave by.
    """

    def __init__(self, poller: Poller, address: str, port: int, family: Family, method: Method) -> None:
        self._poller = poller
        self._family = family
        self._method = method
        self._overhead = OVERHEAD[family]
        self._errors = _Errors()
        self._socket = _open(address, port, family, method)
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
        head = _ECHO_HEAD.pack(
            _ECHO_REQUEST[self._family], 0, 0, 0, number & 0xFFFF
        )  # id and checksum: kernel
        return head + nonce.to_bytes(8, "big").ljust(size - self._overhead, b"\0")

    def _receive(self, events: int, flight: "_InFlight") -> None:
        if events & select.EPOLLERR:
            self._drain_errors()
            if self._errors.hints or self._errors.refused:
                flight.hurry()
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

    def _answered_size(self, packet: bytes, nonce: int) -> int | None:
        if self._method == "udp":
            return answered_size(packet, nonce)
        return (
            len(packet) + self._overhead - _ECHO_HEAD.size
            if packet[8:16] == nonce.to_bytes(8, "big")
            else None
        )

    def _device_mtu(self) -> int:
        """Ask for more than any interface carries; the kernel says what this one does (65535 on loopback)."""
        try:
            self._socket.send(bytes(_LARGEST - self._overhead))
        except OSError:
            self._drain_errors()
        return self._errors.device_bytes or _LARGEST

    def _drain_errors(self) -> None:
        while True:
            try:
                _data, control, _flags, _address = self._socket.recvmsg(0, 512, _MSG_ERRQUEUE)
            except OSError:
                return
            for _level, kind, data in control:
                if kind in (11, 25) and len(data) >= _EXTENDED_ERROR.size:
                    self._errors.add(*_EXTENDED_ERROR.unpack_from(data))


class _Errors:
    """What the error queue said."""

    def __init__(self) -> None:
        self.hints: list[int] = []
        self.device_bytes: int | None = None
        self.refused = False

    def add(
        self, code: int, origin: int, _kind: int, _subkind: int, _pad: int, info: int, _data: int
    ) -> None:
        if code == errno.EMSGSIZE and origin == _ORIGIN_LOCAL:
            self.device_bytes = info
        elif code == errno.EMSGSIZE and origin in _ORIGINS_ICMP:
            self.hints.append(info)
        elif code == errno.ECONNREFUSED:
            self.refused = True


class _InFlight:
    """One round: which sizes are still open, and when to stop waiting for them."""

    def __init__(self, sizes: Sequence[int], loop: asyncio.AbstractEventLoop, nonce: int) -> None:
        self.nonce = nonce
        self.echoed: set[int] = set()
        self.done: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._started = loop.time()
        self._wanted = set(sizes)
        self._smallest = min(sizes)
        self._ending: asyncio.TimerHandle | None = None

    def answered(self, size: int) -> None:
        self.echoed.add(size)
        if self.echoed >= self._wanted:
            self.finish()
        elif size == self._smallest:
            self.hurry()

    def hurry(self) -> None:
        """Something proves that the round is decided: wait no longer than stragglers may need."""
        if self._ending is None:
            margin = max(_MARGIN_SECONDS, (self._loop.time() - self._started) / 2)
            self._ending = self._loop.call_later(margin, self.finish)

    def finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def cancel_timers(self) -> None:
        if self._ending is not None:
            self._ending.cancel()


def _open(address: str, port: int, family: Family, method: Method) -> socket.socket:
    af = socket.AF_INET if family is Family.IPV4 else socket.AF_INET6
    protocol = (
        0
        if method == "udp"
        else {Family.IPV4: socket.IPPROTO_ICMP, Family.IPV6: socket.IPPROTO_ICMPV6}[family]
    )
    sock = socket.socket(af, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
    try:
        sock.setsockopt(*_MTU_DISCOVER[family], _PMTUDISC_PROBE)
        sock.setsockopt(*_RECVERR[family], 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.connect((address, port))
    except OSError:
        sock.close()
        raise
    return sock
