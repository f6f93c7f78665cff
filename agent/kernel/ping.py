"""What ping prints: iputils, BusyBox, macOS and FreeBSD, IPv4 and IPv6, with or without -q, -D and -O."""

import re
from dataclasses import asdict, dataclass
from typing import Any

from agent.kernel.parse_error import ParseError

SOURCE = "ping"
_FIGURE = r"\d{1,9}(?:\.\d{1,9})?"

_HEADER = re.compile(
    r"PING6? ?(?:\(\d{1,5}=[\d+]{1,20} bytes\) )?(?P<target>[^\s(]{1,255}) ?"
    r"(?:\((?P<address>[^\s()]{1,64})\)|--> (?P<address6>\S{1,64}))?(?:\(\S{1,64}\))?"
    r"(?: from \S{1,64}(?: \S{1,32})?)?:? ?(?P<bytes>\d{1,6})?"
)
_REPLY = re.compile(
    r"(?:\[\d{1,12}\.\d{1,6}\] )?\d{1,6} bytes from (?P<who>[^\s,]{1,255}?)(?: \((?P<address>[^\s()]{1,64})\))?[:,] "
    r"(?:icmp_)?seq=(?P<seq>\d{1,6})(?: ident=\d{1,6})?(?: (?:ttl|hlim)=(?P<ttl>\d{1,3}))?"
    rf"(?: time[=<](?P<time>{_FIGURE}) ?ms)?(?P<rest>.{{0,80}})"
)
_ERROR = re.compile(
    r"(?:\[\d{1,12}\.\d{1,6}\] )?(?:From (?P<who>\S{1,255})(?: \((?P<address>[^\s()]{1,64})\))?:? icmp_seq=(?P<seq>\d{1,6})"
    r" (?P<text>.{1,120})|(?P<silent>no answer yet for icmp_seq=|Request timeout for icmp_seq[ =])(?P<silent_seq>\d{1,6}))"
)
_COUNTS = re.compile(
    r"(?P<sent>\d{1,9}) packets transmitted, (?P<received>\d{1,9}) (?:packets )?received"
    rf"(?:, \+(?P<duplicates>\d{{1,9}}) duplicates)?(?:, \+\d{{1,9}} corrupted)?(?:, \+(?P<errors>\d{{1,9}}) errors)?"
    rf"(?:, {_FIGURE}% packet loss)?(?:, time \d{{1,12}} ?ms)?(?:, .{{0,80}})?"
)
_TIMES = re.compile(
    r"(?:rtt|round-trip) min/avg/max(?:/(?:mdev|stddev|std-dev))? = "
    rf"({_FIGURE})/({_FIGURE})/({_FIGURE})(?:/({_FIGURE}|nan))? ms.{{0,80}}"
)
_UNCARRIED = re.compile(r"(?P<whole>[1-9](?=\.100$)|[1-9]\d(?=\.10$))\.100?")
"""iputils s20180629 (Debian 10) rounds 72.96 ms to 72 and ten tenths, and prints 72.10 (iputils issue 282)."""

_FAILURE = re.compile(r"(?:ping6?|connect): .{1,200}")


@dataclass(frozen=True, slots=True)
class Echo:
    """What came of one packet, as far as ping printed it. rtt_seconds None: no answer, or an error in its place."""

    sequence: int
    rtt_seconds: float | None = None
    ttl: int | None = None
    address: str | None = None
    duplicate: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Ping:
    """One run. The counts and rtt_* are ping's own summary: None where it was stopped before printing one.

    loss_ratio: 1 - received/sent, duplicates left out. rtt_mdev_seconds: mean deviation, or standard deviation (BSD).
    """

    target: str
    address: str | None
    data_bytes: int | None
    sent: int | None
    received: int | None
    duplicates: int | None
    errors: int | None
    loss_ratio: float | None
    rtt_min_seconds: float | None
    rtt_mean_seconds: float | None
    rtt_max_seconds: float | None
    rtt_mdev_seconds: float | None
    echoes: tuple[Echo, ...]


def parse_ping(data: bytes) -> Ping:
    """The run in data. Raises ParseError where there is none, with ping's own words where it gave them."""
    header = counts = times = None
    echoes: list[Echo] = []
    for number, raw in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith(("--- ", "WARNING: ", "ping: Warning: ")):
            continue
        if header is None:
            header = _HEADER.match(line)
            if header is None:
                known = _FAILURE.match(line)
                raise ParseError(
                    SOURCE,
                    f"line {number}",
                    line[:200] if known else "not ping's first line",
                    "" if known else line,
                )
        elif (reply := _REPLY.fullmatch(line)) is not None:
            echoes.append(_echo(reply, iputils="bytes of data" in header.string))
        elif (error := _ERROR.fullmatch(line)) is not None:
            echoes.append(_failed(error))
        elif (counts is None and (counts := _COUNTS.fullmatch(line)) is not None) or (
            times is None and counts is not None and (times := _TIMES.fullmatch(line)) is not None
        ):
            continue
        else:
            raise ParseError(SOURCE, f"line {number}", "neither a reply, an error nor the summary", line)
    if header is None:
        raise ParseError(SOURCE, "line 1", "no output: ping never ran, or was stopped at once")
    if counts is None and not echoes:
        raise ParseError(SOURCE, "line 2", "no reply and no summary: ping was stopped before either")
    return _ping(header, echoes, counts, times)


def inspect(data: bytes) -> dict[str, Any]:
    """parse_ping as plain values."""
    return asdict(parse_ping(data))


def _ping(
    header: re.Match[str], echoes: list[Echo], counts: re.Match[str] | None, times: re.Match[str] | None
) -> Ping:
    sent, received = (int(counts[key]) if counts is not None else None for key in ("sent", "received"))
    low, mean, high, deviation = times.groups() if times is not None else (None, None, None, None)
    if sent is not None and received is not None and received > sent:
        raise ParseError(SOURCE, "summary", f"{received} of {sent} packets received")
    return Ping(
        target=header["target"],
        address=header["address"] or header["address6"],
        data_bytes=int(header["bytes"]) if header["bytes"] else None,
        sent=sent,
        received=received,
        duplicates=int(counts["duplicates"] or 0) if counts is not None else None,
        errors=int(counts["errors"] or 0) if counts is not None else None,
        loss_ratio=1 - received / sent if sent and received is not None else None,
        rtt_min_seconds=_seconds(low),
        rtt_mean_seconds=_seconds(mean),
        rtt_max_seconds=_seconds(high),
        rtt_mdev_seconds=None if deviation == "nan" else _seconds(deviation),
        echoes=tuple(echoes),
    )


def _echo(match: re.Match[str], *, iputils: bool) -> Echo:
    ttl, time = match["ttl"], match["time"]
    if iputils and time is not None and (carry := _UNCARRIED.fullmatch(time)) is not None:
        time = str(int(carry["whole"]) + 1)
    return Echo(
        sequence=int(match["seq"]),
        rtt_seconds=_seconds(time),
        ttl=None if ttl is None else int(ttl),
        address=match["address"] or match["who"],
        duplicate="DUP!" in match["rest"],
        error=match["rest"].strip() or None if "DUP!" not in match["rest"] else None,
    )


def _failed(match: re.Match[str]) -> Echo:
    if match["silent"] is not None:
        return Echo(int(match["silent_seq"]), error="no answer in time")
    return Echo(int(match["seq"]), address=match["address"] or match["who"], error=match["text"])


def _seconds(milliseconds: str | None) -> float | None:
    return None if milliseconds is None else float(f"{milliseconds}e-3")
