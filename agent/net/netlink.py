"""Dumps of the kernel's tables by netlink, read without holding up the event loop."""

import asyncio
import errno
import os
import socket
import time
from collections.abc import Callable

NETLINK_SOCK_DIAG = 4
BUFFER_BYTES = 256 << 10
STEP_SECONDS = 0.001
"""How long a dump may read and count before others get their turn."""


class NetlinkUnavailableError(Exception):
    """This host does not let us ask: no such protocol in this kernel or sandbox, or not permitted."""


async def dump(
    request: bytes,
    feed: Callable[[memoryview], bool],
    *,
    protocol: int = NETLINK_SOCK_DIAG,
    deadline_seconds: float = 10.0,
) -> bool:
    """Send a dump request and hand each read of the answer to feed, until that returns True.

    The memory is only valid during the call of feed. False means that the kernel dropped a part of the answer
    (ENOBUFS). Raises NetlinkUnavailableError, TimeoutError, and whatever feed raises.
    """
    try:
        netlink = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, protocol
        )
    except OSError as error:
        raise NetlinkUnavailableError(f"no netlink socket: {error.strerror}") from error
    with netlink:
        try:
            netlink.send(request)
        except OSError as error:
            raise NetlinkUnavailableError(f"netlink request refused: {error.strerror}") from error
        async with asyncio.timeout(deadline_seconds):
            return await _read_all(netlink, feed)


async def _read_all(netlink: socket.socket, feed: Callable[[memoryview], bool]) -> bool:
    buffer = bytearray(BUFFER_BYTES)
    view = memoryview(buffer)
    whole = True
    turn_ends = time.monotonic() + STEP_SECONDS
    while True:
        try:
            length = netlink.recv_into(buffer, 0, socket.MSG_TRUNC)
        except BlockingIOError:
            await _readable(netlink)
            continue
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            whole = False
            continue
        if length > BUFFER_BYTES:  # one message longer than the buffer: its tail is gone
            raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
        if feed(view[:length]):
            return whole
        if time.monotonic() >= turn_ends:
            await asyncio.sleep(0)
            turn_ends = time.monotonic() + STEP_SECONDS


async def _readable(netlink: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(netlink.fileno(), ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(netlink.fileno())
