"""When an event of a calendar takes place: RFC 5545 section 3.8.5 over the rules of dateutil. Pure."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from dateutil.rrule import rrule, rrulestr

from collector.store.tiers import Period

MOST_OCCURRENCES = 10_000
"""Of one event, from its first one on: 27 years of every day."""


class RecurrenceError(ValueError):
    """A rule that cannot be followed, or that makes more occurrences than a maintenance plan can have."""


@dataclass(frozen=True, slots=True)
class Rule:
    """An RRULE without its UNTIL, which stands beside it: None where the rule has no end."""

    text: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Length:
    """days: of the calendar, 23 or 25 hours long where the clocks change; exact: on top of them."""

    days: int
    exact: timedelta


@dataclass(frozen=True, slots=True)
class Event:
    """One event with its recurrences. All times carry their zone.

    extra: RDATE, each with the length of its own where it has one. excluded, excluded_days: EXDATE.
    """

    start: datetime
    length: Length
    rules: tuple[Rule, ...] = ()
    extra: tuple[tuple[datetime, Length], ...] = ()
    excluded: frozenset[datetime] = frozenset()
    excluded_days: frozenset[date] = frozenset()


def occurrences(event: Event, covered: Period) -> Iterator[tuple[datetime, Period]]:
    """(start in the event's zone, time) of each that begins within the covered time, in no order, each once.

    Raises RecurrenceError.
    """
    last = datetime.fromtimestamp(covered.end_s, UTC)
    starts = {event.start: event.length}
    for rule in event.rules:
        starts.update(dict.fromkeys(_of_rule(rule, event.start, last), event.length))
    starts.update(dict(event.extra))
    for start, length in starts.items():
        left_out = start in event.excluded or start.date() in event.excluded_days
        if not left_out and covered.start_s <= start.timestamp() < covered.end_s:
            yield start, Period(int(start.timestamp()), int(end_of(start, length).timestamp()))


def end_of(start: datetime, length: Length) -> datetime:
    """Days by the calendar of the start's zone first, then the exact rest (RFC 5545 section 3.3.6)."""
    later = start.replace(tzinfo=None) + timedelta(days=length.days)
    return later.replace(tzinfo=start.tzinfo).astimezone(UTC) + length.exact


def _of_rule(rule: Rule, start: datetime, last: datetime) -> Iterator[datetime]:
    """A rule counts in the local time of its start, so that 02:00 stays 02:00 whatever the clocks do."""
    until = last if rule.until is None else min(rule.until, last)
    found = 0
    for at in _walls(rule, start.replace(tzinfo=None)):
        found += 1
        local = at.replace(tzinfo=start.tzinfo)
        if local > until:
            return
        yield local
    if found == 0:
        raise RecurrenceError(f"RRULE {rule.text}: never takes place")
    if found > MOST_OCCURRENCES:
        raise RecurrenceError(f"RRULE {rule.text}: more than {MOST_OCCURRENCES:,} occurrences")


def _walls(rule: Rule, first: datetime) -> Iterator[datetime]:
    """Local times, one more than may be at most. dateutil meets some contradictions only while it counts."""
    try:
        parsed = rrulestr(f"RRULE:{rule.text}", dtstart=first)
        if isinstance(parsed, rrule):
            yield from itertools.islice(parsed, MOST_OCCURRENCES + 1)
            return
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise RecurrenceError(f"RRULE {rule.text}: {' '.join(str(error).split())}") from error
    raise RecurrenceError(f"RRULE {rule.text}: one rule is expected")
