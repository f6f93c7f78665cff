"""One batch into the store, exactly once: its windows, its facts and its (node, boot, sequence) in one transaction."""

import sqlite3
from dataclasses import dataclass
from enum import StrEnum

from agent.wire.batch import Batch, Window
from agent.wire.histogram import MAX_NS
from agent.wire.series import SeriesKey
from collector.store.evidence import UnreasonableError, store_events, store_facts
from collector.store.incidents import note_pending
from collector.store.measures import store_measures
from collector.store.schema import (
    HOUR_S,
    MINUTE_COLUMNS,
    MOST_SAMPLES_PER_MINUTE,
    MOST_SUM_NS_PER_MINUTE,
    OUTCOME_COLUMNS,
)
from collector.store.totals import minute_row

MOST_AHEAD_SECONDS = 86400
"""How far a node's wall clock may run ahead of the collector's before its windows are refused."""
MOST_SERIES_PER_NODE = 20_000
MOST_FLAGS_PER_WINDOW = 32
MOST_MEASURES_PER_WINDOW = 64

_ADDED = ("count", "sum_ns", "judged", "over_limit", *OUTCOME_COLUMNS)
_UPSERT = (
    f"INSERT INTO minute ({', '.join(MINUTE_COLUMNS)}) VALUES ({', '.join('?' * len(MINUTE_COLUMNS))})"
    f" ON CONFLICT DO UPDATE SET {', '.join(f'{column} = {column} + excluded.{column}' for column in _ADDED)},"
    " min_ns = ifnull(min(min_ns, excluded.min_ns), ifnull(min_ns, excluded.min_ns)),"
    " max_ns = ifnull(max(max_ns, excluded.max_ns), ifnull(max_ns, excluded.max_ns)),"
    " limit_low_ns = ifnull(min(limit_low_ns, excluded.limit_low_ns), ifnull(limit_low_ns, excluded.limit_low_ns)),"
    " limit_high_ns = ifnull(max(limit_high_ns, excluded.limit_high_ns), ifnull(limit_high_ns, excluded.limit_high_ns)),"
    " quality = merge_quality(quality, excluded.quality),"
    " histogram = merge_buckets(histogram, excluded.histogram)"
)


class BatchRefusedError(ValueError):
    """A well-formed batch with content that no sane agent sends; the message says which. Nothing was stored."""


class AheadError(ValueError):
    """Windows beyond this collector's clock: it or the node's is wrong, and may be put right. Nothing was stored."""


class Stored(StrEnum):
    """What became of a batch."""

    STORED = "stored"
    REPEATED = "repeated"  # the same (node, boot, sequence) was stored before; nothing changed


@dataclass(frozen=True, slots=True)
class _Known:
    """Ids that are surely in the file. Only valid while no transaction was undone: see BatchStore.forget."""

    nodes: dict[str, int]
    series: dict[SeriesKey, int]
    series_of_node: dict[int, int]


