"""sd_notify(3): tell systemd how we are. Nothing happens without NOTIFY_SOCKET."""

import os
import socket


def notify(state: str) -> None:
    """Send one state, for example `READY=1` or `WATCHDOG=1`. Never waits; a manager that does not listen is no error."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(
        socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    ) as sock:
        try:
            sock.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
        except OSError:
            return


def watchdog_seconds() -> float | None:
    """How often systemd expects WATCHDOG=1 from this process, None when it does not."""
    usec, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID")
    if not usec.isdecimal() or (pid is not None and pid != str(os.getpid())):
        return None
    return int(usec) / 1e6
