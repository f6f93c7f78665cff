"""Loss by source port: one bad way among equal-cost ones shows as loss on some ports and none on the others. Pure."""

from math import comb

WINDOW = 24
"""Latest probes of a leg that count."""
FEWEST = 4
"""A leg with fewer probes is not judged."""
_MASK = (1 << WINDOW) - 1
_CHANCE = 1e-6
"""A leg is lossy where loss that strikes all ports alike would strike it so often less often than this."""


class _History:
    """bits: the latest probes, 1 for a lost one; seen: how many of the bits are probes."""

    __slots__ = ("bits", "seen")

    def __init__(self) -> None:
        self.bits = 0
        self.seen = 0

    @property
    def lost(self) -> int:
        return self.bits.bit_count()


class Legs:
    """What the ports towards one target lost lately. lossy: legs with more loss than chance explains."""

    def __init__(self) -> None:
        self.lossy: frozenset[int] = frozenset()
        self.worst_loss_ratio: float | None = None
        self._histories: dict[int | None, _History] = {}

    def add(self, leg: int | None, *, lost: bool) -> bool:
        """Count one probe of a leg, None for ports used once. True when the set of lossy legs has changed."""
        history = self._histories.get(leg)
        if history is None:
            history = self._histories[leg] = _History()
        had_loss = history.bits
        history.bits = (history.bits << 1 | lost) & _MASK
        history.seen = min(history.seen + 1, WINDOW)
        if had_loss or lost or self.worst_loss_ratio is None:
            return self._judge()
        return False

    def loss_of(self, leg: int) -> tuple[int, int]:
        """(lost, sent) of a leg within its window."""
        history = self._histories[leg]
        return history.lost, history.seen

    def _judge(self) -> bool:
        judged = {
            leg: history
            for leg, history in self._histories.items()
            if leg is not None and history.seen >= FEWEST
        }
        self.worst_loss_ratio = max((h.lost / h.seen for h in judged.values()), default=None)
        before, self.lossy = (
            self.lossy,
            frozenset(leg for leg, history in judged.items() if self._is_lossy(history)),
        )
        return before != self.lossy

    def _is_lossy(self, history: _History) -> bool:
        lost = history.lost
        if not lost:
            return False
        all_lost = sum(h.lost for h in self._histories.values())
        all_seen = sum(h.seen for h in self._histories.values())
        return chance_of_loss(lost, history.seen, all_lost, all_seen) < _CHANCE


def chance_of_loss(lost: int, sent: int, all_lost: int, all_sent: int) -> float:
    """Probability that `sent` packets drawn from all include `lost` or more of the lost ones (Fisher's exact test)."""
    most = min(sent, all_lost)
    ways = sum(comb(sent, k) * comb(all_sent - sent, all_lost - k) for k in range(lost, most + 1))
    return ways / comb(all_sent, all_lost)
