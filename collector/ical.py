"""An iCalendar file (RFC 5545) as announced work. Pure.

Every VEVENT is taken as work that keeps its paths from being judged; its SUMMARY is the reason. Events that are
cancelled bring no window. A file is taken whole or refused with one line: half a calendar would be half an exclusion.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from icalendar import Calendar, Component

from collector.recurrence import Event, Length, RecurrenceError, Rule, occurrences
from collector.store.tiers import Period

MOST_BYTES = 4 * 2**20
MOST_WINDOWS = 10_000
LONGEST_REASON = 1000
FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
RULE_PARTS = frozenset(
    {
        "FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYMONTH", "BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY",
        "BYHOUR", "BYMINUTE", "BYSECOND", "BYSETPOS",
    }
)  # fmt: skip
"""Of RFC 5545 section 3.3.10; dateutil knows more."""


class CalendarError(ValueError):
    """The file cannot be taken; says which event and why, in one line."""


@dataclass(frozen=True, slots=True)
class Work:
    """One occurrence of an event."""

    uid: str
    reason: str
    period: Period


@dataclass(frozen=True, slots=True)
class Plan:
    """uids: of every event in the file, also of those that bring no window."""

    uids: frozenset[str]
    works: tuple[Work, ...]


@dataclass(frozen=True, slots=True)
class _Stated:
    """One VEVENT: the event itself or, with recurrence_id, one occurrence of it that was moved or cancelled."""

    uid: str
    reason: str
    event: Event
    recurrence_id: datetime | None
    cancelled: bool
    sequence: int


def read_calendar(data: bytes, covered: Period, zone: ZoneInfo) -> Plan:
    """What the file announces to begin within the covered time, in order of time.

    zone: of dates and of times without a zone, unless the calendar names its own (X-WR-TIMEZONE). Raises CalendarError.
    """
    if len(data) > MOST_BYTES:
        raise CalendarError(f"larger than {MOST_BYTES // 2**20} MiB")
    try:
        calendars = Calendar.from_ical(data, multiple=True)
    except Exception as error:
        # Whatever the library meets in a foreign file, it is the file that is wrong.
        raise CalendarError(f"no iCalendar file: {_one_line(error)}") from error
    if not calendars or any(calendar.name != "VCALENDAR" for calendar in calendars):
        raise CalendarError("no whole VCALENDAR in it: BEGIN:VCALENDAR … END:VCALENDAR is expected")
    stated = [
        _stated(component, place, own_zone)
        for calendar in calendars
        for own_zone in [_zone_of(calendar, zone)]
        for place, component in enumerate(calendar.walk("VEVENT"), 1)
    ]
    if not stated:
        raise CalendarError("no VEVENT in it: there is nothing to announce")
    works = sorted(_works(stated, covered), key=lambda work: (work.period.start_s, work.uid))
    return Plan(frozenset(each.uid for each in stated), tuple(works))


def _works(stated: list[_Stated], covered: Period) -> Iterator[Work]:
    """Events with their moved occurrences in place; of several versions of one thing the newest."""
    newest: dict[tuple[str, datetime | None], _Stated] = {}
    for each in sorted(stated, key=lambda each: each.sequence):
        newest[each.uid, each.recurrence_id] = each
    moved: dict[str, set[datetime]] = {}
    for uid, recurrence_id in newest:
        if recurrence_id is not None:
            moved.setdefault(uid, set()).add(recurrence_id)
    count = 0
    for each in newest.values():
        if each.cancelled:
            continue
        own = moved.get(each.uid, set()) if each.recurrence_id is None else set()
        event = replace(each.event, excluded=each.event.excluded | own)
        try:
            for _, period in occurrences(event, covered):
                count += 1
                if count > MOST_WINDOWS:
                    raise CalendarError(f"more than {MOST_WINDOWS:,} windows")
                yield Work(each.uid, each.reason, period)
        except (RecurrenceError, OverflowError, ValueError) as error:
            raise CalendarError(f"event {each.uid}: {_one_line(error)}") from error


def _stated(component: Component, place: int, zone: tzinfo) -> _Stated:
    uid = str(component.get("UID", "")).strip()
    where = f"event {uid or place}"
    if not uid:
        raise CalendarError(f"{where}: no UID")
    if component.errors:
        name, problem = component.errors[0]
        raise CalendarError(f"{where}: {name or 'a line'}: {_one_line(problem)}")
    try:
        reason = " ".join(str(component.get("SUMMARY", uid)).split())[:LONGEST_REASON] or uid
        return _Stated(
            uid,
            reason,
            _event(component, zone),
            _recurrence_id(component, zone),
            str(component.get("STATUS", "")).upper() == "CANCELLED",
            int(component.get("SEQUENCE", 0)),
        )
    except (CalendarError, OverflowError, TypeError, AttributeError, ValueError) as error:
        raise CalendarError(f"{where}: {_one_line(error)}") from error


def _recurrence_id(component: Component, zone: tzinfo) -> datetime | None:
    found = _one(component, "RECURRENCE-ID")
    if found is None:
        return None
    if "RANGE" in found.params:
        raise CalendarError("RECURRENCE-ID with RANGE is not understood; give each changed occurrence")
    return _moment(found.dt, found.params, zone)


def _event(component: Component, zone: tzinfo) -> Event:
    start = _one(component, "DTSTART")
    if start is None:
        raise CalendarError("no DTSTART")
    at = _moment(start.dt, start.params, zone)
    if "EXRULE" in component:
        raise CalendarError("EXRULE is not understood (RFC 5545 took it out); use EXDATE")
    length = _length(component, start.dt, at, zone)
    rules = tuple(_rule(rule, start.dt, at) for rule in _all(component, "RRULE"))
    excluded = [(value.dt, value.params) for each in _all(component, "EXDATE") for value in each.dts]
    whole_days = isinstance(start.dt, datetime)
    return Event(
        at,
        length,
        rules,
        tuple(
            _extra(value.dt, value.params, length, zone)
            for each in _all(component, "RDATE")
            for value in each.dts
        ),
        frozenset(_moment(value, params, zone) for value, params in excluded),
        frozenset(value for value, _ in excluded if whole_days and not isinstance(value, datetime)),
    )


def _extra(value: Any, params: Any, length: Length, zone: tzinfo) -> tuple[datetime, Length]:
    """An RDATE: a time, or a period with a length of its own."""
    if not isinstance(value, tuple):
        return _moment(value, params, zone), length
    start = _moment(value[0], params, zone)
    until = value[1] if isinstance(value[1], timedelta) else _moment(value[1], params, zone) - start
    return start, Length(0, until)


def _length(component: Component, stated: Any, at: datetime, zone: tzinfo) -> Length:
    """From DTEND, DURATION or, for a date alone, one day (RFC 5545 section 3.6.1)."""
    end, duration = _one(component, "DTEND"), _one(component, "DURATION")
    all_day = not isinstance(stated, datetime)
    if end is not None:
        if isinstance(end.dt, datetime) == all_day:
            raise CalendarError("DTSTART and DTEND are both dates or both times")
        if all_day:
            length = Length((end.dt - stated).days, timedelta())
        else:
            length = Length(0, _moment(end.dt, end.params, zone).astimezone(UTC) - at.astimezone(UTC))
    elif duration is not None:
        days = duration.dt // timedelta(days=1)
        length = Length(days, duration.dt - timedelta(days=days))
    elif all_day:
        length = Length(1, timedelta())
    else:
        raise CalendarError("no DTEND and no DURATION: how long it takes is not said")
    if length.days < 0 or length.exact < timedelta() or length == Length(0, timedelta()):
        raise CalendarError("it ends before it has begun")
    return length


def _rule(rule: Any, stated: Any, at: datetime) -> Rule:
    parts = {str(name).upper(): values for name, values in rule.items()}
    text = rule.to_ical().decode()
    if str(parts.get("FREQ", [""])[0]).upper() not in FREQUENCIES:
        raise CalendarError(f"RRULE {text}: FREQ is one of {', '.join(FREQUENCIES)}")
    if foreign := sorted(parts.keys() - RULE_PARTS):
        raise CalendarError(f"RRULE {text}: {foreign[0]} is not understood")
    if any(int(value) < 1 for value in parts.get("INTERVAL", [1])):
        raise CalendarError(f"RRULE {text}: INTERVAL is at least 1")
    if not all(1 <= int(value) <= 12 for value in parts.get("BYMONTH", [])):
        raise CalendarError(f"RRULE {text}: BYMONTH lies between 1 and 12")
    until = parts.get("UNTIL")
    kept = ";".join(part for part in text.split(";") if not part.upper().startswith("UNTIL="))
    return Rule(kept, None if not until else _until(until[0], stated, at))


def _until(value: Any, stated: Any, at: datetime) -> datetime:
    """Inclusive. A date holds through its day; a time without a zone is in that of the start."""
    if not isinstance(value, datetime):
        return datetime.combine(value, datetime.max.time(), tzinfo=at.tzinfo)
    if not isinstance(stated, datetime):
        return datetime.combine(value.date(), datetime.max.time(), tzinfo=at.tzinfo)
    return value if value.tzinfo else value.replace(tzinfo=at.tzinfo)


def _moment(value: Any, params: Any, zone: tzinfo) -> datetime:
    """A date at its local midnight, a time in its zone."""
    if isinstance(value, datetime):
        if value.tzinfo is not None:
            return value
        if params.get("TZID"):
            raise CalendarError(
                f"time zone {params['TZID']} is unknown and no VTIMEZONE of the file describes it"
            )
        return value.replace(tzinfo=zone)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=zone)
    raise CalendarError(f"{value} is neither a date nor a time")


def _one(component: Component, name: str) -> Any:
    found = component.get(name)
    if isinstance(found, list):
        raise CalendarError(f"{name} stands more than once")
    return found


def _all(component: Component, name: str) -> list[Any]:
    found = component.get(name, [])
    return found if type(found) is list else [found]


def _zone_of(calendar: Component, otherwise: tzinfo) -> tzinfo:
    name = calendar.get("X-WR-TIMEZONE")
    if name is None:
        return otherwise
    try:
        return ZoneInfo(str(name))
    except (KeyError, ValueError, OSError) as error:
        raise CalendarError(f"X-WR-TIMEZONE {name} is no time zone") from error


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:300]
