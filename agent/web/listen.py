"""Listening TCP sockets: of either program's HTTP server, and of the agent's responder."""

import os
import socket

_BACKLOG = 1024


def listening_socket(host: str | None, port: int) -> socket.socket:
    """A non-blocking one; without a host on all addresses of both families, or of IPv4 where IPv6 is off.

    Raises OSError when the address cannot be bound. Made here and not by the event loop, whose name look-up
    for a literal address waits behind whatever names it is looking up at the moment.
    """
    if host is None:
        try:
            return _bound(socket.AF_INET6, "::", port)
        except OSError:
            return _bound(socket.AF_INET, "0.0.0.0", port)  # noqa: S104 - it is there to be reached
    return _bound(socket.AF_INET6 if ":" in host else socket.AF_INET, host, port)


def inherited_sockets() -> list[socket.socket]:
    """Those that systemd hands over (sd_listen_fds(3)): descriptors from 3 on, LISTEN_FDS of them, for LISTEN_PID alone.

    Raises OSError when there are none.
    """
    count, pid = os.environ.get("LISTEN_FDS", ""), os.environ.get("LISTEN_PID")
    if not count.isdecimal() or int(count) < 1 or pid != str(os.getpid()):
        raise OSError(
            "systemd handed over no socket: start it by its .socket unit, or without --web.systemd-socket"
        )
    found = [socket.socket(fileno=number) for number in range(3, 3 + int(count))]
    for each in found:
        each.setblocking(False)
        each.set_inheritable(False)
    return found


def _bound(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((host, port))
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock
