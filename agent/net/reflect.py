"""The STAMP reflector's sockets: T2 is the kernel's RX stamp, T3 the clock right before the send.

It answers with as many bytes as it got, only to senders that `admits` lets in, and within a rate per source.
Replies leave from the address that the request was sent to. Path MTU requests come to the same port and are
answered with their first bytes alone, so that the answer fits through any path. Questions from which address they
came are answered with as many bytes, after the pause that they ask for.
"""

import asyncio
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable

from agent.kernel.parse_error import ParseError
from agent.net import pathmtu, timestamp
from agent.net.mapping import WaitingAnswers
from agent.net.network import read_clock_error_ns
from agent.net.rate import SourceRates
from agent.stamp import mapping
from agent.stamp.packet import error_bits_of, parse_request
from agent.stamp.reflector import Reflector, reply_to

_IP_PKTINFO, _IPV6_RECVPKTINFO, _IPV6_PKTINFO = 8, 49, 50  # include/uapi/linux/in.h, in6.h
_IN_PKTINFO = struct.Struct("=I4s4s")  # struct in_pktinfo: interface, local address, header's destination
_IN6_PKTINFO = struct.Struct("=16sI")
_LINK_LOCAL = b"\xfe\x80"
_DATA_BYTES, _QUEUE_BYTES = 2048, 4_000_000
_PACKETS_PER_TURN = 64
_CLOCK_ERROR_KEPT_NS = 1_000_000_000
_MTU_PACKETS_PER_SECOND = 600.0
"""A search in a black hole takes some 250 packets at once, one check a few; all of them a source's own bytes."""
_MAPPING_PACKETS_PER_SECOND = 600.0
"""A probe asks twenty times at once. Ample, since nodes behind one NAT are one source and a question dropped here would
look like a mapping that was forgotten."""
_Control = list[tuple[int, int, bytes]]


