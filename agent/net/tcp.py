"""TCP handshakes timed by the kernel: non-blocking connects, many in flight, TCP_INFO read as each ends.

A socket is closed with SO_LINGER {1, 0}: it sends RST, so neither end keeps a TIME_WAIT and ports come back.
"""

import asyncio
import errno
import os
import socket
import struct
import time
from collections.abc import Callable, Sequence

import msgspec

from agent.net.poller import CONNECT_ONCE, Poller

_LINGER_RESET = struct.pack("=ii", 1, 0)
_IP_BIND_ADDRESS_NO_PORT = 24  # include/uapi/linux/in.h: choose the port at connect, per destination
_TCP_INFO_BYTES = 160
_SND_MSS = struct.Struct("=16xI")  # include/uapi/linux/tcp.h: struct tcp_info
_RTT_AND_TOTAL_RETRANS = struct.Struct("=68xI28xI")
_TCP_SYN_SENT = 2  # include/net/tcp_states.h


class Connect(msgspec.Struct, frozen=True):
    """One handshake to make. source: literal address to send from; interface: device to leave by."""

    address: str
    port: int
    source: str | None = None
    interface: str | None = None


class Handshake(msgspec.Struct, frozen=True):
    """How a connect ended, as the kernel tells it.

    error: errno of the socket, 0 when it connected, ETIMEDOUT when time ran out. answered: the kernel left
    SYN-SENT by an answer of the peer. rtt_ns: handshake round trip (resolution 1 µs), None where the kernel has
    none. retransmissions: SYNs sent again before the answer. elapsed_ns: user-space time, for evidence only.
    mss_bytes: payload of a full segment that this connection would send, None unless it connected.
    """

    error: int
    answered: bool
    rtt_ns: int | None
    retransmissions: int
    elapsed_ns: int
    mss_bytes: int | None = None

    @property
    def reason(self) -> str:
        """The error in words, empty without one."""
        return os.strerror(self.error) if self.error else ""


async def handshakes(
    poller: Poller,
    connects: Sequence[Connect],
    timeout_seconds: float,
    done: Callable[[int, Handshake], None],
) -> None:
    """Start all handshakes at once; call done(index, handshake) exactly once for each as it ends.

    Returns when all have ended, at the latest after timeout_seconds. When cancelled, closes what is open and
    calls done for none of those.
    """
    burst = _Burst(poller, done)
    try:
        for index, connect in enumerate(connects):
            burst.start(index, connect)
        await burst.wait(timeout_seconds)
    finally:
        burst.abandon()


class _Burst:
    """The handshakes of one burst that are still open."""

    def __init__(self, poller: Poller, done: Callable[[int, Handshake], None]) -> None:
        self._poller = poller
        self._done = done
        self._open: dict[int, tuple[int, socket.socket, int]] = {}
        self._all_ended: asyncio.Future[None] | None = None

    def start(self, index: int, connect: Connect) -> None:
        started = time.monotonic_ns()
        try:
            sock = _open_socket(connect)
        except OSError as error:
            self._done(
                index,
                Handshake(_errno(error), answered=False, rtt_ns=None, retransmissions=0, elapsed_ns=0),
            )
            return
        fd = sock.fileno()
        self._open[fd] = (index, sock, started)
        try:
            code = sock.connect_ex((connect.address, connect.port))
            if code in (0, errno.EINPROGRESS):
                self._poller.register(fd, CONNECT_ONCE, lambda _events: self._end(fd))
                return
        except OSError as error:
            code = _errno(error)
        self._end(fd, code)

    async def wait(self, timeout_seconds: float) -> None:
        if not self._open:
            return
        loop = asyncio.get_running_loop()
        self._all_ended = loop.create_future()
        timer = loop.call_later(timeout_seconds, self._expire)
        try:
            await self._all_ended
        finally:
            timer.cancel()

    def abandon(self) -> None:
        for fd, (_index, sock, _started) in self._open.items():
            self._poller.unregister(fd)
            sock.close()
        self._open.clear()

    def _expire(self) -> None:
        """What the kernel already knows of each counts before the clock does: this process may have been stalled."""
        for fd in list(self._open):
            self._end(fd)

    def _end(self, fd: int, code: int | None = None) -> None:
        index, sock, started = self._open.pop(fd)
        elapsed = time.monotonic_ns() - started
        handshake = _read_handshake(sock, code, elapsed)
        self._poller.unregister(fd)
        sock.close()
        self._done(index, handshake)
        if not self._open and self._all_ended is not None and not self._all_ended.done():
            self._all_ended.set_result(None)


def _open_socket(connect: Connect) -> socket.socket:
    family = socket.AF_INET6 if ":" in connect.address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
        if connect.interface is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, connect.interface.encode() + b"\0")
        if connect.source is not None:
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((connect.source, 0))
    except OSError:
        sock.close()
        raise
    return sock


def _errno(error: OSError) -> int:
    """Its errno; an address that fits no socket of this family (gaierror has numbers of its own) is EAFNOSUPPORT."""
    return errno.EAFNOSUPPORT if isinstance(error, socket.gaierror) else error.errno or errno.EIO


def _read_handshake(sock: socket.socket, code: int | None, elapsed_ns: int) -> Handshake:
    """TCP_INFO first, SO_ERROR after: a peer that resets at once leaves ECONNRESET beside a good RTT.

    code: the error of a connect that never began, None to ask the socket; one still in SYN-SENT has timed out.
    """
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    in_handshake = info[0] == _TCP_SYN_SENT
    error = code
    if error is None:
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        error = errno.ETIMEDOUT if in_handshake and not error else error
    rtt_us, retransmissions = _RTT_AND_TOTAL_RETRANS.unpack_from(info)
    return Handshake(
        error=error,
        answered=rtt_us > 0 or (error in (0, errno.ECONNREFUSED, errno.ECONNRESET) and not in_handshake),
        rtt_ns=rtt_us * 1000 or None,
        retransmissions=retransmissions,
        elapsed_ns=elapsed_ns,
        mss_bytes=None if error or in_handshake else int(_SND_MSS.unpack_from(info)[0]),
    )
