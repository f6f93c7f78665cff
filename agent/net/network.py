"""The network as one small object: what probes may do with it. Tests hand in a scripted one."""

from collections.abc import Callable, Sequence
from typing import Protocol

from agent.net.pathmtu import Method, MtuPath
from agent.net.poller import Poller
from agent.net.tcp import Connect, Handshake, handshakes
from agent.wire.series import Family


class Network(Protocol):
    """All that a probe may ask of the world."""

    async def handshakes(
        self, connects: Sequence[Connect], timeout_seconds: float, done: Callable[[int, Handshake], None]
    ) -> None: ...

    def mtu_path(self, address: str, port: int, family: Family, method: Method) -> MtuPath: ...


class SystemNetwork:
    """The kernel's network. Make it inside the running loop; close it there."""

    def __init__(self) -> None:
        self._poller = Poller()

    async def handshakes(
        self, connects: Sequence[Connect], timeout_seconds: float, done: Callable[[int, Handshake], None]
    ) -> None:
        """See agent.net.tcp.handshakes."""
        await handshakes(self._poller, connects, timeout_seconds, done)

    def mtu_path(self, address: str, port: int, family: Family, method: Method) -> MtuPath:
        """See agent.net.pathmtu.MtuPath."""
        return MtuPath(self._poller, address, port, family, method)

    def close(self) -> None:
        """Stop watching sockets; bursts in flight must have ended."""
        self._poller.close()
