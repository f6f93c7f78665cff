"""The sockets of the packet probes: one of a kind and family, opened once, with what it needs or why it cannot be had."""

import ctypes
import errno
import secrets
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from agent.flight import Unavailable
from agent.net import timestamp
from agent.net.filter import Instruction, echo_reply_filter, tcp_answer_filter
from agent.wire.series import Family

if TYPE_CHECKING:
    from agent.flight import Session

_AF = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}
_SO_ATTACH_FILTER, _SO_RCVBUFFORCE = 26, 33  # include/uapi/asm-generic/socket.h
_IPV6_CHECKSUM = 7  # include/uapi/linux/in6.h
_TCP_CHECKSUM_AT = 16
_BUFFER_BYTES = 4_000_000
_PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FREE_PORTS, _FEWEST_FREE_PORTS, _HELD_PORTS = 4096, 1024, 64


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An open socket. ports: those that TCP packets may come from; identifier: of ICMP echoes where we choose it.

    holds: sockets that keep those ports from everybody else while this endpoint lives.
    """

    sock: socket.socket
    family: Family
    ports: Sequence[int] = ()
    identifier: int | None = None
    holds: list[socket.socket] = field(default_factory=list)

    def close(self) -> None:
        """Close the socket and give its ports back."""
        for sock in (self.sock, *self.holds):
            sock.close()


@dataclass(frozen=True, slots=True)
class Kind:
    """What a packet probe needs of the network: a socket, and the session that makes and reads its packets."""

    name: str
    open: Callable[[Family], Endpoint]
    session: "Callable[[Endpoint], Session]"


def open_tcp(family: Family) -> Endpoint:
    """A raw TCP socket that receives only answers to its own ports. Raises Unavailable.

    The kernel answers each SYN-ACK with RST, as no socket of its own has the port: nothing stays half open.
    IPv4: the packet carries its own checksum; IPv6: the kernel computes it.
    """
    sock = _raw(family, socket.IPPROTO_TCP)
    holds: list[socket.socket] = []
    try:
        ports = free_ports(_PORT_RANGE.read_text(encoding="ascii"))
        if not ports:
            holds = _hold_ports()
            ports = [held.getsockname()[1] for held in holds]
        header = 20 if family is Family.IPV4 else 0
        attach_filter(sock, tcp_answer_filter(min(ports), max(ports), has_ip_header=bool(header)))
        if family is Family.IPV6:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_CHECKSUM, _TCP_CHECKSUM_AT)
        return _ready(Endpoint(sock, family, ports, holds=holds))
    except (OSError, ValueError) as error:
        for each in (sock, *holds):
            each.close()
        raise Unavailable(f"raw TCP socket: {error}") from error


def open_udp(family: Family) -> Endpoint:
    """A UDP socket on a port of its own. Raises Unavailable."""
    sock = _socket(family, socket.SOCK_DGRAM, 0)
    sock.bind(("::" if family is Family.IPV6 else "0.0.0.0", 0))  # noqa: S104 - answers come to any address of ours
    return _ready(Endpoint(sock, family))


def open_icmp(family: Family) -> Endpoint:
    """An ICMP datagram socket, or a raw one where net.ipv4.ping_group_range bars us. Raises Unavailable.

    On the datagram socket the kernel sets the identifier and hands over only our own answers.
    """
    protocol = socket.IPPROTO_ICMP if family is Family.IPV4 else socket.IPPROTO_ICMPV6
    try:
        return _ready(Endpoint(_socket(family, socket.SOCK_DGRAM, protocol), family))
    except PermissionError:
        pass
    try:
        sock = _raw(family, protocol)
    except Unavailable:
        raise Unavailable(
            "ICMP echo needs a group within net.ipv4.ping_group_range, or CAP_NET_RAW"
        ) from None
    identifier = secrets.randbelow(1 << 16)
    try:
        attach_filter(sock, echo_reply_filter(identifier, has_ip_header=family is Family.IPV4))
    except OSError as error:
        sock.close()
        raise Unavailable(f"raw ICMP socket: {error}") from error
    return _ready(Endpoint(sock, family, identifier=identifier))


def free_ports(local_port_range: str) -> Sequence[int]:
    """Ports that the kernel gives to no connection of this host, above or below net.ipv4.ip_local_port_range.

    Empty where that range leaves no room. Raises ValueError for anything but two port numbers.
    """
    low, high = (int(word) for word in local_port_range.split())
    above = range(high + 1, min(high + 1 + _FREE_PORTS, 65536))
    below = range(max(low - _FREE_PORTS, 1024), low)
    return next((ports for ports in (above, below) if len(ports) >= _FEWEST_FREE_PORTS), ())


def _hold_ports() -> list[socket.socket]:
    """Ports that are ours because a socket is bound to each; none of them listens, so answers still get RST."""
    holds = []
    for _ in range(_HELD_PORTS):
        try:
            sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            sock.bind(("::", 0))
        except OSError:
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            sock.bind(("0.0.0.0", 0))  # noqa: S104 - it only keeps the port
        holds.append(sock)
    return holds


def _raw(family: Family, protocol: int) -> socket.socket:
    try:
        return _socket(family, socket.SOCK_RAW, protocol)
    except PermissionError:
        raise Unavailable("a raw socket needs CAP_NET_RAW") from None


def _socket(family: Family, kind: int, protocol: int) -> socket.socket:
    try:
        return socket.socket(_AF[family], kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
    except OSError as error:
        if error.errno in (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT):
            raise Unavailable(f"this kernel has no {family} for it: {error.strerror}") from error
        raise


def _ready(endpoint: Endpoint) -> Endpoint:
    """With room for a burst in its queues, stamps and error reports switched on."""
    sock = endpoint.sock
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
    try:
        timestamp.switch_on(sock)
        timestamp.report_errors(sock)
        timestamp.await_rx_stamps()
    except OSError as error:
        endpoint.close()
        raise Unavailable(f"this kernel does not stamp packets: {error.strerror}") from error
    return endpoint


def attach_filter(sock: socket.socket, program: Sequence[Instruction]) -> None:
    """Attach a classic BPF program: struct sock_fprog with a pointer to the instructions."""
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    sock.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(buffer))
    )
