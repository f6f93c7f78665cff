"""One TCP socket as the kernel describes it: the result of `ss -ti` text and of INET_DIAG alike.

Field names are the words that `ss` prints, with the unit where there is one, and are the keys of `inspect ss`.
None means that the source did not say: `ss` prints nothing for a zero, a short struct tcp_info lacks the field.
"""

from typing import Any

import msgspec

STATES = {
    1: "ESTAB",
    2: "SYN-SENT",
    3: "SYN-RECV",
    4: "FIN-WAIT-1",
    5: "FIN-WAIT-2",
    6: "TIME-WAIT",
    7: "UNCONN",
    8: "CLOSE-WAIT",
    9: "LAST-ACK",
    10: "LISTEN",
    11: "CLOSING",
    12: "SYN-RECV",
}
"""TCP_* of include/net/tcp_states.h as `ss` names them; 12 is TCP_NEW_SYN_RECV, a request not yet accepted."""


class _Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    pass


class Retrans(_Part, frozen=True):
    """Segments retransmitted and not yet acknowledged, and retransmitted since the connection began."""

    now: int
    total: int


class Timer(_Part, frozen=True):
    """The pending timer: on (retransmission), keepalive, timewait, persist (zero-window probe) or delack."""

    name: str
    expires_seconds: float
    retransmits: int


class User(_Part, frozen=True):
    """A process that holds the socket. fd is None where only a name and a number were printed."""

    name: str
    pid: int
    fd: int | None = None
    tid: int | None = None


class Bbr(_Part, frozen=True):
    """struct tcp_bbr_info: the bandwidth and minimum RTT that BBR works with."""

    bw_bits_per_second: int | None = None
    mrtt_seconds: float | None = None
    pacing_gain: float | None = None
    cwnd_gain: float | None = None


class Dctcp(_Part, frozen=True):
    """struct tcp_dctcp_info; only enabled is known of a socket in fallback mode (no ECN on the path)."""

    enabled: bool
    ce_state: int | None = None
    alpha: int | None = None
    ab_ecn: int | None = None
    ab_tot: int | None = None


class Vegas(_Part, frozen=True):
    """struct tcpvegas_info; `ss` does not print it."""

    enabled: bool
    rttcnt: int
    rtt_seconds: float | None = None
    minrtt_seconds: float | None = None


class Socket(_Part, frozen=True):
    """state, local and remote are None only for details that came without their socket's line.

    Windows (cwnd, ssthresh, unacked, lost …) are in segments, snd_wnd and rcv_wnd in bytes. ssthresh is None
    while slow start has never ended; `ss` also hides a value of 65,535 or more.
    wscale: shifts of the sent and the received window. skmem: bytes by the letters of ss(8), for example rb the
    receive buffer's limit. sk: the socket's cookie in hexadecimal (before 3.x an address).
    """

    state: str | None
    local: str | None
    remote: str | None
    netid: str | None = None
    recv_q: int | None = None
    send_q: int | None = None
    users: list[User] | None = None
    timer: Timer | None = None
    uid: int | None = None
    ino: int | None = None
    sk: str | None = None
    fwmark: int | None = None
    cgroup: str | None = None
    v6only: bool | None = None
    shutdown: list[str] | None = None
    tos: int | None = None
    tclass: int | None = None
    class_id: int | None = None
    interface_index: int | None = None
    skmem: dict[str, int] | None = None
    ts: bool | None = None
    usec_ts: bool | None = None
    sack: bool | None = None
    ecn: bool | None = None
    ecnseen: bool | None = None
    fastopen: bool | None = None
    congestion: str | None = None
    wscale: tuple[int, int] | None = None
    rto_seconds: float | None = None
    backoff: int | None = None
    rtt_seconds: float | None = None
    rtt_var_seconds: float | None = None
    ato_seconds: float | None = None
    qack: int | None = None
    bidir: bool | None = None
    mss: int | None = None
    pmtu: int | None = None
    rcvmss: int | None = None
    advmss: int | None = None
    cwnd: int | None = None
    ssthresh: int | None = None
    bytes_sent: int | None = None
    bytes_retrans: int | None = None
    bytes_acked: int | None = None
    bytes_received: int | None = None
    segs_out: int | None = None
    segs_in: int | None = None
    data_segs_out: int | None = None
    data_segs_in: int | None = None
    bbr: Bbr | None = None
    dctcp: Dctcp | None = None
    vegas: Vegas | None = None
    send_bits_per_second: int | None = None
    lastsnd_seconds: float | None = None
    lastrcv_seconds: float | None = None
    lastack_seconds: float | None = None
    pacing_rate_bits_per_second: int | None = None
    max_pacing_rate_bits_per_second: int | None = None
    delivery_rate_bits_per_second: int | None = None
    delivered: int | None = None
    delivered_ce: int | None = None
    app_limited: bool | None = None
    busy_seconds: float | None = None
    rwnd_limited_seconds: float | None = None
    sndbuf_limited_seconds: float | None = None
    unacked: int | None = None
    retrans: Retrans | None = None
    lost: int | None = None
    sacked: int | None = None
    dsack_dups: int | None = None
    fackets: int | None = None
    reordering: int | None = None
    reord_seen: int | None = None
    rcv_rtt_seconds: float | None = None
    rcv_space: int | None = None
    rcv_ssthresh: int | None = None
    notsent: int | None = None
    min_rtt_seconds: float | None = None
    rcv_ooopack: int | None = None
    snd_wnd: int | None = None
    rcv_wnd: int | None = None
    rehash: int | None = None
    total_rto: int | None = None
    total_rto_recoveries: int | None = None
    total_rto_time_seconds: float | None = None
    ulp: str | None = None
    other: dict[str, Any] | None = None


def to_json(socket: Socket) -> dict[str, Any]:
    """The keys that are known, as JSON-ready values; state, local and remote always."""
    plain: dict[str, Any] = msgspec.to_builtins(socket)
    return plain
