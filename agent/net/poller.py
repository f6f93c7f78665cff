"""One private epoll for all probe sockets, handed to the event loop as a single descriptor.

Probe sockets must not be given to the loop themselves: libuv stops a handle at its first POLLERR, so uvloop
goes deaf on a socket with an error queue. The epoll's own descriptor never reports an error, and one
registration serves hundreds of sockets (half the cost per connect of the loop's own sock_connect).
"""

import asyncio
import select
from collections.abc import Callable

READ = select.EPOLLIN | select.EPOLLERR
CONNECT_ONCE = select.EPOLLOUT | select.EPOLLERR | select.EPOLLHUP | select.EPOLLONESHOT
_EVENTS_PER_TURN = 256


class Poller:
    """Calls handler(events) for each registered descriptor that is ready. Belongs to the loop it was made in."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._epoll.fileno(), self._dispatch)

    def register(self, fd: int, events: int, handler: Callable[[int], None]) -> None:
        """Watch a descriptor. Raises OSError as epoll_ctl does."""
        self._epoll.register(fd, events)
        self._handlers[fd] = handler

    def unregister(self, fd: int) -> None:
        """Forget a descriptor; call before closing it, or its number may come back under the old handler."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def close(self) -> None:
        """Stop watching everything."""
        self._loop.remove_reader(self._epoll.fileno())
        self._handlers.clear()
        self._epoll.close()

    def _dispatch(self) -> None:
        for fd, events in self._epoll.poll(0, _EVENTS_PER_TURN):
            handler = self._handlers.get(fd)
            if handler is not None:
                handler(events)
