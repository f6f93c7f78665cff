"""When each probe is due. Pure: time comes in as numbers, due probes go out.

Due times are absolute: start + k × interval, whatever happened in between, so a slow minute is sampled as
densely as a fast one. The phase inside the interval is a hash of (node, peer, probe, family): it is the same
after every restart, and a fleet that starts together still spreads its probes over the interval.
"""

import hashlib
import heapq
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing to do again and again. key identifies it across changes of the plan."""

    key: tuple[str, ...]
    interval_ns: int


@dataclass(frozen=True, slots=True)
class Due:
    """An entry whose time has come. due_ns: monotonic time it was due; missed: earlier times overrun and never run."""

    entry: Entry
    due_ns: int
    missed: int


def phase_ns(key: tuple[str, ...], interval_ns: int) -> int:
    """Offset of this key inside its interval: uniform over keys, equal on every run."""
    digest = hashlib.blake2b("\0".join(key).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % interval_ns


class Schedule:
    """A heap of due times.

    wall_ns and mono_ns are one reading of both clocks: they tie the phase to wall time once, and only the
    monotonic clock counts from then on, so a stepped wall clock moves nothing.
    """

    def __init__(self, wall_ns: int, mono_ns: int) -> None:
        self._wall_minus_mono = wall_ns - mono_ns
        self._entries: dict[tuple[str, ...], Entry] = {}
        self._heap: list[tuple[int, tuple[str, ...]]] = []

    def replace(self, entries: Iterable[Entry], mono_ns: int) -> None:
        """Make these the entries. Unchanged ones keep their due times; new ones start at their next phase."""
        wanted = {entry.key: entry for entry in entries}
        kept = [(due, key) for due, key in self._heap if wanted.get(key) == self._entries[key]]
        running = {key for _, key in kept}
        fresh = [
            (self._first_due(entry, mono_ns), key) for key, entry in wanted.items() if key not in running
        ]
        self._entries = wanted
        self._heap = kept + fresh
        heapq.heapify(self._heap)

    def next_due_ns(self) -> int | None:
        """Monotonic time of the next due entry, None without entries."""
        return self._heap[0][0] if self._heap else None

    def take(self, mono_ns: int) -> list[Due]:
        """All entries due at or before mono_ns, each once, and advance them to their next time after mono_ns."""
        taken = []
        while self._heap and self._heap[0][0] <= mono_ns:
            due, key = self._heap[0]
            entry = self._entries[key]
            missed = (mono_ns - due) // entry.interval_ns
            current = due + missed * entry.interval_ns
            heapq.heapreplace(self._heap, (current + entry.interval_ns, key))
            taken.append(Due(entry, current, missed))
        return taken

    def _first_due(self, entry: Entry, mono_ns: int) -> int:
        wall_ns = mono_ns + self._wall_minus_mono
        wait = (phase_ns(entry.key, entry.interval_ns) - wall_ns) % entry.interval_ns
        return mono_ns + wait


class RateCap:
    """At most this many per second, with a burst of one second's worth (token bucket)."""

    def __init__(self, per_second: float, mono_ns: int) -> None:
        self._per_second = per_second
        self._size = max(per_second, 1.0)
        self._tokens = self._size
        self._at_ns = mono_ns

    def allow(self, mono_ns: int) -> bool:
        """Take one token if there is one."""
        self._tokens = min(self._size, self._tokens + (mono_ns - self._at_ns) / 1e9 * self._per_second)
        self._at_ns = mono_ns
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class FairShare:
    """Which probes to leave out when all of them together are more than the cap: each the same share of its own.

    A token bucket alone would always meet the same peers empty-handed, because due times repeat exactly.
    share: of 0 to 1, how many of its scheduled probes each may send.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._credit: dict[tuple[str, ...], float] = {}

    def has_turn(self, key: tuple[str, ...]) -> bool:
        """Whether this scheduled probe may go; ask once for each. Keys take their turns at different times."""
        if self._share >= 1:
            return True
        credit = self._credit.get(key, phase_ns(key, 1000) / 1000) + self._share
        self._credit[key] = min(credit, 2.0)
        return credit >= 1.0

    def sent(self, key: tuple[str, ...]) -> None:
        """It went: the turn is used up. One that could not go after all keeps its turn."""
        if self._share < 1:
            self._credit[key] -= 1.0
