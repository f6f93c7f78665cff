"""One INET_DIAG message as a Socket: every field, for people and for comparison with `ss`.

What reads tens of thousands of sockets every few seconds uses agent.kernel.inet_diag_figures instead.
"""

import struct
from collections.abc import Iterable
from typing import Any

from agent.kernel import inet_diag
from agent.kernel.inet_diag import Message, address_text, attributes
from agent.kernel.parse_error import ParseError
from agent.kernel.tcp_info import OPTION_BITS, TcpInfo, decode_tcp_info
from agent.kernel.tcp_socket import STATES, Bbr, Dctcp, Retrans, Socket, Timer, Vegas

ALL_ATTRIBUTES = tuple(range(inet_diag.MEMINFO, inet_diag.SHUTDOWN + 1))
"""What encode_request asks for so that a Socket is complete."""

_TIMERS = {1: "on", 2: "keepalive", 3: "timewait", 4: "persist", 5: "delack"}
_SKMEM_KEYS = ("r", "rb", "t", "tb", "f", "w", "o", "bl", "d")
_MEM_KEYS = ("r", "w", "f", "t")
_NO_VEGAS_RTT = 0x7FFFFFFF


def decode_sockets(buffer: bytes | memoryview) -> list[Socket]:
    """The sockets of one read, other messages left out. Raises ParseError."""
    found = inet_diag.messages(buffer)
    return [
        decode_socket(buffer, message) for message in found if message.type == inet_diag.SOCK_DIAG_BY_FAMILY
    ]


def decode_socket(buffer: bytes | memoryview, message: Message) -> Socket:
    """Everything that one message says of its socket. Raises ParseError."""
    if message.length < inet_diag.ATTRIBUTES_AT:
        raise ParseError(
            "inet_diag", f"byte {message.offset}", f"{message.length} bytes hold no inet_diag_msg"
        )
    (family, state, timer, retransmits, sport, dport, source, destination, interface, cookie, *figures) = (
        inet_diag.MESSAGE.unpack_from(buffer, message.offset + inet_diag.HEADER.size)
    )
    expires_ms, recv_q, send_q, uid, inode = figures
    first, end = message.offset + inet_diag.ATTRIBUTES_AT, message.offset + message.length
    found = {kind: bytes(buffer[at : at + size]) for kind, at, size in attributes(buffer, first, end)}
    v6only = bool(found[inet_diag.SKV6ONLY][0]) if found.get(inet_diag.SKV6ONLY) else None
    try:
        details = _details(found)
    except struct.error as error:
        raise ParseError("inet_diag", f"byte {message.offset}", f"attribute too short: {error}") from error
    return Socket(
        state=STATES.get(state, "UNKNOWN"),
        local=_endpoint(family, source, sport, v6only=bool(v6only)),
        remote=_endpoint(family, destination, dport, v6only=bool(v6only)),
        recv_q=recv_q,
        send_q=send_q,
        timer=_timer(timer, expires_ms, retransmits),
        uid=uid,
        ino=inode,
        sk=f"{cookie:x}",
        v6only=v6only,
        interface_index=interface or None,
        **details,
    )


def _endpoint(family: int, address: bytes, port: bytes, *, v6only: bool) -> str:
    """As `ss -n` prints it: a socket that takes both families has the wildcard address "*"."""
    number = int.from_bytes(port, "big") or "*"
    if family == inet_diag.AF_INET:
        return f"{address_text(address[:4])}:{number}"
    if not any(address) and not v6only:
        return f"*:{number}"
    return f"[{address_text(address)}]:{number}"


def _timer(kind: int, expires_ms: int, retransmits: int) -> Timer | None:
    if kind == 0:
        return None
    return Timer(
        name=_TIMERS.get(kind, "unknown"), expires_seconds=expires_ms / 1000, retransmits=retransmits
    )


def _details(found: dict[int, bytes]) -> dict[str, Any]:
    """Fields of the attributes that are there. Raises struct.error for one that is too short."""
    fields: dict[str, Any] = {}
    for kind, payload in found.items():
        if kind == inet_diag.INFO:
            fields |= _info_fields(decode_tcp_info(payload))
        elif kind == inet_diag.CONG:
            fields["congestion"] = payload.rstrip(b"\0").decode("utf-8", "replace") or None
        elif kind == inet_diag.SKMEMINFO:
            fields["skmem"] = _words(_SKMEM_KEYS, payload)
        elif kind == inet_diag.MEMINFO and inet_diag.SKMEMINFO not in found:
            fields["skmem"] = _words(_MEM_KEYS, payload)
        elif kind in _SMALL:
            name, layout = _SMALL[kind]
            fields[name] = layout.unpack_from(payload)[0]
        elif kind == inet_diag.SHUTDOWN:
            mask = payload[0] if payload else 0
            fields["shutdown"] = [name for bit, name in ((1, "receive"), (2, "send")) if mask & bit]
        elif kind in _CONGESTION:
            fields |= _CONGESTION[kind](payload)
    if (vegas := fields.get("vegas")) and vegas.enabled and vegas.rtt_seconds and "cwnd" in fields:
        fields["send_bits_per_second"] = round(fields["cwnd"] * fields["mss"] * 8 / vegas.rtt_seconds)
    return fields


