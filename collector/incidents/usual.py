"""What is usual for every path, from the days before: days that were themselves out of the usual do not count."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from agent.wire.histogram import Histogram
from agent.wire.series import SeriesKey
from collector.incidents.breach import Breach, Kind, Usual, lost_and_sent, usual_of
from collector.incidents.episodes import Block, Pair
from collector.store.blocks import PathKey, usual_mtus
from collector.store.query import load
from collector.store.schema import DAY_S
from collector.store.tiers import Period
from collector.store.totals import Totals

USUAL_DAYS, MOST_DAYS = 7, 28
"""The whole days before that say what is usual; how far back others are sought in place of bad ones. What lasts longer
has become the usual itself."""
BAD_DAY_SHARE = 0.25
"""A day of a path is bad when it was out of its usual in so many of its blocks; an evening is not."""
MATURE_SAMPLES = 500
"""A series with fewer in these days learns on from the good blocks of the day itself."""


@dataclass(slots=True)
class _Seen:
    """Samples and counts of a series so far."""

    rtt: Histogram = field(default_factory=Histogram)
    judged: int = 0
    over_limit: int = 0
    lost: int = 0
    sent: int = 0

    def add(self, totals: Totals) -> None:
        """Count these minutes too."""
        lost, sent = lost_and_sent(totals)
        self.rtt.merge(totals.rtt)
        self.judged += totals.judged
        self.over_limit += totals.over_limit
        self.lost += lost
        self.sent += sent

    def usual(self) -> Usual:
        """What this makes usual."""
        return usual_of(self.rtt, self.judged, self.over_limit, self.lost, self.sent)


class Usuals:
    """For one day at a time, in order. Blocks are noted so that the days after know which were bad."""

    def __init__(self, earlier: Iterable[Block] = ()) -> None:
        self.day_s = -1
        self._usual: dict[SeriesKey, Usual] = {}
        self._young: dict[SeriesKey, _Seen] = {}
        self._mtus: dict[PathKey, int] = {}
        self._blocks: Counter[tuple[str, int]] = Counter()
        self._bad: Counter[tuple[Pair, int]] = Counter()
        for block in earlier:
            self.note(block)

    def begin_day(self, connection: sqlite3.Connection, day_s: int) -> None:
        """Read what the days before made usual. Raises sqlite3.Error."""
        self.day_s = day_s
        self._usual, self._young = {}, {}
        bad = self._bad_days(day_s)
        recent = Period(max(0, day_s - USUAL_DAYS * DAY_S), max(1, day_s))
        spans = [recent]
        if bad and recent.start_s > 0:
            spans.append(Period(max(0, day_s - MOST_DAYS * DAY_S), recent.start_s))
        seen: dict[SeriesKey, _Seen] = {}
        for span in spans:

            def cuts(source: str, destination: str, span: Period = span) -> tuple[Period, ...]:
                mine = tuple(bad.get((source, destination), ()))
                return mine if mine or span is recent else (span,)

            for series, both in load(connection, span, cuts)[1].items():
                seen.setdefault(series, _Seen()).add(both.clean)
        for series, here in seen.items():
            if here.rtt.count >= MATURE_SAMPLES:
                self._usual[series] = here.usual()
            else:
                self._young[series] = here
        self._mtus = usual_mtus(connection, Period(max(0, day_s - MOST_DAYS * DAY_S), max(1, day_s)))

    def of(self, series: SeriesKey) -> Usual:
        """How this series usually does."""
        known = self._usual.get(series)
        return known if known is not None else self._young.setdefault(series, _Seen()).usual()

    def mtu_bytes(self, path: PathKey) -> int | None:
        """The usual path MTU; None where none is known."""
        return self._mtus.get(path)

    def learn(self, series: SeriesKey, good: Totals) -> None:
        """A good block of the day: what is usual of a young series."""
        if series in self._young:
            self._young[series].add(good)

    def learn_mtu(self, path: PathKey, mtu_bytes: int) -> None:
        """The first MTU of a path that had none before is its usual one."""
        self._mtus.setdefault(path, mtu_bytes)

    def note(self, block: Block) -> None:
        """Remember which paths were out of their usual."""
        day_s = block.start_s // DAY_S * DAY_S
        self._blocks.update((source, day_s) for source in block.heard)
        self._bad.update({(pair, day_s) for pair in _out_of_usual(block.breaches)})

    def _bad_days(self, day_s: int) -> dict[Pair, list[Period]]:
        """By path, in order; what is too old to matter is forgotten."""
        first_s = day_s - MOST_DAYS * DAY_S
        for counter in (self._blocks, self._bad):
            for key in [key for key in counter if key[1] < first_s]:
                del counter[key]
        found: dict[Pair, list[Period]] = {}
        for (pair, at), count in sorted(self._bad.items()):
            if at < day_s and count >= BAD_DAY_SHARE * self._blocks[pair[0], at]:
                found.setdefault(pair, []).append(Period(at, at + DAY_S))
        return found


def _out_of_usual(breaches: Iterable[Breach]) -> Iterator[Pair]:
    return ((each.source, each.destination) for each in breaches if each.kind is not Kind.MTU)
