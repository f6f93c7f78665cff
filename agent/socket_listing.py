"""Sockets that `ss` printed, as the census counts them. Pure.

The way where netlink is barred. `ss` leaves zeros out, so that what a kernel does not count and what is zero look
the same: which it is follows from the whole listing, and it is the same for all of its sockets.
"""

import struct
from ipaddress import ip_address

from agent.kernel.inet_diag import AF_INET, AF_INET6
from agent.kernel.inet_diag_figures import NO_SSTHRESH, Account, Figures
from agent.kernel.tcp_socket import Socket

_TOTALS = struct.Struct("=5Q")


LISTED_ACCOUNTS = {
    "bytes": Account((0, 0), (0, _TOTALS.size), "bytes", _TOTALS.unpack, has_times=True),
    "segments": Account((0, 0), (0, _TOTALS.size), "segments", _TOTALS.unpack, has_times=False),
}
"""How the totals of a listing are counted, by its unit."""


def listing_unit(text: bytes) -> str:
    """What totals of this listing count: "bytes" if any socket has sent bytes (Linux 4.19), else "segments"."""
    return "bytes" if b" bytes_sent:" in text else "segments"


def listed_figures(socket: Socket, unit: str) -> Figures | None:
    """One socket's figures as a dump would give them; None without tcp_info, cookie or numeric remote address."""
    address = _address(socket.remote)
    if address is None or socket.cwnd is None or socket.sk is None:
        return None
    return (
        *(b"", AF_INET if len(address) == 4 else AF_INET6),
        _port(socket.local) + _port(socket.remote),
        address.ljust(16, b"\0"),
        *(int(socket.sk, 16), b""),
        _microseconds(socket.rtt_seconds, 32),
        NO_SSTHRESH if socket.ssthresh is None else _bounded(socket.ssthresh, 32),
        *(_bounded(socket.cwnd, 32), b""),
        _microseconds(socket.min_rtt_seconds, 32),
        _bounded(socket.delivery_rate_bits_per_second, 64) // 8,
        *(_totals(socket, unit), b"", (socket.congestion or "").encode()),
    )


def _totals(socket: Socket, unit: str) -> bytes:
    if unit == "bytes":
        sent, retransmitted = socket.bytes_sent, socket.bytes_retrans
    else:
        sent, retransmitted = socket.segs_out, socket.retrans.total if socket.retrans else 0
    times = (socket.busy_seconds, socket.rwnd_limited_seconds, socket.sndbuf_limited_seconds)
    return _TOTALS.pack(
        *(_microseconds(seconds, 64) for seconds in times), _bounded(sent, 64), _bounded(retransmitted, 64)
    )


def _bounded(value: int | None, bits: int) -> int:
    """A count as the kernel holds it; text may claim more than fits."""
    highest: int = 2**bits - 1
    return min(max(value or 0, 0), highest)


def _microseconds(seconds: float | None, bits: int) -> int:
    return _bounded(round((seconds or 0) * 1e6), bits)


def _address(endpoint: str | None) -> bytes | None:
    """The packed address of "192.0.2.1:22", "[fe80::1]%eth0:22" or "fe80::1%eth0:22"; None for a name."""
    host = (endpoint or "").rpartition(":")[0].partition("%")[0].strip("[]")
    try:
        return ip_address(host).packed
    except ValueError:
        return None


def _port(endpoint: str | None) -> bytes:
    word = (endpoint or "").rpartition(":")[2]
    number = int(word) if word.isascii() and word.isdigit() and len(word) < 6 else 0
    return number.to_bytes(2, "big") if number < 65536 else b"\0\0"
