"""System calls that Python 3.11 does not have: setns, timerfd, prctl, and opening a TUN device."""

import ctypes
import fcntl
import os
import struct
import time

_LIBC = ctypes.CDLL(None, use_errno=True)

_CLONE_NEWNET = 0x40000000
_PR_SET_TIMERSLACK = 29
_TUNSETIFF = 0x400454CA
_IFF_TUN = 0x0001
_IFF_NO_PI = 0x1000
_TFD_TIMER_ABSTIME = 1
_ITIMERSPEC = struct.Struct("=qqqq")  # interval and value, each seconds and nanoseconds


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def enter_network(netns_fd: int) -> None:
    """Move the calling thread into a network namespace."""
    _checked(_LIBC.setns(netns_fd, _CLONE_NEWNET))


def set_timer_slack_ns(slack_ns: int) -> None:
    """Let the kernel fire this thread's timers at most so late for its own convenience."""
    _checked(_LIBC.prctl(_PR_SET_TIMERSLACK, slack_ns, 0, 0, 0))


def open_tun(name: str) -> int:
    """Create a TUN device in the current network namespace; its non-blocking descriptor, one packet per read."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    except OSError:
        os.close(fd)
        raise
    return fd


class Timer:
    """A timerfd on CLOCK_MONOTONIC: epoll's own timeout counts in milliseconds only."""

    def __init__(self) -> None:
        self.fd = _checked(_LIBC.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC))
        self._settime = _LIBC.timerfd_settime
        self._spec = ctypes.create_string_buffer(_ITIMERSPEC.size)

    def arm(self, at_ns: int) -> None:
        """Become readable at that monotonic time, at once where it has passed."""
        _ITIMERSPEC.pack_into(self._spec, 0, 0, 0, *divmod(at_ns, 1_000_000_000))
        _checked(self._settime(self.fd, _TFD_TIMER_ABSTIME, self._spec, None))

    def acknowledge(self) -> None:
        """Take the expiry so that the descriptor is quiet again."""
        os.read(self.fd, 8)
