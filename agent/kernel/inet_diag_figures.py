"""The few figures of a socket that aggregates need, by one precompiled Struct for a run of messages.

Where tcp_info and the congestion algorithm's name stand in a message depends on the kernel, on privileges and on
the name's length. The place is learned from the first message of each length, by walking its attributes; every
later message of that length must show the same headers there, or it is walked too.
"""

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from agent.kernel import inet_diag
from agent.kernel.inet_diag import ATTRIBUTES_AT, HEADER, attributes
from agent.kernel.parse_error import ParseError
from agent.kernel.tcp_info import INFINITE_SSTHRESH, OFFSETS, SHORTEST

Figures = tuple[Any, ...]
"""(header, family, ports, remote address, cookie, info header, rtt_us, ssthresh, cwnd, early, min_rtt_us,
delivery_rate_bytes, late, congestion header, congestion), as they lie in the message.

ports: 4 bytes, local then remote; the address: 16 bytes; both in network order. early + late: what Account.read
takes; both b"" where the kernel has no totals. min_rtt_us and delivery_rate_bytes are b"" where it has none.
congestion: bytes with a NUL at the end.
"""

NO_MIN_RTT = 0xFFFFFFFF
NO_SSTHRESH = INFINITE_SSTHRESH


Totals = tuple[int, ...]
"""(busy_us, rwnd_limited_us, sndbuf_limited_us, sent, retransmitted) since the socket began.

busy is the time with data to send; the two after it are the parts of it that waited for the peer's window and for
the own send buffer (RFC 4898, SndLim). The times are 0 where the Account has none.
"""


class Account(NamedTuple):
    """Where tcp_info holds the totals, as up to two pieces (start, end), and how to read them put together.

    unit: "bytes" or "segments". has_times: whether the three times are among them.
    """

    early: tuple[int, int]
    late: tuple[int, int]
    unit: str
    read: Callable[[bytes], Totals]
    has_times: bool


_BYTES = struct.Struct("=QQQ 8x QQ")  # busy … sndbuf_limited, delivered (two u32), bytes_sent, bytes_retrans
_SEGMENTS = struct.Struct("=I 32x I")  # total_retrans, pacing rates and byte counts, segs_out
_TIMED_SEGMENTS = struct.Struct("=I 32x I QQQ")


def _read_timed_segments(pieces: bytes) -> Totals:
    retransmitted, sent, *times = _TIMED_SEGMENTS.unpack(pieces)
    return *times, sent, retransmitted


def _read_segments(pieces: bytes) -> Totals:
    retransmitted, sent = _SEGMENTS.unpack(pieces)
    return 0, 0, 0, sent, retransmitted


_COUNTS = (OFFSETS["total_retrans"], OFFSETS["segs_in"])
_ACCOUNTS = (
    Account(
        (0, 0), (OFFSETS["busy_us"], OFFSETS["dsack_dups"]), "bytes", _BYTES.unpack, has_times=True
    ),  # 4.19
    Account(
        _COUNTS, (OFFSETS["busy_us"], OFFSETS["delivered"]), "segments", _read_timed_segments, has_times=True
    ),  # 4.10
    Account(_COUNTS, (0, 0), "segments", _read_segments, has_times=False),  # 4.2
)


class Layout(NamedTuple):
    """How to read messages of one kind: struct gives Figures, of which the three headers must be as here.

    header: length, type and flags of the netlink message. The other two: length and type of the attributes.
    """

    struct: struct.Struct
    header: bytes
    info_header: bytes
    congestion_header: bytes
    account: Account | None


class LayoutBook:
    """The layouts met so far, by message length."""

    def __init__(self) -> None:
        self._layouts: dict[int, Layout] = {}

    def layout_of(self, buffer: bytes | memoryview, offset: int, length: int) -> Layout | None:
        """The layout of the socket message at offset; None if it carries no tcp_info. Raises ParseError."""
        if offset + ((length + 3) & ~3) > len(buffer):
            raise ParseError("inet_diag", f"byte {offset}", f"message of {length} bytes without its padding")
        layout = self._layouts.get(length)
        if layout is not None:
            figures = layout.struct.unpack_from(buffer, offset)
            if (figures[0], figures[5], figures[13]) == layout[1:4]:
                return layout
        layout = _learn(buffer, offset, length)
        if layout is not None:
            self._layouts[length] = layout
        return layout


def _learn(buffer: bytes | memoryview, offset: int, length: int) -> Layout | None:
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
    packed = _packed(_message_fields(info, info_size, congestion, congestion_size), length)
    figures = packed.unpack_from(buffer, offset)
    return Layout(packed, figures[0], figures[5], figures[13], _account(info_size))


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
        (0, "8s"),
        (HEADER.size, "B"),
        (HEADER.size + 4, "4s"),
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
    """One Struct with these codes at these offsets, as long as an aligned message; "0s" may stand anywhere."""
    codes, place = "=", 0
    for offset, code in fields:
        if code != "0s":
            codes += f"{offset - place}x"
            place = offset + struct.calcsize(f"={code}")
        codes += code
    return struct.Struct(f"{codes}{((length + 3) & ~3) - place}x")
