"""The few figures of a socket that aggregates need, by one precompiled Struct per message.

Where tcp_info and the congestion algorithm's name stand in a message depends on the kernel, on privileges and on
the name's length. The place is learned from the first message of each length, by walking its attributes; every
later message of that length must show the same two attribute headers there, or it is walked too.
"""

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from agent.kernel import inet_diag
from agent.kernel.inet_diag import ATTRIBUTES_AT, HEADER, attributes
from agent.kernel.parse_error import ParseError
from agent.kernel.tcp_info import INFINITE_SSTHRESH, OFFSETS, SHORTEST

Figures = tuple[Any, ...]
"""(family, local port, remote port, remote address, cookie, -, rtt_us, ssthresh, cwnd, early, min_rtt_us,
delivery_rate_bytes, late, -, congestion), as they lie in the message.

family: int. Ports: 2 bytes, addresses: 16 bytes, in network order. early + late: what Account.read takes; both b""
where the kernel has no totals. min_rtt_us and delivery_rate_bytes are b"" where the kernel has none.
congestion: bytes with a NUL at the end. The two gaps are attribute headers.
"""

NO_MIN_RTT = 0xFFFFFFFF
NO_SSTHRESH = INFINITE_SSTHRESH


class Totals(NamedTuple):
    """What one socket has sent since it began, in bytes or in segments, and how long it was held back.

    The three times are None before Linux 4.10. They do not overlap: busy is the time with data to send, and the
    others are the part of it that waited for the peer's window or for the own send buffer (RFC 4898, SndLim).
    """

    sent: int
    retransmitted: int
    busy_us: int | None
    rwnd_limited_us: int | None
    sndbuf_limited_us: int | None


class Account(NamedTuple):
    """Where tcp_info holds the totals, as up to two pieces (start, end), and how to read them put together."""

    early: tuple[int, int]
    late: tuple[int, int]
    unit: str
    read: Callable[[bytes], Totals]


def _read_bytes(pieces: bytes) -> Totals:
    busy, rwnd, sndbuf, sent, retransmitted = _BYTES.unpack(pieces)
    return Totals(sent, retransmitted, busy, rwnd, sndbuf)


def _read_timed_segments(pieces: bytes) -> Totals:
    retransmitted, sent, busy, rwnd, sndbuf = _TIMED_SEGMENTS.unpack(pieces)
    return Totals(sent, retransmitted, busy, rwnd, sndbuf)


def _read_segments(pieces: bytes) -> Totals:
    retransmitted, sent = _SEGMENTS.unpack(pieces)
    return Totals(sent, retransmitted, None, None, None)


_BYTES = struct.Struct("=QQQ 8x QQ")  # busy … sndbuf_limited, delivered (two u32), bytes_sent, bytes_retrans
_SEGMENTS = struct.Struct("=I 32x I")  # total_retrans, pacing rates and byte counts, segs_out
_TIMED_SEGMENTS = struct.Struct("=I 32x I QQQ")
_COUNTS = (OFFSETS["total_retrans"], OFFSETS["segs_in"])
_ACCOUNTS = (
    Account((0, 0), (OFFSETS["busy_us"], OFFSETS["dsack_dups"]), "bytes", _read_bytes),  # 4.19
    Account(_COUNTS, (OFFSETS["busy_us"], OFFSETS["delivered"]), "segments", _read_timed_segments),  # 4.10
    Account(_COUNTS, (0, 0), "segments", _read_segments),  # 4.2
)


class _Layout(NamedTuple):
    unpack_from: Callable[[bytes | memoryview, int], Figures]
    info_header: bytes
    congestion_header: bytes
    account: Account | None


class FigureReader:
    """Reads the figures of message after message, learning their layouts as they come.

    account: how the kernel that answers counts; None before Linux 4.2, or before the first message.
    """

    def __init__(self) -> None:
        self._layouts: dict[int, _Layout] = {}
        self.account: Account | None = None

    def read(self, buffer: bytes | memoryview, offset: int, length: int) -> Figures | None:
        """The figures of the socket message at offset; None if it carries no tcp_info. Raises ParseError."""
        layout = self._layouts.get(length)
        if layout is not None:
            figures = layout.unpack_from(buffer, offset)
            if figures[5] == layout.info_header and figures[13] == layout.congestion_header:
                return figures
        layout = _learn(buffer, offset, length)
        if layout is None:
            return None
        self._layouts[length] = layout
        self.account = layout.account
        return layout.unpack_from(buffer, offset)


def _learn(buffer: bytes | memoryview, offset: int, length: int) -> _Layout | None:
    if length < ATTRIBUTES_AT:
        raise ParseError("inet_diag", f"byte {offset}", f"{length} bytes hold no inet_diag_msg")
    places = {
        kind: (start - offset, size)
        for kind, start, size in attributes(buffer, offset + ATTRIBUTES_AT, offset + length)
    }
    info, info_size = places.get(inet_diag.INFO, (0, 0))
    congestion, congestion_size = places.get(inet_diag.CONG, (length, 0))
    if info_size < SHORTEST or congestion < info:
        return None
    fields = _message_fields(info, info_size, congestion, congestion_size)
    layout = _packed(fields, length)
    values = layout.unpack_from(buffer, offset)
    return _Layout(layout.unpack_from, values[5], values[13], _account(info_size))


def _account(info_size: int) -> Account | None:
    return next(
        (account for account in _ACCOUNTS if max(account.early[1], account.late[1]) <= info_size), None
    )


def _message_fields(
    info: int, info_size: int, congestion: int, congestion_size: int
) -> list[tuple[int, str]]:
    """(offset within the message, struct code) of Figures; what the kernel lacks has the empty code "0s"."""
    account = _account(info_size)
    early, late = (account.early, account.late) if account else ((0, 0), (0, 0))
    has_min_rtt = info_size >= OFFSETS["data_segs_in"]
    has_delivery_rate = info_size >= OFFSETS["busy_us"]
    header = congestion - 4 if congestion_size else congestion
    return [
        (HEADER.size, "B"),
        (HEADER.size + 4, "2s"),
        (HEADER.size + 6, "2s"),
        (HEADER.size + 24, "16s"),
        (HEADER.size + 44, "Q"),
        (info - 4, "4s"),
        (info + OFFSETS["rtt_us"], "I"),
        (info + OFFSETS["snd_ssthresh"], "I"),
        (info + OFFSETS["snd_cwnd"], "I"),
        (info + early[0], f"{early[1] - early[0]}s"),
        (info + OFFSETS["min_rtt_us"], "I" if has_min_rtt else "0s"),
        (info + OFFSETS["delivery_rate"], "Q" if has_delivery_rate else "0s"),
        (info + late[0], f"{late[1] - late[0]}s"),
        (header, "4s" if congestion_size else "0s"),
        (congestion, f"{congestion_size}s"),
    ]


def _packed(fields: list[tuple[int, str]], length: int) -> struct.Struct:
    """One Struct with these codes at these offsets; an empty code may stand anywhere."""
    codes, place = "=", 0
    for offset, code in fields:
        if code != "0s":
            codes += f"{offset - place}x"
            place = offset + struct.calcsize(f"={code}")
        codes += code
    return struct.Struct(f"{codes}{length - place}x")
