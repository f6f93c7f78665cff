"""The kernel's view of its wall clock, by adjtimex(2) with nothing to adjust. Needs no privilege."""

import ctypes
import os

from agent.hostcounters import ClockState

STA_UNSYNC, STA_NANO = 0x0040, 0x2000  # include/uapi/linux/timex.h
TIME_ERROR = 5
FREQUENCY_SCALE = 1 << 16  # parts per million with a 16-bit fraction


class _Timex(ctypes.Structure):
    """struct timex; longs follow the machine's word size."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time", ctypes.c_long * 2),
        ("tick", ctypes.c_long),
        ("pps", ctypes.c_long * 3),  # ppsfreq, jitter, and shift with its padding
        ("pps_counts", ctypes.c_long * 5),  # stabil, jitcnt, calcnt, errcnt, stbcnt
        ("tai", ctypes.c_int),
        ("reserved", ctypes.c_int * 11),
    )


_LIBC = ctypes.CDLL(None, use_errno=True)


def clock_state() -> ClockState:
    """Offset and error bounds. Raises OSError (a seccomp filter may bar even reading)."""
    timex = _Timex()
    state = _LIBC.adjtimex(ctypes.byref(timex))
    if state < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return ClockState(
        synchronised=state != TIME_ERROR and not timex.status & STA_UNSYNC,
        offset_seconds=timex.offset / (1e9 if timex.status & STA_NANO else 1e6),
        estimated_error_seconds=timex.esterror / 1e6,
        maximum_error_seconds=timex.maxerror / 1e6,
        frequency_ppm=timex.freq / FREQUENCY_SCALE,
    )