class BatchStore:
    """Stores batches through the writer's connection; remembers ids between them. Used in the writer's thread only."""

    def __init__(self) -> None:
        self._known = _Known({}, {}, {})

    def forget(self) -> None:
        """Drop every remembered id; called when a transaction was undone."""
        self._known = _Known({}, {}, {})

    def store(self, connection: sqlite3.Connection, batch: Batch, now_s: int) -> Stored:
        """Store one batch inside the open transaction. Raises BatchRefusedError, AheadError."""
        node = self._node(connection, batch.node)
        boot = bytes.fromhex(batch.boot)
        key = (node, boot, batch.sequence)
        if connection.execute("SELECT 1 FROM batch WHERE (node, boot, sequence) = (?, ?, ?)", key).fetchone():
            return Stored.REPEATED
        newest_s = max((window.start_s for window in batch.windows), default=now_s)
        connection.execute("INSERT INTO batch VALUES (?, ?, ?, ?)", (*key, newest_s))
        self._store_windows(connection, node, batch.windows, now_s)
        try:
            store_facts(connection, node, batch.facts)
            store_events(connection, node, batch.events, now_s + MOST_AHEAD_SECONDS)
        except UnreasonableError as error:
            raise BatchRefusedError(str(error)) from error
        connection.execute(
            "UPDATE node SET last_batch_s = ?, last_window_s = max(ifnull(last_window_s, 0), ?) WHERE id = ?",
            (now_s, newest_s if batch.windows else 0, node),
        )
        return Stored.STORED

    def _store_windows(
        self, connection: sqlite3.Connection, node: int, windows: list[Window], now_s: int
    ) -> None:
        horizon_s = connection.execute("SELECT start_s FROM horizon WHERE tier = 'minute'").fetchone()[0]
        for index, window in enumerate(windows):
            if window.start_s > now_s + MOST_AHEAD_SECONDS:
                raise AheadError(
                    f"windows[{index}]: start_s {window.start_s} is more than a day ahead of this collector's clock ({now_s})"
                )
            problem = _problem(window, horizon_s)
            if problem:
                raise BatchRefusedError(f"windows[{index}]: {problem}")
        known = [(self._series(connection, node, window.series), window) for window in windows]
        try:
            connection.executemany(_UPSERT, [minute_row(series, window) for series, window in known])
            store_measures(connection, known)
        except sqlite3.IntegrityError as error:
            raise BatchRefusedError(
                "one minute of one series holds more samples than an agent can take"
            ) from error
        hours = {window.start_s // HOUR_S * HOUR_S for window in windows}
        connection.executemany(
            "INSERT OR IGNORE INTO touched VALUES ('hour', ?, ?)", [(hour, node) for hour in sorted(hours)]
        )
        note_pending(connection, (window.start_s for window in windows))

    def _node(self, connection: sqlite3.Connection, name: str) -> int:
        known = self._known.nodes.get(name)
        if known is None:
            known = self._known.nodes[name] = node_id(connection, name)
        return known

    def _series(self, connection: sqlite3.Connection, node: int, series: SeriesKey) -> int:
        known = self._known.series.get(series)
        if known is not None:
            return known
        key = (node, series.destination, series.probe, series.family, series.time_source)
        row = connection.execute(
            "SELECT id FROM series WHERE (node, destination, probe, family, time_source) = (?, ?, ?, ?, ?)",
            key,
        ).fetchone()
        if row is None:
            self._count_new_series(connection, node)
            row = connection.execute(
                "INSERT INTO series (node, destination, probe, family, time_source) VALUES (?, ?, ?, ?, ?) RETURNING id",
                key,
            ).fetchone()
        self._known.series[series] = row[0]
        return int(row[0])

    def _count_new_series(self, connection: sqlite3.Connection, node: int) -> None:
        counts = self._known.series_of_node
        if node not in counts:
            counts[node] = connection.execute(
                "SELECT count(*) FROM series WHERE node = ?", (node,)
            ).fetchone()[0]
        if counts[node] >= MOST_SERIES_PER_NODE:
            raise BatchRefusedError(
                f"this node already has {MOST_SERIES_PER_NODE} series, the most a node may have"
            )
        counts[node] += 1


def node_id(connection: sqlite3.Connection, name: str) -> int:
    """The node's id in the store; a new one on first sight. Needs a writing connection."""
    connection.execute("INSERT OR IGNORE INTO node (name) VALUES (?)", (name,))
    return int(connection.execute("SELECT id FROM node WHERE name = ?", (name,)).fetchone()[0])


def _problem(window: Window, horizon_s: int) -> str | None:
    """Why this window cannot be true or cannot be kept; None when it can."""
    if window.start_s < horizon_s:
        return f"start_s {window.start_s} is older than the minutes kept here (from {horizon_s})"
    if sum(window.outcomes.values()) > MOST_SAMPLES_PER_MINUTE:
        return "more outcomes than an agent can have in a minute"
    for name, times in (("rtt", window.rtt), *window.times.items()):
        if times.max_ns is not None and times.max_ns > MAX_NS:
            return f"{name}.max_ns {times.max_ns} is longer than {MAX_NS} ns"
        if times.count > MOST_SAMPLES_PER_MINUTE or times.sum_ns > MOST_SUM_NS_PER_MINUTE:
            return f"{name} holds more samples than an agent can take in a minute"
    if len(window.times) + len(window.counters) + len(window.gauges) > MOST_MEASURES_PER_WINDOW:
        return f"more than {MOST_MEASURES_PER_WINDOW} measures"
    if len(window.quality) > MOST_FLAGS_PER_WINDOW:
        return f"more than {MOST_FLAGS_PER_WINDOW} quality flags"
    return None
