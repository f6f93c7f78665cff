"""The one slot for bandwidth tests of this node: at most one at a time, and how long it was taken. Pure."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

NS = 1_000_000_000


class SlotTakenError(Exception):
    """Another bandwidth test holds this node."""


class BandwidthSlot:
    """mono_ns: the monotonic clock. A test holds the slot from before its first packet until its program has ended."""

    def __init__(self, mono_ns: Callable[[], int]) -> None:
        self._mono_ns = mono_ns
        self._since_ns: int | None = None
        self._taken_ns = 0

    @property
    def is_free(self) -> bool:
        """Whether a test may start."""
        return self._since_ns is None

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Raises SlotTakenError when the slot is taken."""
        if self._since_ns is not None:
            raise SlotTakenError("another bandwidth test runs on this node")
        self._since_ns = self._mono_ns()
        try:
            yield
        finally:
            self._count()
            self._since_ns = None

    def take_seconds(self) -> float:
        """For how long the slot was held since this was last asked, a running test's part included."""
        self._count()
        taken, self._taken_ns = self._taken_ns, 0
        return taken / NS

    def _count(self) -> None:
        if self._since_ns is not None:
            now = self._mono_ns()
            self._taken_ns += now - self._since_ns
            self._since_ns = now
