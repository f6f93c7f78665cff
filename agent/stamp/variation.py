"""Delay variation of one direction (RFC 5481, 4.2, PDV): each delay minus the least of the window. Pure.

Both clocks' unknown offset is in the delay and in the least one alike, so it cancels; their drift within the window
does not.
"""

from collections import deque

WINDOW_NS = 60_000_000_000


class Variation:
    """One direction of one session."""

    def __init__(self) -> None:
        self._least: deque[tuple[int, int]] = (
            deque()
        )  # (sent_ns, delay_ns), delays ascending: a sliding minimum

    def add(self, sent_ns: int, delay_ns: int) -> int:
        """The variation of this packet, 0 when it is the fastest of the last minute. delay_ns may be negative."""
        least = self._least
        while least and least[-1][1] >= delay_ns:
            least.pop()
        least.append((sent_ns, delay_ns))
        while least[0][0] <= sent_ns - WINDOW_NS:
            least.popleft()
        return delay_ns - least[0][1]

    def forget(self) -> None:
        """A clock was set: earlier delays are not comparable."""
        self._least.clear()
