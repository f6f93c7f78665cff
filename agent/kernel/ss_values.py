"""The values in `ss` text: what each key of tcp_stats_print (iproute2, misc/ss.c) holds, with its unit.

A reader takes the text after the colon and returns fields of Socket; it raises ValueError saying what is expected.
"""

import re
from collections.abc import Callable
from typing import Any

from agent.kernel.tcp_socket import Bbr, Dctcp, Retrans, Timer, User

Fields = dict[str, Any]

FLAGS = frozenset({"ts", "usec_ts", "sack", "ecn", "ecnseen", "fastopen", "bidir", "app_limited"})
_COUNTS = [
    "ino",
    "uid",
    "backoff",
    "qack",
    "mss",
    "pmtu",
    "rcvmss",
    "advmss",
    "cwnd",
    "ssthresh",
    "bytes_sent",
    "bytes_retrans",
    "bytes_acked",
    "bytes_received",
    "segs_out",
    "segs_in",
    "data_segs_out",
    "data_segs_in",
    "delivered",
    "delivered_ce",
    "unacked",
    "lost",
    "sacked",
    "dsack_dups",
    "fackets",
    "reordering",
    "reord_seen",
    "rcv_space",
    "rcv_ssthresh",
    "notsent",
    "rcv_ooopack",
    "snd_wnd",
    "rcv_wnd",
    "rehash",
]
_MILLISECONDS = {
    "rto": "rto_seconds",
    "ato": "ato_seconds",
    "lastsnd": "lastsnd_seconds",
    "lastrcv": "lastrcv_seconds",
    "lastack": "lastack_seconds",
    "rcv_rtt": "rcv_rtt_seconds",
    "minrtt": "min_rtt_seconds",
}
RATES = frozenset({"send", "pacing_rate", "delivery_rate"})
"""Keys that print their value after a space: "send 78Mbps"."""

_COUNT = re.compile(r"-?[0-9]{1,20}")
_HEX_OR_COUNT = re.compile(r"0x[0-9a-f]{1,16}|[0-9]{1,20}")
_DECIMAL = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,20})?)(?:e([+-]?[0-9]{1,2}))?")
_RATE = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,20})?(?:e[+-]?[0-9]{1,2})?)([kKMGT]?)bps")
_SCALE = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BUSY = re.compile(r"([0-9]{1,20})ms(?:\([0-9.]{1,20}%\))?")
_PAIR = re.compile(r"([0-9]{1,20})[/,]([0-9]{1,20})")
_TIMER = re.compile(r"\(([A-Za-z0-9_]{1,20}),([^,()]*),([0-9]{1,10})\)")
_EXPIRY = re.compile(r"(?:([0-9]{1,10})min)?(?:([0-9]{1,10})(\.[0-9]{1,3})?(sec|ms))?")
_MEMORY = re.compile(r"\(([a-z]{1,2}[0-9]{1,20}(?:,[a-z]{1,2}[0-9]{1,20})*)\)")
_PARTS = re.compile(r"\(([a-z_]+:[^,()]+(?:,[a-z_]+:[^,()]+)*)\)")
_USER = re.compile(r'\("(.{0,256}?)",((?:pid=)?[0-9]{1,10}(?:,[^()",]*)*)\)')


def _count(text: str) -> int:
    if not _COUNT.fullmatch(text):
        raise ValueError("expected a whole number")
    return int(text)


def milliseconds(text: str) -> float:
    """Seconds from a number of milliseconds, exactly the double nearest to what was printed."""
    found = _DECIMAL.fullmatch(text)
    if found is None:
        raise ValueError("expected a number of milliseconds")
    return float(f"{found[1]}e{int(found[2] or 0) - 3}")


def bits_per_second(text: str) -> int:
    """From "78Mbps", "916.7Kbps" or "900150880bps"; k and K are both 1000. Raises ValueError."""
    found = _RATE.fullmatch(text)
    if found is None:
        raise ValueError("expected a rate such as 78Mbps")
    return round(float(found[1]) * _SCALE[found[2]])


def _rtt(text: str) -> Fields:
    rtt, slash, deviation = text.partition("/")
    if not slash:
        raise ValueError("expected MILLISECONDS/MILLISECONDS")
    return {"rtt_seconds": milliseconds(rtt), "rtt_var_seconds": milliseconds(deviation)}


def _pair(text: str) -> tuple[int, int]:
    found = _PAIR.fullmatch(text)
    if found is None:
        raise ValueError("expected two whole numbers")
    return int(found[1]), int(found[2])


def _retrans(text: str) -> Fields:
    now, total = _pair(text)
    return {"retrans": Retrans(now=now, total=total)}


def _busy(field: str) -> Callable[[str], Fields]:
    def read(text: str) -> Fields:
        found = _BUSY.fullmatch(text)
        if found is None:
            raise ValueError("expected a time such as 433148ms(98.8%)")
        return {field: int(found[1]) / 1000}

    return read


def _timer(text: str) -> Fields:
    found = _TIMER.fullmatch(text)
    expiry = _EXPIRY.fullmatch(found[2]) if found else None
    if found is None or expiry is None:
        raise ValueError("expected (name,time,retransmits)")
    minutes, whole, fraction, unit = expiry.groups()
    seconds = int(minutes or 0) * 60 + float((whole or "0") + (fraction or ""))
    if unit == "ms" and fraction is None:  # before iproute2 5.x "1.204ms" was printed for 1.204 s
        seconds = int(minutes or 0) * 60 + int(whole) / 1000
    return {"timer": Timer(name=found[1], expires_seconds=seconds, retransmits=int(found[3]))}


