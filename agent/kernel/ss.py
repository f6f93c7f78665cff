"""`ss` text (iproute2 2.6 to 7.x, misc/ss.c) into sockets: with any of its flags, one line per socket or several.

Lines belong to the socket whose row came before them, so that text wrapped by a terminal or a mail program reads
the same. Rows of other protocols than TCP and MPTCP are left out.
"""

import re
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import Any, NamedTuple

from agent.kernel.parse_error import ParseError
from agent.kernel.ss_values import FLAGS, KEYS, RATES, Fields, read_rate, read_users
from agent.kernel.tcp_socket import STATES, Socket, User, to_json

_HEADER = frozenset({"Netid", "State", "Recv-Q", "Send-Q", "Local", "Address:Port", "Peer", "Process"})
_STATES = frozenset(STATES.values()) | {"UNKNOWN", "UNDEF"}
_NETID = re.compile(r"[a-z][a-z0-9_?]{0,11}|\?\?\?")
_QUEUE = re.compile(r"-?[0-9]{1,19}")
_ENDPOINT = re.compile(r"\S*:\S+")
_SPACELESS = re.compile(r"\S+")
_KEYED = re.compile(r"([A-Za-z][A-Za-z0-9_-]*):(.*)")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.+-]*")
_SHUTDOWN = {"<->": [], "-->": ["receive"], "<--": ["send"], "---": ["receive", "send"]}
_BEFORE_TCP_INFO = (FLAGS - {"app_limited"}) | frozenset(
    {
        "users",
        "timer",
        "uid",
        "ino",
        "sk",
        "fwmark",
        "cgroup",
        "v6only",
        "shutdown",
        "tos",
        "tclass",
        "class_id",
        "skmem",
    }
)
_MPTCP_FLAGS = frozenset({"fallback", "remote_key"})


_NOT_SOCKETS = ("#", "$ ", "Failed to ")
"""A quoted command, or what `ss` says on its error output (no cgroup2 mount)."""


class _Token(NamedTuple):
    line: int
    text: str
    users: list[User] | None = None


def parse_ss(data: bytes) -> list[Socket]:
    """The TCP and MPTCP sockets in the text's order; [] where there are none. Raises ParseError.

    Details without a row, as people quote them, give a socket whose state, local and remote are None.
    """
    return list(iter_ss(data))


def iter_ss(data: bytes) -> Iterator[Socket]:
    """parse_ss one socket at a time, for a text of many."""
    lines = (line.decode("utf-8", "replace") for line in BytesIO(data))
    return (_socket(list(_tokens(block))) for block in _blocks(lines))


def inspect_ss(data: bytes) -> list[dict[str, Any]]:
    """parse_ss as JSON-ready values."""
    return [to_json(socket) for socket in parse_ss(data)]


def _blocks(lines: Iterable[str]) -> Iterator[list[tuple[int, str]]]:
    """The lines of each TCP socket with their numbers, its row first where there is one."""
    block: list[tuple[int, str]] = []
    skipping = False
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or _HEADER.issuperset(words) or line.startswith(_NOT_SOCKETS):
            continue
        netid = _netid_of_row(words)
        if netid is not None:
            if block:
                yield block
            block = []
            skipping = netid not in ("", "tcp", "mptcp")
        elif not (skipping or _continues(block, line) or _has_known_key(words)):
            raise ParseError(
                "ss", f"line {number}", "neither a socket's row nor details of one", line.strip()
            )
        if not skipping:
            block.append((number, line))
    if block:
        yield block


def _netid_of_row(words: list[str]) -> str | None:
    """The protocol of a row, "" where the column is not shown; None for a line that is no row."""
    if words[0] in _STATES:
        return ""
    if words[0] == "`-":  # an association below its SCTP socket
        return "sctp"
    if len(words) > 1 and words[1] in _STATES and _NETID.fullmatch(words[0]):
        return words[0]
    return None


def _continues(block: list[tuple[int, str]], line: str) -> bool:
    """Whether an unknown line can belong to the block: it is indented, or the row still lacks an address."""
    if not block:
        return False
    return (
        line[0] in " \t"
        or sum(bool(_ENDPOINT.fullmatch(word)) for _, part in block for word in part.split()) < 2
    )


