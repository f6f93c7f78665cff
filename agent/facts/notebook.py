"""Where the subjects write their facts: name, value, source, and why a value is missing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from agent.kernel.parse_error import ParseError
from agent.net.procfs import ProcRoot, missing_reason
from agent.wire.batch import Fact

T = TypeVar("T")
NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-")

NOT_A_LIVE_HOST = "not told by files: only the running host answers this"
NOT_SET = "not set"


@dataclass(frozen=True, slots=True)
class Missing:
    """A value that could not be had. reason begins with "absent", "not permitted", "refused", "malformed" or "not"."""

    reason: str


class Notebook:
    """Facts in the order they were noted. One per collection."""

    def __init__(self, root: ProcRoot, time_s: int) -> None:
        self.root = root
        self.facts: list[Fact] = []
        self._time_s = time_s
        self._names: set[str] = set()

    def note(self, name: str, value: Any, source: str) -> None:
        """One fact; a Missing value is noted with its reason. The first fact of a name stands."""
        if name in self._names:
            return
        self._names.add(name)
        if isinstance(value, Missing):
            self.facts.append(Fact(name, None, source, self._time_s, value.reason))
        else:
            self.facts.append(Fact(name, value, source, self._time_s))

    def parsed(self, source: str, parse: Callable[[bytes], T]) -> T | Missing:
        """The parsed content of a file below the root, or why there is none."""
        return asked(lambda: parse(self.root.read(source)))

    def note_file(self, name: str, source: str, parse: Callable[[bytes], T]) -> T | None:
        """Note a file's parsed content as one fact, and return it too; None when it is missing."""
        value = self.parsed(source, parse)
        self.note(name, value, source)
        return None if isinstance(value, Missing) else value


def asked(question: Callable[[], T]) -> T | Missing:
    """The answer, or the reason for none, of anything that reads or parses."""
    try:
        return question()
    except (OSError, ParseError) as error:
        return Missing(missing_reason(error))


def present(value: T | Missing) -> T | None:
    """The value without its reason."""
    return None if isinstance(value, Missing) else value


def stripped(data: bytes) -> str:
    """A one-line file as text. Bytes that are no text are shown as such: a board's vendor string may be anything."""
    return data.decode(errors="replace").strip("\0 \t\r\n")


def part_of_name(word: str) -> str:
    """An interface's or a file's name as part of a fact's name: anything unusual as [hex], so that none collide."""
    return "".join(
        c if c in NAME_CHARACTERS else f"[{c.encode(errors='surrogateescape').hex()}]" for c in word
    )
