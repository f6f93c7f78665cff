"""Kernel software timestamps: switching them on, and reading the control messages that bring them.

A TX stamp is taken in the driver and comes back on the socket's error queue with the number of its packet
(SOF_TIMESTAMPING_OPT_ID, counted from 0 by the kernel); an RX stamp comes with the data. Both are of the
realtime clock (Documentation/networking/timestamping.rst). The error queue also brings ICMP errors.
"""

import ipaddress
import os
import socket
import struct
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from agent.kernel.parse_error import ParseError

SO_TIMESTAMPING = 37  # include/uapi/asm-generic/socket.h; SCM_TIMESTAMPING has the same number
IP_RECVERR, IPV6_RECVERR = 11, 25
IP_TTL, IP_RECVTTL, IPV6_HOPLIMIT = 2, 12, 52
MSG_ERRQUEUE = 0x2000
CONTROL_BYTES = 256
"""Room for every control message that these sockets can bring."""

_TX_SOFTWARE, _RX_SOFTWARE, _SOFTWARE = 1 << 1, 1 << 3, 1 << 4  # include/uapi/linux/net_tstamp.h
_OPT_ID, _OPT_CMSG, _OPT_TSONLY = 1 << 7, 1 << 10, 1 << 11
_COMMON = _TX_SOFTWARE | _RX_SOFTWARE | _SOFTWARE | _OPT_CMSG | _OPT_TSONLY

_STAMP_TRIES, _STAMP_TRY_SECONDS = 50, 0.001

_SOURCE = "control message"
_INT = struct.Struct("=i")
_TIMESPEC = struct.Struct("=qq")
_EXTENDED_ERROR = struct.Struct("=IBBBBII")  # include/uapi/linux/errqueue.h: struct sock_extended_err
_ORIGIN_LOCAL, _ORIGIN_TIMESTAMPING = 1, 4
_OFFENDER = {socket.AF_INET: (4, 4), socket.AF_INET6: (8, 16)}  # offset and size of its address


@dataclass(frozen=True, slots=True)
class PacketError:
    """Why a packet of ours did not arrive, as an ICMP message or the kernel itself said.

    code: errno that the kernel makes of it. offender: address of the router or host that said so, None where
    this host did. information: next-hop MTU in bytes for EMSGSIZE.
    """

    code: int
    icmp_type: int
    icmp_code: int
    information: int
    offender: str | None

    @property
    def reason(self) -> str:
        """The error in words."""
        return os.strerror(self.code)


def switch_on(sock: socket.socket) -> None:
    """Stamp what this socket sends and receives, counting packets from 0. Raises OSError where the kernel cannot.

    Called again it counts from 0 anew, which is how the count is found again after a failed send: whether that
    used up a number depends on the kernel's version and on where the send failed.
    """
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, _COMMON)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, _COMMON | _OPT_ID)


def switch_on_rx(sock: socket.socket) -> None:
    """Stamp what this socket receives; nothing comes on its error queue. Raises OSError where the kernel cannot."""
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, _RX_SOFTWARE | _SOFTWARE)


def await_rx_stamps() -> None:
    """Return when the kernel stamps what arrives: it begins some milliseconds after the first socket asks (net/core/dev.c).

    Tries on the loopback interface, for at most 50 ms.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        switch_on(sock)
        try:
            sock.bind(("127.0.0.1", 0))
            sock.settimeout(_STAMP_TRY_SECONDS)
            for _ in range(_STAMP_TRIES):
                sock.sendto(b"", sock.getsockname())
                if parse_arrival(sock.recvmsg(1, CONTROL_BYTES)[1])[0] is not None:
                    return
                time.sleep(_STAMP_TRY_SECONDS)
        except OSError:
            return  # without a loopback interface the first answers may come unstamped, and are INVALID


def loopback_stamps() -> tuple[bool, bool]:
    """Whether this kernel stamps what a socket sends, and what it receives: tried on the loopback interface, for 0.1 s.

    Raises OSError without that interface, or where stamps cannot even be asked for.
    """
    sent = received = False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        switch_on(sock)
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(_STAMP_TRY_SECONDS)
        for _ in range(_STAMP_TRIES):
            sock.sendto(b"", sock.getsockname())
            with suppress(TimeoutError):
                received |= parse_arrival(sock.recvmsg(1, CONTROL_BYTES)[1])[0] is not None
            with suppress(BlockingIOError):
                sent |= isinstance(parse_report(sock.recvmsg(1, CONTROL_BYTES, MSG_ERRQUEUE)[1]), tuple)
            if sent and received:
                break
            time.sleep(_STAMP_TRY_SECONDS)
    return sent, received


def report_errors(sock: socket.socket) -> None:
    """ICMP errors of sent packets come on the error queue, with the packet they are about, and each answer's TTL."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)