def _has_known_key(words: list[str]) -> bool:
    return any(word in RATES or word in FLAGS or word.partition(":")[0] in KEYS for word in words)


def _tokens(block: list[tuple[int, str]]) -> Iterator[_Token]:
    for number, line in block:
        place = 0
        while found := _SPACELESS.search(line, place):
            if found[0].startswith("users:(("):
                try:
                    users, place = read_users(line, found.start() + len("users:("))
                except ValueError as error:
                    raise ParseError("ss", f"line {number}", str(error), line[found.start() :]) from error
                yield _Token(number, "users", users)
            else:
                place = found.end()
                yield _Token(number, found[0])


def _socket(tokens: list[_Token]) -> Socket:
    has_row = tokens[0].text in _STATES or (len(tokens) > 1 and tokens[1].text in _STATES)
    row, details = _row(tokens) if has_row else ({"state": None, "local": None, "remote": None}, tokens)
    fields: Fields = {}
    other: dict[str, Any] = {}
    rest = iter(details)
    for token in rest:
        try:
            fields |= _detail(token, rest, fields, other)
        except ValueError as error:
            raise ParseError("ss", f"line {token.line}", str(error), token.text) from error
    return Socket(**row, **fields, other=other or None)


def _row(tokens: list[_Token]) -> tuple[Fields, list[_Token]]:
    """[netid] state [recv-q send-q] local remote; the queues are missing with -Q."""
    texts = [token.text for token in tokens]
    row: Fields = {}
    if texts[0] not in _STATES:
        row["netid"] = texts.pop(0)
    row["state"] = texts.pop(0)
    if len(texts) > 1 and _QUEUE.fullmatch(texts[0]) and _QUEUE.fullmatch(texts[1]):
        row["recv_q"], row["send_q"] = int(texts.pop(0)), int(texts.pop(0))
    if len(texts) < 2 or not (_ENDPOINT.fullmatch(texts[0]) and _ENDPOINT.fullmatch(texts[1])):
        where = f"line {tokens[0].line}"
        raise ParseError(
            "ss", where, "expected STATE RECV-Q SEND-Q LOCAL:PORT REMOTE:PORT", " ".join(texts[:2])
        )
    row["local"], row["remote"] = texts[:2]
    return row, tokens[len(tokens) - len(texts) + 2 :]


def _detail(token: _Token, rest: Iterator[_Token], fields: Fields, other: dict[str, Any]) -> Fields:
    """The fields that one word holds, with the words after it that are its value; strangers go to other."""
    text = token.text
    if token.users is not None:
        return {"users": token.users}
    if text in RATES:
        return read_rate(text, _next(rest))
    if text in FLAGS:
        return {text: True}
    if text in _SHUTDOWN:
        return {"shutdown": _SHUTDOWN[text]}
    if keyed := _KEYED.fullmatch(text):
        key, value = keyed.groups()
        if key in KEYS:
            return KEYS[key](value)
        other[key] = _plain(value) if value else _spaced(rest)
    elif text.startswith("tcp-ulp-"):
        return {"ulp": text.removeprefix("tcp-ulp-")}
    elif _WORD.fullmatch(text) and text not in _MPTCP_FLAGS and _BEFORE_TCP_INFO.issuperset(fields):
        return {"congestion": text}  # the one word of free choice stands before the first key of tcp_info
    else:
        other[text] = True
    return {}


def _next(rest: Iterator[_Token]) -> str:
    token = next(rest, None)
    if token is None:
        raise ValueError("a value must follow")
    return token.text


def _spaced(rest: Iterator[_Token]) -> int | float | str:
    """The value of "rxconf: sw" or "inet-sockopt: ( is_icsk mc_loop)"."""
    value = _next(rest)
    while value.startswith("(") and not value.endswith(")"):
        value += " " + _next(rest)
    return _plain(value)


def _plain(text: str) -> int | float | str:
    if re.fullmatch(r"-?[0-9]{1,20}", text):
        return int(text)
    return float(text) if re.fullmatch(r"-?[0-9]{1,20}\.[0-9]{1,20}", text) else text
