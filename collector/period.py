"""Times as people give them, always UTC: ISO 8601, a date, `now`, or how long ago (-24h). Pure."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from collector.store.schema import DAY_S, HOUR_S, MINUTE_S
from collector.store.tiers import Period

UNITS = {"m": MINUTE_S, "h": HOUR_S, "d": DAY_S, "w": 7 * DAY_S}
DEFAULT_SECONDS = DAY_S
LONGEST_SECONDS = 3 * 366 * DAY_S
_AGO = re.compile(r"-\s*(\d{1,6})([mhdw])")


def parse_time(text: str, now_s: int) -> int:
    """Unix seconds. A time without an offset is UTC. Raises ValueError that says what would be right."""
    text = text.strip()
    if text == "now":
        return now_s
    if ago := _AGO.fullmatch(text):
        return max(0, now_s - int(ago[1]) * UNITS[ago[2]])
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is no time; 2026-03-01, 2026-03-01T12:00Z, -24h, -30d or now is"
        ) from None
    seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    if seconds < 0:
        raise ValueError(f"{text!r} lies before 1970")
    return int(seconds)


def parse_period(
    start: str | None, end: str | None, now_s: int, default_seconds: int = DEFAULT_SECONDS
) -> Period:
    """From start to end in whole minutes; without a start so long, from a whole hour. Raises ValueError."""
    end_s = (
        -(-parse_time(end, now_s) // MINUTE_S) * MINUTE_S if end is not None else now_s // MINUTE_S * MINUTE_S
    )
    start_s = (
        parse_time(start, now_s) // MINUTE_S * MINUTE_S
        if start is not None
        else trailing(end_s, default_seconds).start_s
    )
    if start_s >= end_s:
        raise ValueError(
            f"the period starts at {utc(start_s)} and ends at {utc(end_s)}: nothing lies between"
        )
    if end_s - start_s > LONGEST_SECONDS:
        raise ValueError("the period is longer than three years")
    return Period(start_s, end_s)


def trailing(end_s: int, seconds: int = DEFAULT_SECONDS) -> Period:
    """The time up to end_s, from the whole hour before: its start then needs no minute rows."""
    return Period(max(0, (end_s - seconds) // HOUR_S * HOUR_S), max(end_s, 1))


def zone_named(name: str) -> ZoneInfo:
    """The IANA time zone. Raises ValueError that says what would be right."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone; Asia/Shanghai, Europe/Berlin or UTC is") from None


def utc(time_s: int) -> str:
    """ISO 8601 with Z."""
    return datetime.fromtimestamp(time_s, UTC).isoformat().replace("+00:00", "Z")
