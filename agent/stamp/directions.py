"""Which direction lost, reordered or doubled a packet: told by the stateful reflector's own count (RFC 8762, 4.3). Pure.

A probe S without an answer was lost on the way there if the reflector never counted it, and on the way back if
the reflector's numbers have a gap. That shows with the next answer to a later probe, so a loss is attributed then.
"""

from collections.abc import Mapping

_MOST_WAITING = 10_000
COUNTS = (
    "lost_forward",
    "lost_backward",
    "reordered_forward",
    "reordered_backward",
    "duplicated_forward",
    "duplicated_backward",
    "reflector_restarts",
)
_NONE: Mapping[str, int] = dict.fromkeys(COUNTS, 0)


class Directions:
    """One session's books. The counts are since they were last taken.

    reordered_…: arrived after a packet sent later (RFC 4737, 3.3); duplicated_…: arrived again (RFC 5560).
    reflector_restarts: it began to count anew; what was lost before is then attributed to no direction.
    """

    def __init__(self) -> None:
        self._next = 0  # the reflector's number that would come next without loss or reordering
        self._missing: set[int] = set()
        self._newest_reflected = -1  # the probe with the reflector's highest number
        self._open: dict[int, None] = {}
        self._lost: list[int] = []
        self._replies: dict[int, int] = {}
        self._attributed_before = 0  # every loss among probes older than this was looked at
        self._counts = _NONE

    def sent(self, probe: int) -> None:
        """A probe left; its numbers ascend from 0."""
        self._open[probe] = None

    def replied(self, probe: int, number: int) -> None:
        """The first answer to a probe came, with this number of the reflector."""
        self._replies[probe] = number
        self._see(probe, number)

    def repeated(self, probe: int, number: int) -> None:
        """Another answer to a probe came: with a number of its own when the request was doubled."""
        if number >= self._next or number in self._missing:
            self._count("duplicated_forward")
            self._see(probe, number)
        else:
            self._count("duplicated_backward")

    def late(self, probe: int, number: int) -> None:
        """The answer to a probe came after its deadline: it is lost in no direction, unless already attributed."""
        if probe in self._lost:
            self._lost.remove(probe)
        self._see(probe, number)

    def ended(self, probe: int, *, answered: bool) -> None:
        """The probe has its outcome; attributes those losses that can be told now."""
        self._open.pop(probe, None)
        if not answered:
            self._lost.append(probe)
        oldest_open = next(iter(self._open), max(probe, self._newest_reflected) + 1)
        if not self._lost:
            if not self._open:
                self._missing.clear()  # with nothing lost they were second reflections of doubled requests
            if not self._open or len(self._replies) > _MOST_WAITING:
                self._replies.clear()
        elif oldest_open != self._attributed_before or not self._open:
            self._attributed_before = oldest_open
            self._attribute(oldest_open)

    def take(self) -> Mapping[str, int]:
        """The counts, by name, and begin them anew."""
        counts, self._counts = self._counts, _NONE
        return counts

    def _count(self, name: str, more: int = 1) -> None:
        self._counts = {**self._counts, name: self._counts[name] + more}

    def _see(self, probe: int, number: int) -> None:
        if number >= self._next:
            if self._newest_reflected < 0 and number > probe:
                self._next = (
                    number  # it counts on from before this session, which tells nothing of losses so far
                )
                self._lost.clear()
            elif number - self._next > _MOST_WAITING:
                self._restart(number)
            self._missing.update(range(self._next, number))
            self._next = number + 1
            if probe < self._newest_reflected:
                self._count("reordered_forward")
            else:
                self._newest_reflected = probe
        elif number in self._missing:
            self._missing.discard(number)
            self._count("reordered_backward")
        elif probe > self._newest_reflected:
            self._restart(number + 1)
            self._newest_reflected = probe

    def _restart(self, expected: int) -> None:
        self._count("reflector_restarts")
        self._next = expected
        self._missing.clear()
        self._lost.clear()
        self._replies.clear()

    def _attribute(self, oldest_open: int) -> None:
        """Probes before oldest_open have ended; the latest answered one of them splits the losses before it."""
        anchor = max((probe for probe in self._replies if probe < oldest_open), default=None)
        if anchor is None:
            del self._lost[:-_MOST_WAITING]
            return
        number = self._replies[anchor]
        if self._lost:
            lost = sum(probe < anchor for probe in self._lost)
            backward = min(lost, sum(missing < number for missing in self._missing))
            self._count("lost_backward", backward)
            self._count("lost_forward", lost - backward)
            self._lost = [probe for probe in self._lost if probe > anchor]
            self._missing = {missing for missing in self._missing if missing > number}
        self._replies = {probe: reply for probe, reply in self._replies.items() if probe >= anchor}
