"""Stored minutes to judged blocks: where each path left its usual ways."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from agent.wire.series import SeriesKey
from collector.contract import DEFAULT_CLASS
from collector.fleet import Fleet
from collector.incidents.breach import OWN_TEST, Breach, Cell, breaches_of
from collector.incidents.episodes import Block
from collector.incidents.usual import MOST_DAYS, Usuals
from collector.store.blocks import PathKey, PathMeasures, StoredBlock, load_blocks
from collector.store.incidents import judged_blocks
from collector.store.schema import BLOCK_S, DAY_S
from collector.store.tiers import Period

LEARN_S = 10_800
"""How far back of its own day a watch that starts in the middle of it looks for good blocks of young series."""


@dataclass(slots=True)
class _Path:
    """One path's cell in the making, and the series behind each of its probes."""

    cell: Cell
    keys: dict[str, SeriesKey] = field(default_factory=dict)


class Watch:
    """Judges blocks in order of time; remembers between them what is usual."""

    def __init__(self) -> None:
        self._usuals: Usuals | None = None

    def blocks(self, connection: sqlite3.Connection, fleet: Fleet, period: Period) -> Iterator[Block]:
        """Every block of the period with data, judged. Raises sqlite3.Error."""
        if self._usuals is None:
            before = Period(max(0, period.start_s - MOST_DAYS * DAY_S), max(1, period.start_s))
            self._usuals = Usuals(map(decode_block, judged_blocks(connection, before)))
        usuals, day_s = self._usuals, period.start_s // DAY_S * DAY_S
        if day_s != usuals.day_s:
            usuals.begin_day(connection, day_s)
            learnt = Period(max(day_s, period.start_s - LEARN_S), period.start_s + 1)
            for stored in load_blocks(connection, learnt, BLOCK_S):
                if stored.start_s < period.start_s:
                    _judged(stored, fleet, usuals)
        for stored in load_blocks(connection, period, BLOCK_S):
            if stored.start_s // DAY_S * DAY_S != usuals.day_s:
                usuals.begin_day(connection, stored.start_s // DAY_S * DAY_S)
            block = _judged(stored, fleet, usuals)
            usuals.note(block)
            yield block


def decode_block(found: bytes) -> Block:
    """A judged block as it was stored."""
    return _DECODER.decode(found)


_DECODER = msgspec.json.Decoder(Block)


def _judged(stored: StoredBlock, fleet: Fleet, usuals: Usuals) -> Block:
    """The block with its breaches; young series learn from it where it is good."""
    flags = _flags(stored)
    at = datetime.fromtimestamp(stored.start_s, UTC)
    testing = {node for node, own in flags.items() if OWN_TEST in own}
    breaches: list[Breach] = []
    for key, path in _paths(stored).items():
        usual = {probe: usuals.of(series) for probe, series in path.keys.items()}
        mtu = usuals.mtu_bytes(key)
        found = list(breaches_of(path.cell, stored.start_s, usual, mtu, _objective(fleet, key, at)))
        if not found:
            _learn(usuals, key, path)
        if key[1] not in testing:  # our own bandwidth test fills the peer's queues
            breaches += found
    heard = {series.source for series in stored.series}
    heard_mtu = {key[0] for key, found in stored.measures.items() if found.path_mtu_bytes is not None}
    return Block(stored.start_s, tuple(sorted(heard)), tuple(sorted(heard_mtu)), flags, tuple(breaches))


def _learn(usuals: Usuals, key: PathKey, path: _Path) -> None:
    for probe, series in path.keys.items():
        usuals.learn(series, path.cell.series[probe].clean)
    if path.cell.path_mtu_bytes is not None:
        usuals.learn_mtu(key, path.cell.path_mtu_bytes)


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