def parse_arrival(control: Iterable[tuple[int, int, bytes]]) -> tuple[int | None, int | None]:
    """(RX stamp in ns of the realtime clock, TTL or hop limit) of a received packet; None for what is not there.

    Raises ParseError for a message of the right kind and the wrong size.
    """
    stamp_ns = ttl = None
    try:
        for level, kind, data in control:
            if kind == SO_TIMESTAMPING and level == socket.SOL_SOCKET:
                seconds, nanoseconds = _TIMESPEC.unpack_from(data)
                stamp_ns = seconds * 1_000_000_000 + nanoseconds or None
            elif (kind == IP_TTL and level == socket.IPPROTO_IP) or (
                kind == IPV6_HOPLIMIT and level == socket.IPPROTO_IPV6
            ):
                (ttl,) = _INT.unpack_from(data)
    except struct.error:
        raise ParseError(_SOURCE, f"level {level} type {kind}", "too short", data.hex()) from None
    return stamp_ns, ttl


def parse_report(control: Iterable[tuple[int, int, bytes]]) -> tuple[int, int] | PacketError | None:
    """What one message of the error queue says: (packet number, TX stamp in ns), or an error of a packet.

    None where it is neither. Raises ParseError for a message of the right kind and the wrong size.
    """
    stamp_ns = report = None
    try:
        for level, kind, data in control:
            if kind == SO_TIMESTAMPING and level == socket.SOL_SOCKET:
                seconds, nanoseconds = _TIMESPEC.unpack_from(data)
                stamp_ns = seconds * 1_000_000_000 + nanoseconds or None
            elif (kind == IP_RECVERR and level == socket.IPPROTO_IP) or (
                kind == IPV6_RECVERR and level == socket.IPPROTO_IPV6
            ):
                report = _EXTENDED_ERROR.unpack_from(data)
                if report[1] != _ORIGIN_TIMESTAMPING:
                    return _packet_error(report, data)
    except struct.error:
        raise ParseError(_SOURCE, f"level {level} type {kind}", "too short", data.hex()) from None
    if report is None or stamp_ns is None:
        return None
    return report[6], stamp_ns


def _packet_error(report: tuple[int, ...], data: bytes) -> PacketError:
    code, origin, icmp_type, icmp_code, _pad, information, _data = report
    return PacketError(
        code=code,
        icmp_type=icmp_type,
        icmp_code=icmp_code,
        information=information,
        offender=None if origin == _ORIGIN_LOCAL else _offender(data[_EXTENDED_ERROR.size :]),
    )


def _offender(sockaddr: bytes) -> str | None:
    """The address in the sockaddr that follows struct sock_extended_err (SO_EE_OFFENDER); AF_UNSPEC where unknown."""
    family = int.from_bytes(sockaddr[:2], "little" if struct.pack("=H", 1) == b"\1\0" else "big")
    place = {int(known): where for known, where in _OFFENDER.items()}.get(family)
    if place is None:
        return None
    packed = sockaddr[place[0] : place[0] + place[1]]
    if len(packed) != place[1]:
        raise ParseError(_SOURCE, "offender", "too short", sockaddr.hex())
    return str(ipaddress.ip_address(packed))