def _memory(text: str) -> Fields:
    found = _MEMORY.fullmatch(text)
    if found is None:
        raise ValueError("expected (r0,rb131072,…)")
    parts = (re.fullmatch(r"([a-z]+)([0-9]+)", part) for part in found[1].split(","))
    return {"skmem": {part[1]: int(part[2]) for part in parts if part}}


def _parts(text: str) -> dict[str, str]:
    found = _PARTS.fullmatch(text)
    if found is None:
        raise ValueError("expected (name:value,…)")
    pairs = (part.partition(":") for part in found[1].split(","))
    return {name: value for name, _, value in pairs}


def _bbr(text: str) -> Fields:
    parts = _parts(text)
    gains = {f"{name}_gain": _decimal(parts.get(f"{name}_gain")) for name in ("pacing", "cwnd")}
    bandwidth, mrtt = parts.get("bw"), parts.get("mrtt")
    return {
        "bbr": Bbr(
            bw_bits_per_second=None if bandwidth is None else bits_per_second(bandwidth),
            mrtt_seconds=None if mrtt is None else milliseconds(mrtt),
            **gains,
        )
    }


def _decimal(text: str | None) -> float | None:
    if text is None:
        return None
    if not _DECIMAL.fullmatch(text):
        raise ValueError("expected a number")
    return float(text)


def _dctcp(text: str) -> Fields:
    if text == "fallback_mode":
        return {"dctcp": Dctcp(enabled=False)}
    parts = _parts(text)
    known = {name: _count(parts[name]) for name in ("ce_state", "alpha", "ab_ecn", "ab_tot") if name in parts}
    return {"dctcp": Dctcp(enabled=True, **known)}


def _cookie(text: str) -> Fields:
    if not re.fullmatch(r"[0-9a-f]{1,16}", text):
        raise ValueError("expected the socket's cookie in hexadecimal")
    return {"sk": text}


def _mark(field: str) -> Callable[[str], Fields]:
    def read(text: str) -> Fields:
        if not _HEX_OR_COUNT.fullmatch(text):
            raise ValueError("expected a number, decimal or 0x…")
        return {field: int(text, 16) if text.startswith("0x") else int(text)}

    return read


def _count_of(field: str) -> Callable[[str], Fields]:
    return lambda text: {field: _count(text)}


def _milliseconds_of(field: str) -> Callable[[str], Fields]:
    return lambda text: {field: milliseconds(text)}


KEYS: dict[str, Callable[[str], Fields]] = {
    **{key: _count_of(key) for key in _COUNTS},
    **{key: _milliseconds_of(field) for key, field in _MILLISECONDS.items()},
    **{key: _busy(f"{key}_seconds") for key in ("busy", "rwnd_limited", "sndbuf_limited")},
    **{key: _mark(key) for key in ("tos", "tclass", "class_id", "fwmark")},
    "rtt": _rtt,
    "wscale": lambda text: {"wscale": _pair(text)},
    "retrans": _retrans,
    "timer": _timer,
    "skmem": _memory,
    "mem": _memory,  # `ss -m` of kernels before 2.6.39: fewer of the same letters
    "bbr": _bbr,
    "dctcp": _dctcp,
    "v6only": lambda text: {"v6only": _count(text) != 0},
    "sk": _cookie,
    "cgroup": lambda text: {"cgroup": text},
}
"""Readers by key. "mem" and "skmem" are one field."""


def read_rate(key: str, text: str) -> Fields:
    """Fields of a key of RATES; a maximum may follow the rate: "1.2Gbps/2Gbps". Raises ValueError."""
    rate, slash, maximum = text.partition("/")
    fields = {f"{key}_bits_per_second": bits_per_second(rate)}
    if slash:
        fields[f"max_{key}_bits_per_second"] = bits_per_second(maximum)
    return fields


def read_users(text: str, start: int) -> tuple[list[User], int]:
    """The processes of "users:((…),(…))" from its first inner bracket, and the place behind the last bracket.

    A process name may hold blanks, quotes and brackets. Raises ValueError.
    """
    users: list[User] = []
    while True:
        found = _USER.match(text, start)
        if found is None:
            raise ValueError('expected users:(("name",pid=1,fd=2))')
        users.append(_user(found[1], found[2].split(",")))
        start = found.end()
        if not text.startswith(",", start):
            break
        start += 1
    if not text.startswith(")", start):
        raise ValueError("expected ) after the last process")
    return users, start + 1


def _user(name: str, parts: list[str]) -> User:
    named = dict(part.split("=", 1) for part in parts if "=" in part)
    plain = [part for part in parts if "=" not in part]  # before iproute2 3.17: ("ppp",2399,8)
    pid = named.get("pid") or plain[0]
    fd = named.get("fd") or (plain[-1] if len(plain) > 1 else None)
    tid = named.get("tid")
    return User(
        name=name,
        pid=_count(pid),
        fd=None if fd is None else _count(fd),
        tid=None if tid is None else _count(tid),
    )
