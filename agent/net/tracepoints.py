"""Counts of kernel tracepoints on every CPU, by perf_event_open(2). Opt-in: needs CAP_PERFMON and a readable tracefs.

Counting a system call's tracepoint slows every system call of the host by some 40 ns, so nothing is opened unless asked.
"""

import ctypes
import logging
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from agent.flight import Unavailable

_LOG = logging.getLogger("agent.tracepoints")

TRACEFS = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
TRACEPOINTS = {
    "sendfile_calls": "syscalls/sys_enter_sendfile64",
    "tcp_retransmit_events": "tcp/tcp_retransmit_skb",
}
"""What can be counted: name of the count → category/name in tracefs."""

_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}
_TYPE_TRACEPOINT = 2
_ATTRIBUTE_BYTES = 64  # PERF_ATTR_SIZE_VER0
_FD_CLOEXEC = 8
_ATTRIBUTE = struct.Struct("=IIQQQQ")  # type, size, config, sample_period, sample_type, read_format

_libc = ctypes.CDLL(None, use_errno=True)


class TracepointCounter:
    """One tracepoint on all CPUs since it was opened. Raises Unavailable with the reason where this host forbids it."""

    def __init__(self, tracepoint: str) -> None:
        number = _identifier(tracepoint)
        self._fds: list[int] = []
        try:
            for cpu in _online(Path("/sys/devices/system/cpu/online").read_text()):
                self._fds.append(_open(number, cpu))
        except OSError as error:
            self.close()
            raise Unavailable(f"tracepoint {tracepoint}: {error.strerror}; it needs CAP_PERFMON") from error

    def read(self) -> int:
        """Events so far, over all CPUs."""
        return sum(struct.unpack("=Q", os.read(fd, 8))[0] for fd in self._fds)

    def close(self) -> None:
        """Stop counting."""
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()


class HostEvents:
    """All of TRACEPOINTS that this host lets us count. unavailable: by name, why not; said once in the log."""

    def __init__(self) -> None:
        self._counters: dict[str, TracepointCounter] = {}
        self.unavailable: dict[str, str] = {}
        for name, tracepoint in TRACEPOINTS.items():
            try:
                self._counters[name] = TracepointCounter(tracepoint)
            except Unavailable as lack:
                self.unavailable[name] = str(lack)
                _LOG.warning(
                    "tracepoint is unavailable on this host", extra={"event": name, "reason": str(lack)}
                )

    def read(self) -> dict[str, int]:
        """Events since the start, by name."""
        return {name: counter.read() for name, counter in self._counters.items()}

    def close(self) -> None:
        """Stop counting."""
        for counter in self._counters.values():
            counter.close()


def _identifier(tracepoint: str) -> int:
    for root in TRACEFS:
        try:
            return int((root / "events" / tracepoint / "id").read_text())
        except FileNotFoundError:
            continue
        except OSError as error:
            raise Unavailable(
                f"tracepoint {tracepoint}: {error.strerror} in {root}; tracefs must be readable"
            ) from error
    raise Unavailable(
        f"tracepoint {tracepoint}: no such event; tracefs is not mounted, or this kernel has none"
    )


def _online(text: str) -> Iterable[int]:
    """The CPUs of a list such as 0-3,5 (Documentation/admin-guide/cputopology.rst)."""
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _open(number: int, cpu: int) -> int:
    syscall = _PERF_EVENT_OPEN.get(os.uname().machine)
    if syscall is None:
        raise OSError(38, f"perf_event_open's number on {os.uname().machine} is not known")
    attribute = _ATTRIBUTE.pack(_TYPE_TRACEPOINT, _ATTRIBUTE_BYTES, number, 0, 0, 0).ljust(
        _ATTRIBUTE_BYTES, b"\0"
    )
    buffer = ctypes.create_string_buffer(attribute, _ATTRIBUTE_BYTES)
    fd = int(_libc.syscall(syscall, buffer, -1, cpu, -1, _FD_CLOEXEC))
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return fd
