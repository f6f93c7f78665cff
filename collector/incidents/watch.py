"""Stored minutes to judged blocks: what is usual for every path, and where a block left it."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from agent.wire.histogram import Histogram
from agent.wire.series import SeriesKey
from collector.contract import DEFAULT_CLASS
from collector.fleet import Fleet
from collector.incidents.breach import (
    OWN_TEST,
    Breach,
    Cell,
    Usual,
    breaches_of,
    lost_and_sent,
    usual_of,
)
from collector.incidents.episodes import Block
from collector.store.blocks import PathKey, PathMeasures, StoredBlock, load_blocks, usual_mtus
from collector.store.query import load
from collector.store.schema import BLOCK_S, DAY_S
from collector.store.tiers import Period
from collector.store.totals import Totals

USUAL_DAYS = 7
"""Whole days before a block that say what is usual."""
MATURE_SAMPLES = 500
"""A series with fewer in these days learns on from the good blocks of the day itself."""
LEARN_S = 10_800
"""How far back of its own day a watch that starts in the middle of it looks for them."""


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


@dataclass(slots=True)
class _Path:
    """One path's cell in the making, and the series behind each of its probes."""

    cell: Cell
    keys: dict[str, SeriesKey] = field(default_factory=dict)


class Watch:
    """Judges blocks in order of time; remembers between them what is usual."""

    def __init__(self) -> None:
        self._day_s = -1
        self._usual: dict[SeriesKey, Usual] = {}
        self._young: dict[SeriesKey, _Seen] = {}
        self._usual_mtus: dict[PathKey, int] = {}

    def blocks(self, connection: sqlite3.Connection, fleet: Fleet, period: Period) -> Iterator[Block]:
        """Every block of the period with data, judged. Raises sqlite3.Error."""
        if period.start_s // DAY_S * DAY_S != self._day_s:
            self._begin_day(connection, period.start_s // DAY_S * DAY_S)
            learnt = Period(max(self._day_s, period.start_s - LEARN_S), period.start_s + 1)
            for stored in load_blocks(connection, learnt, BLOCK_S):
                if stored.start_s < period.start_s:
                    self._judged(stored, fleet)
        for stored in load_blocks(connection, period, BLOCK_S):
            if stored.start_s // DAY_S * DAY_S != self._day_s:
                self._begin_day(connection, stored.start_s // DAY_S * DAY_S)
            yield self._judged(stored, fleet)

    def _begin_day(self, connection: sqlite3.Connection, day_s: int) -> None:
        """What the days before made usual."""
        self._day_s = day_s
        self._usual, self._young = {}, {}
        before = Period(max(0, day_s - USUAL_DAYS * DAY_S), max(1, day_s))
        self._usual_mtus = usual_mtus(connection, before)
        _, found = load(connection, before)
        for series, both in found.items():
            seen = _Seen()
            seen.add(both.clean)
            if seen.rtt.count >= MATURE_SAMPLES:
                self._usual[series] = seen.usual()
            else:
                self._young[series] = seen

    def _judged(self, stored: StoredBlock, fleet: Fleet) -> Block:
        """The block with its breaches; young series learn from it where it is good."""
        flags = _flags(stored)
        at = datetime.fromtimestamp(stored.start_s, UTC)
        testing = {node for node, own in flags.items() if OWN_TEST in own}
        breaches: list[Breach] = []
        for key, path in _paths(stored).items():
            usual = {probe: self._usual_of(series) for probe, series in path.keys.items()}
            mtu = self._usual_mtus.get(key)
            found = list(breaches_of(path.cell, stored.start_s, usual, mtu, _objective(fleet, key, at)))
            if not found:
                self._learn(key, path)
            if key[1] not in testing:  # our own bandwidth test fills the peer's queues
                breaches += found
        heard = {series.source for series in stored.series}
        heard_mtu = {key[0] for key, found in stored.measures.items() if found.path_mtu_bytes is not None}
        return Block(stored.start_s, tuple(sorted(heard)), tuple(sorted(heard_mtu)), flags, tuple(breaches))

    def _usual_of(self, series: SeriesKey) -> Usual:
        known = self._usual.get(series)
        return known if known is not None else self._young.setdefault(series, _Seen()).usual()

    def _learn(self, key: PathKey, path: _Path) -> None:
        for probe, series in path.keys.items():
            if series in self._young:
                self._young[series].add(path.cell.series[probe].clean)
        mtu = path.cell.path_mtu_bytes
        if mtu is not None:
            self._usual_mtus.setdefault(key, mtu)


def _paths(stored: StoredBlock) -> dict[PathKey, _Path]:
    """The block's series by path. Of two clocks of one probe, the one that timed more."""
    found: dict[PathKey, _Path] = {}
    keys = {(series.source, series.destination, series.family) for series in stored.series}
    for key in keys | stored.measures.keys():
        seen = stored.measures.get(key, PathMeasures())
        found[key] = _Path(
            Cell(*key, {}, seen.path_mtu_bytes, seen.lost_forward, seen.lost_backward, seen.lossy_legs)
        )
    for series, both in stored.series.items():
        path = found[series.source, series.destination, series.family]
        rival = path.cell.series.get(series.probe)
        if rival is None or both.clean.rtt.count > rival.clean.rtt.count:
            path.cell.series[series.probe] = both
            path.keys[series.probe] = series
    return found


def _flags(stored: StoredBlock) -> dict[str, dict[str, float]]:
    """What each source did to its own minutes, worst figure."""
    found: dict[str, dict[str, float]] = {}
    for series, both in stored.series.items():
        for flag, (figure, _) in both.spoiled.flags.items():
            own = found.setdefault(series.source, {})
            if abs(figure) >= abs(own.get(flag, 0.0)):
                own[flag] = figure
    return found


def _objective(fleet: Fleet, key: PathKey, at: datetime) -> float:
    source, destination, _ = key
    known = {source, destination} <= fleet.nodes.keys()
    sla = fleet.sla(source, destination, at) if known else None
    return DEFAULT_CLASS.objective if sla is None else sla.objective