class StampReflector:
    """Reflects until closed. packets: counted by what became of them.

    key: of authenticated mode, in which unsigned requests get no answer; None for unauthenticated mode.
    """

    def __init__(
        self,
        host: str | None,
        port: int,
        packets_per_second: float,
        key: bytes | None,
        admits: Callable[[str], bool],
    ) -> None:
        """Without a host on all addresses of both families. Raises OSError when an address cannot be bound."""
        self.packets: Counter[str] = Counter(reflected=0, limited=0, stranger=0, malformed=0, unsent=0)
        self._rates = SourceRates(packets_per_second)
        self._mtu_rates = SourceRates(_MTU_PACKETS_PER_SECOND)
        self._mapping_rates = SourceRates(_MAPPING_PACKETS_PER_SECOND)
        self._waiting = WaitingAnswers()
        self._key = key
        self._admits = admits
        self._reflector = Reflector()
        self._clock_error = (0, error_bits_of(None))
        self._loop = asyncio.get_running_loop()
        self._sockets = _bound(host, port)
        for sock in self._sockets:
            self._loop.add_reader(sock.fileno(), self._reflect_waiting, sock)

    @property
    def port(self) -> int:
        """The port in use."""
        return int(self._sockets[0].getsockname()[1])

    def close(self) -> None:
        """Stop reflecting; answers that wait leave now, and say so."""
        self._waiting.close()
        for sock in self._sockets:
            self._loop.remove_reader(sock.fileno())
            sock.close()

    def _reflect_waiting(self, sock: socket.socket) -> None:
        for _ in range(_PACKETS_PER_TURN):
            try:
                data, control, _flags, sender = sock.recvmsg(_DATA_BYTES, timestamp.CONTROL_BYTES)
            except OSError:
                return
            became = self._reflect(sock, data, control, sender)
            if became is not None:
                self.packets[became] += 1

    def _reflect(
        self, sock: socket.socket, data: bytes, control: _Control, sender: tuple[str, int]
    ) -> str | None:
        """Answer one packet; returns what became of it, None while its answer is held back."""
        mono_ns = time.monotonic_ns()
        if not self._admits(sender[0]):
            return "stranger"
        mtu_answer = pathmtu.answer(data)
        if mtu_answer is not None:
            if not self._mtu_rates.allow(sender[0], mono_ns):
                return "limited"
            return _send(sock, mtu_answer, control, sender)
        if mapping.is_question(data):
            if not self._mapping_rates.allow(sender[0], mono_ns):
                return "limited"
            return self._tell_source(sock, data, control, sender)
        if not self._rates.allow(sender[0], mono_ns):
            return "limited"
        try:
            request = parse_request(data, self._key)
            received_ns, ttl = timestamp.parse_arrival(control)
        except ParseError:
            return "malformed"
        sequence = self._reflector.count((sender[0], sender[1]), request, mono_ns)
        if received_ns is None:  # the kernel begins to stamp some milliseconds after it was asked
            received_ns = time.time_ns()
        error = self._error_estimate(mono_ns)
        reply = reply_to(request, data, sequence, received_ns, ttl, error, self._key, time.time_ns)
        return _send(sock, reply, control, sender)

    def _tell_source(
        self, sock: socket.socket, data: bytes, control: _Control, sender: tuple[str, int]
    ) -> str | None:
        """Where too many wait, the answer leaves at once and says so: no answer would mean a forgotten mapping."""
        try:
            question = mapping.parse_question(data)
        except ParseError:
            return "malformed"
        seen = mapping.endpoint_of(sender[0], sender[1])
        answer = mapping.Answer(question.nonce, question.delay_seconds, seen)

        def send(reply: mapping.Answer) -> None:
            self.packets[_send(sock, mapping.pack_answer(reply), control, sender)] += 1

        undelayed = mapping.at_once(answer)
        if question.delay_seconds == 0 or not self._waiting.hold(
            sender[0], question.delay_seconds, lambda: send(answer), lambda: send(undelayed)
        ):
            send(undelayed)
        return None

    def _error_estimate(self, mono_ns: int) -> int:
        if mono_ns - self._clock_error[0] > _CLOCK_ERROR_KEPT_NS:
            self._clock_error = (mono_ns, error_bits_of(read_clock_error_ns()))
        return self._clock_error[1]


def _send(sock: socket.socket, reply: bytes, control: _Control, sender: tuple[str, int]) -> str:
    try:
        sock.sendmsg([reply], _leave_by(control), 0, sender)
    except OSError:
        return "unsent"
    return "reflected"


def _leave_by(control: _Control) -> _Control:
    """The control message that makes a reply leave from the address its request was sent to."""
    for level, kind, data in control:
        if level == socket.IPPROTO_IP and kind == _IP_PKTINFO and len(data) >= _IN_PKTINFO.size:
            local = _IN_PKTINFO.unpack_from(data)[1]
            return [(level, kind, _IN_PKTINFO.pack(0, local, bytes(4)))]
        if level == socket.IPPROTO_IPV6 and kind == _IPV6_PKTINFO and len(data) >= _IN6_PKTINFO.size:
            local, interface = _IN6_PKTINFO.unpack_from(data)
            return [
                (level, kind, _IN6_PKTINFO.pack(local, interface if local.startswith(_LINK_LOCAL) else 0))
            ]
    return []


def _bound(host: str | None, port: int) -> list[socket.socket]:
    """One socket per family: a host may have no IPv6, then IPv4 alone."""
    if host is not None:
        return [_open(socket.AF_INET6 if ":" in host else socket.AF_INET, host, port)]
    first = _open(socket.AF_INET, "0.0.0.0", port)  # noqa: S104 - a reflector is there to be reached
    try:
        return [first, _open(socket.AF_INET6, "::", first.getsockname()[1])]
    except OSError:
        return [first]


def _open(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, timestamp.IP_RECVTTL, 1)
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _QUEUE_BYTES)
        timestamp.switch_on_rx(sock)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock
