"""What traceroute prints: Linux (Butskoy's and inetutils'), macOS, FreeBSD, IPv4 and IPv6.

A line is a hop: hosts, each with the round trips of the probes that it answered, `*` for a probe that nobody answered.
A line without a number goes on with the hop before it (BSD). Windows' tracert prints otherwise and is refused.
"""

import re
from dataclasses import asdict, dataclass, replace
from ipaddress import ip_address
from typing import Any

from agent.kernel.parse_error import ParseError

SOURCE = "traceroute"
_MAX_HOPS = 255

_HEADER = re.compile(
    r"traceroute6? to (?P<target>\S{1,255})\s{1,4}\((?P<address>[^\s()]{2,64})\)"
    r"(?:,? from (?P<source>[^\s,]{2,64}))?,? (?P<hops>\d{1,4}) hops max(?:, (?P<bytes>\d{1,6}) byte packets)?"
)
_NOTE = re.compile(r"traceroute6?: Warning: ")
_NUMBER = re.compile(r"\d{1,9}(?:\.\d{1,9})?")
_AS_NUMBER = re.compile(r"\[(?:AS(\d{1,10})(?:/AS\d{1,10})*|\*)\]")


@dataclass(frozen=True, slots=True)
class Reply:
    """The end of one probe. All None: nobody answered. annotations: as printed, "!H", "!X", "!<500>", "F=1400"."""

    address: str | None = None
    name: str | None = None
    rtt_seconds: float | None = None
    as_number: int | None = None
    annotations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hop:
    """All probes with one TTL, in the order they were sent. silent: none was answered."""

    number: int
    replies: tuple[Reply, ...]
    silent: bool


@dataclass(frozen=True, slots=True)
class Route:
    """A route. None: not printed. reached: the target itself answered; None without its address."""

    target: str | None
    address: str | None
    source: str | None
    max_hops: int | None
    packet_bytes: int | None
    hops: tuple[Hop, ...]
    reached: bool | None


def parse_traceroute(data: bytes) -> Route:
    """The route in data. Raises ParseError where there is none, with traceroute's own words where it gave them."""
    header: re.Match[str] | None = None
    hops: dict[int, list[Reply]] = {}
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        where = f"line {number}"
        tokens = line.split()
        if not tokens or _NOTE.match(line):
            continue
        if not hops and header is None and (header := _HEADER.match(line)):
            continue
        if tokens[0].isascii() and tokens[0].isdigit() and len(tokens[0]) <= 3:
            hop = int(tokens[0])
            if not max(hops, default=0) < hop <= _MAX_HOPS:
                raise ParseError(SOURCE, where, f"hop {hop} after hop {max(hops, default=0)}", line)
            hops[hop] = _replies(tokens[1:], where)
        elif hops and line[0].isspace():
            hops[max(hops)] += _replies(tokens, where)
        else:
            raise ParseError(SOURCE, where, "neither a hop nor traceroute's first line", line)
    if not hops:
        raise ParseError(
            SOURCE, "line 1", "no hop: traceroute was stopped before its first answer, or never ran"
        )
    return _route(header, hops)


def inspect(data: bytes) -> dict[str, Any]:
    """parse_traceroute as plain values."""
    return asdict(parse_traceroute(data))


def build_hop(number: int, replies: list[Reply]) -> Hop:
    """The hop of these replies."""
    return Hop(number, tuple(replies), all(reply.address is None for reply in replies))


def has_answered(address: str | None, hop: Hop | None) -> bool | None:
    """Whether one of the hop's replies is the target's own, and no error of it; None without its address."""
    if address is None:
        return None
    plain = (
        [r for r in hop.replies if not any(a.startswith("!") for a in r.annotations)]
        if hop is not None
        else []
    )
    return any(
        reply.address is not None and ip_address(reply.address) == ip_address(address) for reply in plain
    )


def _route(header: re.Match[str] | None, hops: dict[int, list[Reply]]) -> Route:
    route = tuple(build_hop(number, replies) for number, replies in hops.items())
    if header is None:
        return Route(None, None, None, None, None, route, None)
    address, source = as_address(header["address"]), header["source"]
    size = header["bytes"]
    reached = has_answered(address, route[-1])
    return Route(
        header["target"],
        address,
        source,
        int(header["hops"]),
        None if size is None else int(size),
        route,
        reached,
    )


def as_address(text: str) -> str | None:
    """text if it is an IP address (a zone after % is allowed), else None."""
    try:
        return str(ip_address(text))
    except ValueError:
        return None


def _replies(tokens: list[str], where: str) -> list[Reply]:
    replies: list[Reply] = []
    host = Reply()  # whose round trips follow
    as_before: int | None = None  # BSD prints the AS number before the host, Linux after it
    named = False  # the token before was the host
    rest = iter(range(len(tokens)))
    for at in rest:
        token, follower = tokens[at], tokens[at + 1] if at + 1 < len(tokens) else ""
        if token == "*":  # noqa: S105 - an unanswered probe, not a password
            replies.append(Reply())
        elif _NUMBER.fullmatch(token) and follower == "ms" and host.address is not None:
            replies.append(replace(host, rtt_seconds=float(f"{token}e-3")))
            next(rest)
        elif (found := _AS_NUMBER.fullmatch(token)) is not None:
            as_number = int(found[1]) if found[1] else None
            host, as_before = (replace(host, as_number=as_number), None) if named else (host, as_number)
        elif replies and (token[0] in "!<" or token[:2] in {"F=", "L="}):
            replies[-1] = replace(replies[-1], annotations=(*replies[-1].annotations, token))
        else:
            inner = (
                as_address(follower[1:-1]) if follower.startswith("(") and follower.endswith(")") else None
            )
            bare = as_address(token)
            if inner is None and bare is None:
                raise ParseError(SOURCE, where, "neither a host, its round trip nor *", token)
            if inner is not None:
                next(rest)
            host = Reply(inner or bare, token if bare is None else None, None, as_before)
            named, as_before = True, None
            continue
        named = False
    if not replies:
        raise ParseError(SOURCE, where, "a hop without a probe", " ".join(tokens))
    return replies
