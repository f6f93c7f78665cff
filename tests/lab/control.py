"""What the tests' process and the emulator's say to each other, as JSON over a SOCK_SEQPACKET pair."""

import msgspec

from lab.path import Path
from lab.transit import Counters

MESSAGE_LIMIT_BYTES = 200_000


class NodeSetup(msgspec.Struct, frozen=True):
    """A node to connect: its namespace (an inherited descriptor) and its addresses."""

    name: str
    netns_fd: int
    addresses: tuple[str, ...]


class Start(msgspec.Struct, frozen=True, tag="start"):
    """First message: open a TUN device named `device` in every node."""

    nodes: tuple[NodeSetup, ...]
    device: str
    seed: int
    read_bytes: int


class SetPath(msgspec.Struct, frozen=True, tag="set-path"):
    """Put the direction source → destination (node numbers) under these settings."""

    source: int
    destination: int
    path: Path


class ReadCounters(msgspec.Struct, frozen=True, tag="read-counters"):
    """Ask for the counts of one direction."""

    source: int
    destination: int


class Answer(msgspec.Struct, frozen=True):
    """To every request, once it is in force."""

    counters: Counters | None = None


Request = Start | SetPath | ReadCounters

encode = msgspec.json.encode
decode_request = msgspec.json.Decoder(Request).decode
decode_answer = msgspec.json.Decoder(Answer).decode
