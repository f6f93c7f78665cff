"""The Session-Reflector (RFC 8762, 4.3): stateful, one count per sender's session. Pure: bytes and times in, bytes out."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from agent.stamp.packet import Reply, Request, ntp_of, pack_reply

MOST_SESSIONS = 8192
FORGOTTEN_AFTER_NS = 900_000_000_000
"""A session without packets for this long ends (REFWAIT's default, RFC 5357, 4.2)."""


@dataclass(slots=True)
class _Session:
    next_sequence: int
    last_mono_ns: int


class Reflector:
    """Counts what it reflects, by (address, port, session identifier) of the sender; forgets the longest silent."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[tuple[str, int, int], _Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def count(self, sender: tuple[str, int], request: Request, mono_ns: int) -> int:
        """This session's number of the reply to this request, from 0."""
        key = (*sender, request.session)
        session = self._sessions.pop(key, None)
        if session is None or mono_ns - session.last_mono_ns > FORGOTTEN_AFTER_NS:
            session = _Session(0, mono_ns)
        self._sessions[key] = session
        if len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        sequence = session.next_sequence
        session.next_sequence = (sequence + 1) & 0xFFFFFFFF
        session.last_mono_ns = mono_ns
        return sequence


def reply_to(
    request: Request,
    data: bytes,
    sequence: int,
    received_ns: int,
    ttl: int | None,
    error: int,
    key: bytes | None,
    now_ns: Callable[[], int],
) -> bytes:
    """The reply's bytes. received_ns: T2; now_ns gives T3 and is asked last; error: this clock's error estimate.

    ttl None where the kernel did not tell it: 255, which no packet that passed a router has.
    """
    received = ntp_of(received_ns)
    sender_ttl = 255 if ttl is None else ttl
    return pack_reply(
        Reply(
            sequence,
            ntp_of(now_ns()),
            error,
            request.session,
            received,
            request.sequence,
            request.timestamp,
            request.error,
            sender_ttl,
        ),
        key,
        data,
    )
