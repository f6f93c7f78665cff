"""Calendars as people and providers write them, and as nobody should."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.ical import CalendarError, read_calendar
from collector.store.tiers import Period

BERLIN = ZoneInfo("Europe/Berlin")
YEAR = Period(
    int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()), int(datetime(2027, 1, 1, tzinfo=UTC).timestamp())
)


def calendar(*events, head=""):
    body = "".join(f"BEGIN:VEVENT\n{event.strip()}\nEND:VEVENT\n" for event in events)
    return f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:test\n{head}{body}END:VCALENDAR\n".replace(
        "\n", "\r\n"
    ).encode()


def event(*lines, uid="one", summary="router"):
    return "\n".join([f"UID:{uid}", f"SUMMARY:{summary}", *lines])


def times(*events, zone=BERLIN, covered=YEAR, head=""):
    """(start, hours) of each window, in UTC."""
    works = read_calendar(calendar(*events, head=head), covered, zone).works
    return [
        (
            f"{datetime.fromtimestamp(w.period.start_s, UTC):%m-%d %H:%M}",
            (w.period.end_s - w.period.start_s) / 3600,
        )
        for w in works
    ]


def test_one_event_is_one_window_with_its_summary_as_reason():
    """UTC, a named zone, or a length in place of an end."""
    plan = read_calendar(calendar(event("DTSTART:20260310T010000Z", "DTEND:20260310T033000Z")), YEAR, BERLIN)
    (work,) = plan.works
    assert (work.uid, work.reason, plan.uids) == ("one", "router", {"one"})
    assert times(event("DTSTART;TZID=America/New_York:20260310T010000", "DURATION:PT2H30M")) == [
        ("03-10 05:00", 2.5)
    ]
    assert times(event("DTSTART;TZID=W. Europe Standard Time:20260310T010000", "DURATION:PT1H")) == [
        ("03-10 00:00", 1)
    ]


def test_times_without_a_zone_are_in_the_calendars_or_the_given_one():
    """Floating times and dates belong to X-WR-TIMEZONE, else to --tz."""
    floating = event("DTSTART:20260310T010000", "DTEND:20260310T020000")
    assert times(floating) == [("03-10 00:00", 1)]
    assert times(floating, head="X-WR-TIMEZONE:Asia/Shanghai\n") == [("03-09 17:00", 1)]


def test_an_all_day_event_is_a_local_day_of_23_24_or_25_hours():
    """Its end is the first day after; without an end it is one day."""
    assert times(event("DTSTART;VALUE=DATE:20260310", "DTEND;VALUE=DATE:20260312")) == [("03-09 23:00", 48)]
    assert times(event("DTSTART;VALUE=DATE:20260329")) == [("03-28 23:00", 23)]
    assert times(event("DTSTART;VALUE=DATE:20261025")) == [("10-24 22:00", 25)]


def test_a_weekly_window_stays_at_its_local_hour_over_the_change_of_clocks():
    """02:00 in Berlin is 01:00 UTC in winter and 00:00 in summer; UNTIL counts its last one in."""
    weekly = event(
        "DTSTART;TZID=Europe/Berlin:20260321T020000",
        "DTEND;TZID=Europe/Berlin:20260321T040000",
        "RRULE:FREQ=WEEKLY;UNTIL=20260404T000000Z",
    )
    assert times(weekly) == [("03-21 01:00", 2), ("03-28 01:00", 2), ("04-04 00:00", 2)]


def test_excluded_added_and_moved_occurrences():
    """EXDATE takes out, RDATE adds (with a length of its own), RECURRENCE-ID moves or cancels one."""
    series = event(
        "DTSTART:20260601T010000Z",
        "DTEND:20260601T020000Z",
        "RRULE:FREQ=DAILY;COUNT=5",
        "EXDATE:20260602T010000Z",
        "RDATE;VALUE=PERIOD:20260620T010000Z/PT3H",
        "RDATE:20260621T010000Z",
    )
    moved = event("RECURRENCE-ID:20260603T010000Z", "DTSTART:20260603T050000Z", "DTEND:20260603T060000Z")
    cancelled = event(
        "RECURRENCE-ID:20260604T010000Z",
        "DTSTART:20260604T010000Z",
        "DTEND:20260604T020000Z",
        "STATUS:CANCELLED",
    )
    assert times(series, moved, cancelled) == [
        ("06-01 01:00", 1),
        ("06-03 05:00", 1),
        ("06-05 01:00", 1),
        ("06-20 01:00", 3),
        ("06-21 01:00", 1),
    ]
    dated = event(
        "DTSTART:20260601T010000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=3", "EXDATE;VALUE=DATE:20260602"
    )
    assert times(dated) == [("06-01 01:00", 1), ("06-03 01:00", 1)]


def test_a_cancelled_event_brings_no_window_but_is_known():
    """So that taking in the file withdraws what it announced before; of two versions the newer one holds."""
    first = event("DTSTART:20260601T010000Z", "DURATION:PT1H", "SEQUENCE:0")
    plan = read_calendar(
        calendar(event(*first.split("\n")[2:4], "SEQUENCE:1", "STATUS:CANCELLED"), first), YEAR, BERLIN
    )
    assert (plan.works, plan.uids) == ((), {"one"})


def test_an_endless_rule_is_expanded_over_the_covered_time_only():
    """What begins before or after it is left for another time."""
    found = times(event("DTSTART:20200105T010000Z", "DURATION:PT1H", "RRULE:FREQ=WEEKLY;BYDAY=SU"))
    assert (len(found), found[0], found[-1]) == (52, ("01-04 01:00", 1), ("12-27 01:00", 1))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "VCALENDAR"),
        (b"hello", "no iCalendar file"),
        (b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n", "VCALENDAR"),
        (calendar(), "no VEVENT"),
        (calendar("DTSTART:20260101T000000Z\nDURATION:PT1H"), "event 1: no UID"),
        (calendar(event("DTSTART:20261301T000000Z", "DURATION:PT1H")), "event one: DTSTART"),
        (calendar(event("DURATION:PT1H")), "no DTSTART"),
        (calendar(event("DTSTART:20260101T000000Z")), "no DTEND and no DURATION"),
        (calendar(event("DTSTART:20260102T000000Z", "DTEND:20260101T000000Z")), "ends before"),
        (calendar(event("DTSTART:20260102T000000Z", "DTEND;VALUE=DATE:20260103")), "both dates or both times"),
        (calendar(event("DTSTART:20260101T000000Z", "DTSTART:20260102T000000Z", "DURATION:PT1H")), "more than once"),
        (calendar(event("DTSTART;TZID=Moon/Base:20260101T000000", "DURATION:PT1H")), "time zone Moon/Base is unknown"),
        (calendar(event("DTSTART:20260101T000000Z", "DURATION:PT1H", "RRULE:FREQ=SECONDLY")), "FREQ is one of"),
        (calendar(event("DTSTART:20260101T000000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;INTERVAL=0")), "INTERVAL"),
        (
            calendar(event("DTSTART:20260101T000000Z", "DURATION:PT1H", "RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30")),
            "never takes place",
        ),
        (
            calendar(
                event(
                    "DTSTART:20260101T000000Z",
                    "DURATION:PT1M",
                    "RRULE:FREQ=DAILY;BYMINUTE=0,5,10,15,20,25,30,35;BYHOUR=0,1,2,3,4,5,6,7,8",
                )
            ),
            "occurrences",
        ),
        (calendar(event("DTSTART:20260101T000000Z", "DURATION:PT1H", "RRULE:FREQ=YEARLY;BYEASTER=0")), "BYEASTER"),
        (calendar(event("DTSTART:20260101T000000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;BYMONTH=13")), "BYMONTH lies"),
        (calendar(event("DTSTART:20260101T000000Z", "DURATION:PT1H", "RRULE:FREQ=MONTHLY;BYWEEKNO=53;BYDAY=54SU")), "RRULE"),
        (calendar(event("DTSTART:20260101T000000Z", "DURATION:PT1H"), head="X-WR-TIMEZONE:Moon\n"), "X-WR-TIMEZONE"),
        (
            calendar(event("RECURRENCE-ID;RANGE=THISANDFUTURE:20260101T000000Z", "DTSTART:20260101T000000Z", "DURATION:PT1H")),
            "RANGE",
        ),
    ],
)  # fmt: skip
def test_a_bad_file_is_one_clear_line(text, words):
    """Which event, what is wrong; nothing of it is taken."""
    with pytest.raises(CalendarError) as caught:
        read_calendar(text, YEAR, BERLIN)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


LINES = st.sampled_from(
    [
        "DTSTART:20260101T000000Z", "DTSTART;VALUE=DATE:20260101", "DTSTART;TZID=Europe/Berlin:20260101T000000",
        "DTEND:20260101T010000Z", "DTEND;VALUE=DATE:20260102", "DURATION:PT1H", "DURATION:-P1D", "DURATION:P9999999D",
        "RRULE:FREQ=WEEKLY", "RRULE:FREQ=MONTHLY;BYDAY=1SU;UNTIL=20260301", "RRULE:FREQ=YEARLY;COUNT=0", "RRULE:FREQ=",
        "RRULE:FREQ=DAILY;UNTIL=x", "RRULE:FREQ=YEARLY;BYWEEKNO=53;BYDAY=54SU;BYMONTH=13", "RRULE:FREQ=WEEKLY;BYSETPOS=400", "EXDATE:20260101T000000Z", "EXDATE;VALUE=DATE:20260108", "RDATE:20260201T000000Z",
        "RDATE;VALUE=PERIOD:20260101T000000Z/20260102T000000Z", "RECURRENCE-ID:20260108T000000Z", "SEQUENCE:x",
        "SEQUENCE:2", "STATUS:CANCELLED", "SUMMARY:", "UID:two", "DTSTART:00010101T000000Z", "DTSTART:99991231T235959Z",
    ]
)  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(
    st.binary(max_size=200)
    | st.lists(st.lists(LINES, max_size=6).map(lambda x: event(*x)), max_size=3).map(lambda x: calendar(*x))
)
def test_any_bytes_give_a_plan_or_a_calendar_error(data):
    """Nothing else escapes, and every window lies where it was asked for and has a length."""
    try:
        plan = read_calendar(data, YEAR, BERLIN)
    except CalendarError:
        return
    for work in plan.works:
        assert YEAR.start_s <= work.period.start_s < min(YEAR.end_s, work.period.end_s)
        assert work.uid in plan.uids