_SMALL = {
    inet_diag.TOS: ("tos", struct.Struct("=B")),
    inet_diag.TCLASS: ("tclass", struct.Struct("=B")),
    inet_diag.CLASS_ID: ("class_id", struct.Struct("=I")),
    inet_diag.MARK: ("fwmark", struct.Struct("=I")),
}


def _words(keys: Iterable[str], payload: bytes) -> dict[str, int]:
    """u32 values by key, as many as the kernel gave (drops came with 4.7)."""
    return dict(
        zip(keys, (word for (word,) in struct.iter_unpack("=I", payload[: len(payload) & ~3])), strict=False)
    )


def _bbr(payload: bytes) -> dict[str, Any]:
    low, high, min_rtt_us, pacing_gain, cwnd_gain = struct.unpack_from("=5I", payload)
    return {
        "bbr": Bbr(
            bw_bits_per_second=((high << 32) + low) * 8,
            mrtt_seconds=min_rtt_us / 1e6 if min_rtt_us != 0xFFFFFFFF else None,
            pacing_gain=pacing_gain / 256,
            cwnd_gain=cwnd_gain / 256,
        )
    }


def _dctcp(payload: bytes) -> dict[str, Any]:
    enabled, ce_state, alpha, ab_ecn, ab_tot = struct.unpack_from("=HHIII", payload)
    if not enabled:
        return {"dctcp": Dctcp(enabled=False)}
    return {"dctcp": Dctcp(enabled=True, ce_state=ce_state, alpha=alpha, ab_ecn=ab_ecn, ab_tot=ab_tot)}


def _vegas(payload: bytes) -> dict[str, Any]:
    enabled, samples, rtt_us, min_rtt_us = struct.unpack_from("=4I", payload)
    seconds = [None if us in (0, _NO_VEGAS_RTT) else us / 1e6 for us in (rtt_us, min_rtt_us)]
    return {
        "vegas": Vegas(
            enabled=bool(enabled), rttcnt=samples, rtt_seconds=seconds[0], minrtt_seconds=seconds[1]
        )
    }


_CONGESTION = {inet_diag.BBRINFO: _bbr, inet_diag.DCTCPINFO: _dctcp, inet_diag.VEGASINFO: _vegas}


def _info_fields(info: TcpInfo) -> dict[str, Any]:
    options = {name: bool(info.options & bit) for name, bit in OPTION_BITS.items() if name != "wscale"}
    has_wscale = info.options & OPTION_BITS["wscale"]
    return {
        **options,
        "wscale": (info.wscale & 15, info.wscale >> 4) if has_wscale else None,
        "app_limited": bool(info.flags & 1),
        "mss": info.snd_mss,
        "rcvmss": info.rcv_mss,
        "cwnd": info.snd_cwnd,
        "ssthresh": info.snd_ssthresh,
        "notsent": info.notsent_bytes,
        "retrans": None
        if info.total_retrans is None
        else Retrans(now=info.retrans, total=info.total_retrans),
        "send_bits_per_second": None
        if info.rtt_us is None
        else round(info.snd_cwnd * info.snd_mss * 8e6 / info.rtt_us),
        **{name: getattr(info, name) for name in _SAME_NAME},
        **{name: _scaled(getattr(info, field), 1e6) for name, field in _MICROSECONDS.items()},
        **{name: _scaled(getattr(info, field), 1e3) for name, field in _MILLISECONDS.items()},
        **{f"{name}_bits_per_second": _bits(getattr(info, name)) for name in _BYTE_RATES},
    }


_SAME_NAME = (
    *("backoff", "pmtu", "advmss", "bytes_sent", "bytes_retrans", "bytes_acked", "bytes_received"),
    *("segs_out", "segs_in", "data_segs_out", "data_segs_in", "delivered", "delivered_ce"),
    *(
        "unacked",
        "lost",
        "sacked",
        "dsack_dups",
        "fackets",
        "reordering",
        "reord_seen",
        "rcv_space",
        "rcv_ssthresh",
    ),
    *("rcv_ooopack", "snd_wnd", "rcv_wnd", "rehash", "total_rto", "total_rto_recoveries"),
)
_MICROSECONDS = {
    "rto_seconds": "rto_us",
    "rtt_seconds": "rtt_us",
    "rtt_var_seconds": "rttvar_us",
    "ato_seconds": "ato_us",
    "rcv_rtt_seconds": "rcv_rtt_us",
    "min_rtt_seconds": "min_rtt_us",
    "busy_seconds": "busy_us",
    "rwnd_limited_seconds": "rwnd_limited_us",
    "sndbuf_limited_seconds": "sndbuf_limited_us",
}
_MILLISECONDS = {
    "lastsnd_seconds": "last_data_sent_ms",
    "lastrcv_seconds": "last_data_recv_ms",
    "lastack_seconds": "last_ack_recv_ms",
    "total_rto_time_seconds": "total_rto_time_ms",
}
_BYTE_RATES = ("pacing_rate", "max_pacing_rate", "delivery_rate")


def _scaled(value: int | None, per_second: float) -> float | None:
    return None if value is None else value / per_second


def _bits(bytes_per_second: int | None) -> int | None:
    return None if bytes_per_second is None else bytes_per_second * 8
