"""What is too old goes, a little at a time, so that ingest never waits long."""

import sqlite3
from dataclasses import dataclass

from collector.store.schema import DAY_S, TIER_SECONDS


@dataclass(frozen=True, slots=True)
class Retention:
    """How long each tier is kept, in seconds. Raises ValueError unless a day ≤ minute ≤ hour ≤ day tier."""

    minute_s: int = 14 * DAY_S
    hour_s: int = 90 * DAY_S
    day_s: int = 3 * 365 * DAY_S

    def __post_init__(self) -> None:
        if not DAY_S <= self.minute_s <= self.hour_s <= self.day_s:
            raise ValueError("retention must hold: one day ≤ minutes ≤ hours ≤ days")


_RECORDS = (
    (
        (
            "DELETE FROM batch WHERE (node, boot, sequence) IN"
            " (SELECT node, boot, sequence FROM batch WHERE newest_s < ? LIMIT 5000)"
        ),
        "minute",
    ),
    ("DELETE FROM pending_block WHERE start_s < ?", "minute"),
    ("DELETE FROM judged_block WHERE start_s < ?", "minute"),
    ("DELETE FROM incident WHERE end_s < ?", "day"),
    ("DELETE FROM fact_change WHERE time_s < ?", "hour"),
    ("DELETE FROM event WHERE id IN (SELECT id FROM event WHERE time_s < ? LIMIT 5000)", "day"),
)


def advance_horizons(connection: sqlite3.Connection, retention: Retention, now_s: int) -> None:
    """Move each tier's horizon to where its retention ends, a whole day, inside the open transaction.

    From then on the windows before it are refused, and only then are its rows deleted: an hour is never merged
    anew from minutes that are partly gone. A horizon stops at the first hour or day that has yet to be merged.
    Time is that of the newest data where the clock is ahead of it: a collector whose clock jumps a year forward
    must not empty its store.
    """
    newest = connection.execute("SELECT max(start_s) FROM minute").fetchone()[0]
    if newest is None:
        return
    today = min(now_s, newest) // DAY_S * DAY_S
    pending = dict(connection.execute("SELECT tier, min(start_s) FROM touched GROUP BY tier").fetchall())
    horizon = today
    for tier, keep_s, coarser in (
        ("minute", retention.minute_s, "hour"),
        ("hour", retention.hour_s, "day"),
        ("day", retention.day_s, None),
    ):
        horizon = min(horizon, today - keep_s, pending.get(coarser, today)) // DAY_S * DAY_S
        connection.execute("UPDATE horizon SET start_s = max(start_s, ?) WHERE tier = ?", (horizon, tier))


def delete_some(connection: sqlite3.Connection) -> int:
    """Delete one start's rows of one tier before its horizon, inside the open transaction; 0 when none are left.

    A start holds one row per series: that bounds the time it takes. Records of batches go with the minutes, since
    a repeat of such a batch has only windows that are refused; judged blocks too; the history of facts goes with the hours, events and incidents with the days.
    """
    horizons = dict(connection.execute("SELECT tier, start_s FROM horizon").fetchall())
    for tier in TIER_SECONDS:
        oldest = connection.execute(f"SELECT min(start_s) FROM {tier}").fetchone()[0]
        if oldest is not None and oldest < horizons[tier]:
            connection.execute(f"DELETE FROM {tier}_measure WHERE start_s <= ?", (oldest,))
            return connection.execute(f"DELETE FROM {tier} WHERE start_s = ?", (oldest,)).rowcount
    for statement, tier in _RECORDS:
        deleted = connection.execute(statement, (horizons[tier],)).rowcount
        if deleted:
            return deleted
    return 0
