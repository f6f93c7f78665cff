"""struct tcp_info (include/uapi/linux/tcp.h), decoded by the length the kernel gave.

The struct only ever grows at its end, so a shorter one is an older kernel (its missing fields are None) and a
longer one a newer kernel (its bytes beyond what is known here are counted in unread_bytes).
"""

import struct
from functools import cache
from typing import NamedTuple

from agent.kernel.parse_error import ParseError

INFINITE_SSTHRESH = 0x7FFFFFFF
"""TCP_INFINITE_SSTHRESH: slow start has never ended."""
_NO_MIN_RTT = 0xFFFFFFFF
_NO_RATE = 0xFFFFFFFFFFFFFFFF

OPTION_BITS = {"ts": 1, "sack": 2, "wscale": 4, "ecn": 8, "ecnseen": 16, "fastopen": 32, "usec_ts": 64}
"""tcpi_options by the words that `ss` prints for them (fastopen: SYN data acknowledged; usec_ts since 6.7)."""


class TcpInfo(NamedTuple):
    """The fields in the kernel's order, with its units (_us, _ms); sentinels of "none yet" are None."""

    state: int  # offset 0
    ca_state: int
    retransmits: int  # 2, of the segment at the head of the queue
    probes: int
    backoff: int
    options: int  # 5, OPTION_BITS
    wscale: int  # 6, low nibble sent, high nibble received
    flags: int  # 7, bit 0 app_limited (4.9), bits 1-2 fastopen_client_fail (5.5)
    rto_us: int  # 8
    ato_us: int
    snd_mss: int
    rcv_mss: int
    unacked: int  # 24, segments from here to fackets
    sacked: int
    lost: int  # 32
    retrans: int  # 36
    fackets: int
    last_data_sent_ms: int  # 44
    last_ack_sent_ms: int
    last_data_recv_ms: int
    last_ack_recv_ms: int
    pmtu: int  # 60
    rcv_ssthresh: int
    rtt_us: int | None  # 68
    rttvar_us: int | None
    snd_ssthresh: int | None  # 76, segments
    snd_cwnd: int  # 80, segments
    advmss: int
    reordering: int
    rcv_rtt_us: int | None = None  # 92; 2.6.10
    rcv_space: int | None = None
    total_retrans: int | None = None  # 100, segments; 2.6.16
    pacing_rate: int | None = None  # 104, bytes per second; 3.15
    max_pacing_rate: int | None = None
    bytes_acked: int | None = None  # 120; 4.1
    bytes_received: int | None = None
    segs_out: int | None = None  # 136; 4.2
    segs_in: int | None = None
    notsent_bytes: int | None = None  # 144; 4.6 from here to data_segs_out
    min_rtt_us: int | None = None  # 148
    data_segs_in: int | None = None
    data_segs_out: int | None = None
    delivery_rate: int | None = None  # 160, bytes per second; 4.9
    busy_us: int | None = None  # 168; 4.10
    rwnd_limited_us: int | None = None
    sndbuf_limited_us: int | None = None
    delivered: int | None = None  # 192, segments; 4.18
    delivered_ce: int | None = None
    bytes_sent: int | None = None  # 200; 4.19 from here to reord_seen
    bytes_retrans: int | None = None
    dsack_dups: int | None = None
    reord_seen: int | None = None
    rcv_ooopack: int | None = None  # 224; 5.4
    snd_wnd: int | None = None  # 228; 5.4
    rcv_wnd: int | None = None  # 232; 6.2
    rehash: int | None = None  # 236; 6.2
    total_rto: int | None = None  # 240; 6.7
    total_rto_recoveries: int | None = None
    total_rto_time_ms: int | None = None
    received_ce: int | None = None  # 248; 6.18 from here on (accurate ECN, RFC 9768)
    delivered_e1_bytes: int | None = None
    delivered_e0_bytes: int | None = None
    delivered_ce_bytes: int | None = None
    received_e1_bytes: int | None = None
    received_e0_bytes: int | None = None
    received_ce_bytes: int | None = None
    accecn: int | None = None  # 276; 6.18 two u16 (fail mode, option seen), 7.0 bit fields of one u32
    unread_bytes: int = 0


_FORMATS = (
    "B" * 8  # state … flags
    + "I" * 24  # rto … total_retrans
    + "QQQQ"  # pacing_rate … bytes_received
    + "I" * 6  # segs_out … data_segs_out
    + "QQQQ"  # delivery_rate … sndbuf_limited
    + "II"  # delivered, delivered_ce
    + "QQ"  # bytes_sent, bytes_retrans
    + "I" * 6  # dsack_dups … rehash
    + "HHI"  # total_rto, total_rto_recoveries, total_rto_time
    + "I" * 8  # received_ce … accecn
)
_SIZES = {"B": 1, "H": 2, "I": 4, "Q": 8}
OFFSETS = {
    name: sum(_SIZES[code] for code in _FORMATS[:index])
    for index, name in enumerate(TcpInfo._fields[: len(_FORMATS)])
}
"""Byte offset of every field; there is no padding in the struct."""
SIZE = OFFSETS["accecn"] + 4
SHORTEST = OFFSETS["reordering"] + 4


@cache
def _layout(length: int) -> tuple[struct.Struct, tuple[None, ...]]:
    """The fields that fit into this many bytes, and None for each of those that do not."""
    fitting = sum(offset + _SIZES[_FORMATS[i]] <= length for i, offset in enumerate(OFFSETS.values()))
    return struct.Struct("=" + _FORMATS[:fitting]), (None,) * (len(_FORMATS) - fitting)


def decode_tcp_info(data: bytes | memoryview) -> TcpInfo:
    """The fields that this many bytes hold. Raises ParseError below 92 bytes (Linux 2.6.10 has more)."""
    if len(data) < SHORTEST:
        raise ParseError(
            "tcp_info", "byte 0", f"{len(data)} bytes, fewer than the {SHORTEST} of the oldest layout"
        )
    layout, missing = _layout(min(len(data), SIZE))
    info = TcpInfo._make((*layout.unpack_from(data), *missing, len(data) - layout.size))
    return info._replace(
        # before the first sample rtt is 0 and rttvar its initial value, which measures nothing
        rtt_us=info.rtt_us or None,
        rttvar_us=info.rttvar_us if info.rtt_us else None,
        snd_ssthresh=None if (info.snd_ssthresh or 0) >= INFINITE_SSTHRESH else info.snd_ssthresh,
        rcv_rtt_us=info.rcv_rtt_us or None,
        pacing_rate=_rate(info.pacing_rate),
        max_pacing_rate=_rate(info.max_pacing_rate),
        min_rtt_us=None if info.min_rtt_us in (0, _NO_MIN_RTT) else info.min_rtt_us,
        delivery_rate=info.delivery_rate or None,
    )


def _rate(value: int | None) -> int | None:
    return None if value in (0, _NO_RATE) else value
