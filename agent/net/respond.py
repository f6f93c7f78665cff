"""What peers probe: a TCP port that accepts and closes. It never sends a byte of its own.

The handshake is the kernel's; this side only ends it, by FIN for a source within its rate and by RST above it
(which leaves no state here). The prober resets first, so neither end keeps a TIME_WAIT.
"""

import asyncio
import logging
import socket
import struct
import time

from agent.net.rate import SourceRates

_LOG = logging.getLogger("agent.respond")
_LINGER_RESET = struct.pack("=ii", 1, 0)
_ACCEPTS_PER_TURN = 64


class Responder:
    """Listens until closed. closed and limited count connections by what became of them."""

    def __init__(self, host: str | None, port: int, connections_per_second: float) -> None:
        """Raises OSError when the address cannot be bound."""
        self._rates = SourceRates(connections_per_second)
        self._loop = asyncio.get_running_loop()
        self._socket = _listening(host, port)
        self._loop.add_reader(self._socket.fileno(), self._accept)
        self.closed = 0
        self.limited = 0

    @property
    def port(self) -> int:
        """The port in use."""
        return int(self._socket.getsockname()[1])

    def close(self) -> None:
        """Stop listening."""
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_PER_TURN):
            try:
                connection, address = self._socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                _LOG.warning("cannot accept", extra={"error": str(error)})
                return
            with connection:
                if self._rates.allow(address[0], time.monotonic_ns()):
                    self.closed += 1
                else:
                    self.limited += 1
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)


def _listening(host: str | None, port: int) -> socket.socket:
    """A listening socket; without a host on all addresses of both families, or of IPv4 where IPv6 is off."""
    if host is None:
        try:
            return _bound(socket.AF_INET6, "::", port)
        except OSError:
            return _bound(socket.AF_INET, "0.0.0.0", port)  # noqa: S104 - a responder is there to be reached
    return _bound(socket.AF_INET6 if ":" in host else socket.AF_INET, host, port)


def _bound(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((host, port))
        sock.listen(1024)
    except OSError:
        sock.close()
        raise
    return sock
