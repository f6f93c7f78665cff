"""Wire format of the question from which address one's packets come, asked now or to be answered after a pause.

No RFC has this one: STUN (RFC 8489) answers at once only, so a mapping's lifetime would need a second address there
(RFC 5780, 4.6). Question and answer are both 36 bytes, in network byte order: magic (8), nonce (8), delay in
seconds (2), source address (16, IPv4 as ::ffff:a.b.c.d), source port (2). A question's source is zero.
"""

import ipaddress
import struct
from dataclasses import dataclass, replace

from agent.kernel.parse_error import ParseError

SOURCE = "NAT mapping packet"
LONGEST_DELAY_SECONDS = 300
_QUESTION, _ANSWER = b"LFnat?1\0", b"LFnat!1\0"
_PACKET = struct.Struct("!8sQH16sH")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address in its usual notation, without a zone, and a UDP port."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Question:
    """nonce: 64 bits, returned as they are. delay_seconds: 0 … 300, after which to answer."""

    nonce: int
    delay_seconds: int


@dataclass(frozen=True, slots=True)
class Answer:
    """delay_seconds: how long the answer was held back; 0 where it was not, though it was asked for. seen: the asker."""

    nonce: int
    delay_seconds: int
    seen: Endpoint


def endpoint_of(address: str, port: int) -> Endpoint:
    """What a socket calls an address, as it is compared: no zone, IPv4 as IPv4. Raises ValueError for no address."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return Endpoint(str(mapped or ip), port)


def is_question(payload: bytes) -> bool:
    """Whether it begins as a question does."""
    return payload.startswith(_QUESTION)


def pack_question(question: Question) -> bytes:
    """36 bytes."""
    return _PACKET.pack(_QUESTION, question.nonce, question.delay_seconds, bytes(16), 0)


def parse_question(payload: bytes) -> Question:
    """Raises ParseError for anything else."""
    nonce, delay_seconds, _, _ = _fields(payload, _QUESTION)
    if delay_seconds > LONGEST_DELAY_SECONDS:
        raise ParseError(SOURCE, "delay", f"at most {LONGEST_DELAY_SECONDS} s, got {delay_seconds}")
    return Question(nonce, delay_seconds)


def pack_answer(answer: Answer) -> bytes:
    """36 bytes. Raises ValueError where the address is none."""
    ip = ipaddress.ip_address(answer.seen.address)
    packed = ip.packed if ip.version == 6 else b"\0" * 10 + b"\xff\xff" + ip.packed
    return _PACKET.pack(_ANSWER, answer.nonce, answer.delay_seconds, packed, answer.seen.port)


def parse_answer(payload: bytes) -> Answer:
    """Raises ParseError for anything else."""
    nonce, delay_seconds, packed, port = _fields(payload, _ANSWER)
    return Answer(nonce, delay_seconds, endpoint_of(str(ipaddress.IPv6Address(packed)), port))


def at_once(answer: Answer) -> Answer:
    """The same where nothing was held back."""
    return replace(answer, delay_seconds=0)


def _fields(payload: bytes, magic: bytes) -> tuple[int, int, bytes, int]:
    if len(payload) != _PACKET.size:
        raise ParseError(SOURCE, "length", f"expected {_PACKET.size} bytes, got {len(payload)}")
    found, nonce, delay_seconds, packed, port = _PACKET.unpack(payload)
    if found != magic:
        raise ParseError(SOURCE, "magic", f"expected {magic!r}, got {found!r}")
    return nonce, delay_seconds, packed, port
