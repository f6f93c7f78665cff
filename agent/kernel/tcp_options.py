"""The options of one TCP header (RFC 9293 section 3.1; RFC 7323; RFC 2018; RFC 8684)."""

from struct import Struct
from typing import NamedTuple

_END, _NOP, _MSS, _SCALE, _SACK_PERMITTED, _SACK, _TIMESTAMPS = 0, 1, 2, 3, 4, 5, 8
_MPTCP = 30

_STAMPS = Struct(">II").unpack_from
_COMMON = b"\1\1\x08\x0a"  # NOP, NOP, timestamps: nearly every segment of a connection


class Options(NamedTuple):
    """None, empty or False where the option is absent, or cut off by the capture's snap length."""

    mss: int | None = None
    window_scale: int | None = None
    sack_permitted: bool = False
    stamp: int | None = None
    echo: int | None = None
    sack: tuple[tuple[int, int], ...] = ()
    mptcp: bool = False


NO_OPTIONS = Options()


def parse_options(data: bytes) -> Options:
    """Never raises: an option that overruns ends the list, as it does in the kernel's tcp_parse_options."""
    if len(data) == 12 and data.startswith(_COMMON):
        return Options(None, None, False, *_STAMPS(data, 4))
    found: dict[str, int | bool | tuple[tuple[int, int], ...]] = {}
    at = 0
    while at < len(data) and data[at] != _END:
        if data[at] == _NOP:
            at += 1
            continue
        size = data[at + 1] if at + 1 < len(data) else 0
        if size < 2 or at + size > len(data):
            break
        kind, value = data[at], data[at + 2 : at + size]
        if kind == _MSS and size == 4:
            found["mss"] = int.from_bytes(value)
        elif kind == _SCALE and size == 3:
            found["window_scale"] = min(value[0], 14)  # RFC 7323 section 2.3: more means 14
        elif kind == _SACK_PERMITTED and size == 2:
            found["sack_permitted"] = True
        elif kind == _TIMESTAMPS and size == 10:
            found["stamp"], found["echo"] = _STAMPS(value)
        elif kind == _SACK and size % 8 == 2:
            found["sack"] = tuple(_STAMPS(value, block) for block in range(0, size - 2, 8))
        elif kind == _MPTCP:
            found["mptcp"] = True
        at += size
    return Options(**found) if found else NO_OPTIONS  # type: ignore[arg-type]  # keys and types as assigned above
