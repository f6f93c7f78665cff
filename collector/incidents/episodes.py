"""Breaches of one path joined over time, with hysteresis. Pure."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from collector.incidents.breach import Breach, Kind
from collector.store.schema import BLOCK_S

Pair = tuple[str, str]
"""source, destination"""

SURE_SCORE = 10.0
"""Breaches in a row that together are less probable than 1 in 10^10: a mesh of 100 nodes asks that three million
times a day."""
HINTED_SCORE = 6.0
"""Hints and breaches in a row from which a path may corroborate another's incident."""
GOOD_BLOCKS = 2
"""So many measured blocks without a breach end it; fewer are part of it."""
SILENCE_S = 7200
"""A source not heard for so long has ended its episodes: nobody knows what came after."""


class Block(msgspec.Struct, frozen=True):
    """One block of the whole mesh. heard: sources with data; heard_mtu: sources that measured an MTU.

    flags: node → what it did itself to its minutes, by quality flag.
    """

    start_s: int
    heard: tuple[str, ...]
    heard_mtu: tuple[str, ...]
    flags: dict[str, dict[str, float]]
    breaches: tuple[Breach, ...]


@dataclass(frozen=True, slots=True)
class Episode:
    """One path's breaches of one kind in a row, from the first that is no hint (where all are, from the first).

    end_s: of the last; open: whether it may still go on. score: of what is no hint; support: of all.
    """

    pair: Pair
    kind: Kind
    start_s: int
    end_s: int
    open: bool
    score: float
    support: float
    breaches: tuple[Breach, ...]

    @property
    def sure(self) -> bool:
        """Whether it is an incident by itself."""
        return self.score >= SURE_SCORE

    @property
    def telling(self) -> bool:
        """Whether it can at least corroborate one."""
        return self.sure or self.support >= HINTED_SCORE


def episodes_of(
    blocks: Sequence[Block], good_blocks: Callable[[Pair, Kind], int] = lambda _pair, _kind: GOOD_BLOCKS
) -> list[Episode]:
    """Of blocks in order of time, without repeats; good_blocks: how many end an episode of that path and kind."""
    if not blocks:
        return []
    heard = _Heard(blocks)
    found: dict[tuple[Pair, Kind], list[Breach]] = {}
    for block in blocks:
        for breach in block.breaches:
            found.setdefault(((breach.source, breach.destination), breach.kind), []).append(breach)
    episodes = []
    for (pair, kind), breaches in found.items():
        needed = good_blocks(pair, kind)
        row = breaches[:1]
        for breach in breaches[1:]:
            if heard.is_over(row[-1], breach.block_s, needed):
                episodes.append(_episode(pair, kind, row, is_open=False))
                row = []
            row.append(breach)
        over = heard.is_over(row[-1], heard.until_s, needed)
        episodes.append(_episode(pair, kind, row, is_open=not over))
    return sorted(episodes, key=lambda each: (each.start_s, each.kind, each.pair))


class _Heard:
    """When each source was heard; until_s: the end of what is known."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.until_s = blocks[-1].start_s + BLOCK_S
        self._starts: dict[tuple[str, bool], list[int]] = {}
        for block in blocks:
            for of_mtu, sources in ((False, block.heard), (True, block.heard_mtu)):
                for source in sources:
                    self._starts.setdefault((source, of_mtu), []).append(block.start_s)

    def is_over(self, last: Breach, next_s: int, needed: int) -> bool:
        """Whether an episode whose latest breach is this one had ended before next_s."""
        after_s = last.block_s + BLOCK_S
        if next_s - after_s > SILENCE_S:
            return True
        starts = self._starts.get((last.source, last.kind is Kind.MTU), [])
        return bisect_left(starts, next_s) - bisect_left(starts, after_s) >= needed


def _episode(pair: Pair, kind: Kind, row: Sequence[Breach], *, is_open: bool) -> Episode:
    first = next((at for at, breach in enumerate(row) if not breach.hint), 0)
    scores: dict[tuple[int, bool], float] = {}
    for breach in row:
        here = (breach.block_s, breach.hint)
        scores[here] = max(scores.get(here, 0.0), breach.score)
    score = sum(value for (_, hint), value in scores.items() if not hint)
    end_s = row[-1].block_s + BLOCK_S
    return Episode(
        pair, kind, row[first].block_s, end_s, is_open, score, sum(scores.values()), tuple(row[first:])
    )
