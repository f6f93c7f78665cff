"""Lets a program's listening socket hear one peer only, without privileges and without a firewall.

iperf3 and qperf accept anybody. The agent started the program, so it may take a copy of the program's listening socket
(pidfd_getfd(2), Linux 5.6) and attach a packet filter to it: a SYN from elsewhere is dropped before the program or
even the kernel answers, and connections that are accepted keep the filter (sk_clone_lock, net/core/sock.c).
"""

import asyncio
import ctypes
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from agent.net.endpoint import attach_filter
from agent.net.filter import source_filter

_SYS_PIDFD_GETFD = 438  # the same number on every architecture (asm-generic/unistd.h)
_LOOK_SECONDS = 0.01

_libc = ctypes.CDLL(None, use_errno=True)


async def admit_only(peer: str, pid: int, port: int) -> None:
    """Wait until the program listens on this TCP port, then let it hear the peer (a literal address) alone.

    Call it under a timeout. Raises OSError when this host forbids it, ProcessLookupError when the program has ended.
    """
    pidfd = os.pidfd_open(pid)
    try:
        while True:
            for listener in _listeners(pid, pidfd):
                with listener:
                    if listener.getsockname()[1] == port:
                        attach_filter(listener, source_filter(peer))
                        return
            await asyncio.sleep(_LOOK_SECONDS)
    finally:
        os.close(pidfd)


def _listeners(pid: int, pidfd: int) -> Iterator[socket.socket]:
    """Copies of the program's listening sockets; the caller closes them."""
    try:
        entries = list(Path(f"/proc/{pid}/fd").iterdir())
    except FileNotFoundError as error:
        raise ProcessLookupError(f"process {pid} has ended") from error
    if not entries:
        raise ProcessLookupError(f"process {pid} has ended")
    for entry in entries:
        with suppress(FileNotFoundError):
            if not str(entry.readlink()).startswith("socket:"):
                continue
            copy = socket.socket(fileno=_copied(pidfd, int(entry.name)))
            if copy.family in (socket.AF_INET, socket.AF_INET6) and copy.getsockopt(
                socket.SOL_SOCKET, socket.SO_ACCEPTCONN
            ):
                yield copy
            else:
                copy.close()


def _copied(pidfd: int, fd: int) -> int:
    copy = int(_libc.syscall(_SYS_PIDFD_GETFD, pidfd, fd, 0))
    if copy < 0:
        code = ctypes.get_errno()
        if code in (9, 3):  # EBADF, ESRCH: closed, or ended, since it was listed
            raise FileNotFoundError(code, os.strerror(code))
        raise OSError(code, f"pidfd_getfd: {os.strerror(code)}")
    return copy
