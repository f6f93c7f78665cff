"""What systemd wants to hear (sd_notify(3)): READY, RELOADING, STOPPING, and the watchdog's pulse. Nothing elsewhere."""

import os
import socket


def notify(message: str) -> None:
    """Send one message where NOTIFY_SOCKET says; do nothing where it is not set."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.connect("\0" + address[1:] if address.startswith("@") else address)
        channel.sendall(message.encode())


def watchdog_seconds() -> float | None:
    """How often to pulse: half of what the unit allows; None without a watchdog (sd_watchdog_enabled(3))."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    for_us = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(microseconds) / 2e6 if microseconds.isdecimal() and for_us else None
