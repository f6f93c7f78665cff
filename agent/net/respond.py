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
from agent.web.listen import listening_socket

_LOG = logging.getLogger("agent.respond")
_LINGER_RESET = struct.pack("=ii", 1, 0)
_ACCEPTS_PER_TURN = 64
_PAUSE_SECONDS = 0.5


class Responder:
    """Listens until closed. closed and limited count connections by what became of them."""

    def __init__(self, host: str | None, port: int, connections_per_second: float) -> None:
        """Raises OSError when the address cannot be bound."""
        self._rates = SourceRates(connections_per_second)
        self._loop = asyncio.get_running_loop()
        self._socket = listening_socket(host, port)
        self._resume: asyncio.TimerHandle | None = None
        self._loop.add_reader(self._socket.fileno(), self._accept)
        self.closed = 0
        self.limited = 0

    @property
    def port(self) -> int:
        """The port in use."""
        return int(self._socket.getsockname()[1])

    def close(self) -> None:
        """Stop listening."""
        if self._resume is not None:
            self._resume.cancel()
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_PER_TURN):
            try:
                connection, address = self._socket.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                self._pause(error)
                return
            with connection:
                if self._rates.allow(address[0], time.monotonic_ns()):
                    self.closed += 1
                else:
                    self.limited += 1
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)

    def _pause(self, error: OSError) -> None:
        """Out of descriptors or memory: the port stays readable, so without a pause the loop would spin."""
        _LOG.warning("cannot accept", extra={"error": str(error)})
        fd = self._socket.fileno()
        self._loop.remove_reader(fd)
        self._resume = self._loop.call_later(_PAUSE_SECONDS, self._loop.add_reader, fd, self._accept)
