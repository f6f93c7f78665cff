"""A calendar month in a time zone. Pure."""

import re
from dataclasses import dataclass
from datetime import datetime

from collector.period import zone_named
from collector.store.tiers import Period

_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


@dataclass(frozen=True, slots=True)
class Month:
    """year, month as in the calendar of the zone; period: its exact time, daylight saving included."""

    year: int
    month: int
    zone: str
    period: Period

    @property
    def name(self) -> str:
        """2026-10."""
        return f"{self.year}-{self.month:02}"


def parse_month(text: str, zone: str) -> Month:
    """The month named 2026-10 in an IANA time zone. Raises ValueError that says what would be right."""
    found = _MONTH.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no month; 2026-10 is")
    place = zone_named(zone)
    year, month = int(found[1]), int(found[2])
    start = datetime(year, month, 1, tzinfo=place)
    end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=place)
    start_s, end_s = int(start.timestamp()), int(end.timestamp())
    if start_s < 0:
        raise ValueError(f"{text} lies before 1970")
    return Month(year, month, zone, Period(start_s, end_s))
