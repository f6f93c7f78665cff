import pytest

from collector.period import parse_period, parse_time, trailing, utc
from collector.store.tiers import Period

NOW = 1_760_000_123


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOW),
        ("-24h", NOW - 86400),
        (" -30d", NOW - 30 * 86400),
        ("-15m", NOW - 900),
        ("-2w", NOW - 14 * 86400),
        ("2026-03-01", 1_772_323_200),
        ("2026-03-01T00:00", 1_772_323_200),
        ("2026-03-01T00:00:00Z", 1_772_323_200),
        ("2026-03-01T01:00:00+01:00", 1_772_323_200),
        ("-999999w", 0),
    ],
)
def test_a_time_is_read_as_utc_unless_it_says_otherwise(text, expected):
    """Dates, ISO times and spans mean the same instant wherever the command runs."""
    assert parse_time(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "24h", "-5y", "12:00", "2026-13-01", "1969-01-01", "-h"])
def test_what_is_no_time_is_refused_with_what_would_be(text):
    """A typing error is answered by an example, not by an empty period."""
    with pytest.raises(ValueError, match=r"is no time; .*-24h|before 1970"):
        parse_time(text, NOW)


def test_a_period_covers_the_minutes_it_touches():
    """Seconds are widened to minutes, and nothing given means the last 24 hours from a whole hour."""
    assert parse_period("2026-03-01T00:00:59", "2026-03-01T00:02:01", NOW) == Period(
        1_772_323_200, 1_772_323_380
    )
    period = parse_period(None, None, NOW)
    assert period.end_s == NOW // 60 * 60
    assert period.start_s % 3600 == 0
    assert 86400 <= period.end_s - period.start_s < 90000
    assert trailing(3600).start_s == 0


@pytest.mark.parametrize(
    ("start", "end"), [("now", "-1h"), ("2026-01-02", "2026-01-01"), ("1970-01-02", "now")]
)
def test_an_empty_or_endless_period_is_refused(start, end):
    """The wrong order is an error, as is a period no store holds."""
    with pytest.raises(ValueError, match=r"nothing lies between|longer than three years"):
        parse_period(start, end, NOW)


def test_times_are_shown_in_utc():
    """Z is part of every time shown."""
    assert utc(1_772_323_200) == "2026-03-01T00:00:00Z"
