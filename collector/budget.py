"""Error budget and burn rate of one path, from counts of samples. Pure.

SLI = samples within the limit / samples judged. What a period allows over the limit is the sum over its time of judged ×
(1 − objective then in force); the burn rate of a window is over the limit / allowed: at 1 the budget lasts exactly as long
as the period. The four pairs of windows are those of the SRE Workbook, chapter 5, table 5-8, for 30 days: both must
burn, the short one so that an alert ends soon after its cause.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

import msgspec

from agent.wire.series import Family
from collector.store.schema import DAY_S, HOUR_S, MINUTE_S

WINDOWS = {
    "5m": 5 * MINUTE_S,
    "30m": 30 * MINUTE_S,
    "1h": HOUR_S,
    "2h": 2 * HOUR_S,
    "6h": 6 * HOUR_S,
    "1d": DAY_S,
    "3d": 3 * DAY_S,
}
PAIRS = ((14.4, "1h", "5m"), (6.0, "6h", "30m"), (3.0, "1d", "2h"), (1.0, "3d", "6h"))
"""(burn rate, long window, short window)."""
ROLLING, MONTH = "30d", "month"
ROLLING_SECONDS = 30 * DAY_S
FEWEST_SAMPLES = 100
"""What the long window must hold: at an objective of 99 % one slow sample of fewer would be a burn rate above 1."""
SILENT_INTERVALS = 3
"""So many intervals of its probe must pass without a result before a path is silent, and at least an hour."""


class State(StrEnum):
    """What is known of a path now; only the first says anything about the promise."""

    MEASURED = "measured"
    FEW_SAMPLES = "few_samples"  # too few for a burn rate
    UNJUDGED = "unjudged"  # measured, with no limit to hold it against
    UNANSWERED = "unanswered"  # probes were sent and none was answered in time: see loss and availability
    EXCLUDED = "excluded"  # whatever there was does not count: announced work, or the host spoiled it
    SILENT = "silent"  # nobody has told anything: neither good nor bad


@dataclass(frozen=True, slots=True)
class Counts:
    """One path over some time. judged, over_limit: samples compared with a promised limit, and those above it.

    allowed: how many might have been. answered, lost: probes. results: minutes with any result, also with one
    that does not count; excluded_seconds: announced work.
    """

    judged: int = 0
    over_limit: int = 0
    allowed: float = 0.0
    answered: int = 0
    lost: int = 0
    results: int = 0
    excluded_seconds: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.judged + other.judged,
            self.over_limit + other.over_limit,
            self.allowed + other.allowed,
            self.answered + other.answered,
            self.lost + other.lost,
            self.results + other.results,
            self.excluded_seconds + other.excluded_seconds,
        )

    @property
    def burn_rate(self) -> float | None:
        """How many times faster than allowed; None without a sample."""
        return self.over_limit / self.allowed if self.allowed else None


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """period: "30d" or "month", so far. allowed: samples that may be over the limit, of those judged.

    remaining_ratio: 1 untouched, 0 used up, below 0 overdrawn; it and sli are None where nothing was judged.
    """

    period: str
    period_start: str
    period_end: str
    judged: int
    over_limit: int
    allowed: float
    sli: float | None
    remaining_ratio: float | None


class Burn(msgspec.Struct, frozen=True, kw_only=True):
    """One pair of windows. burning: both above the factor; None where the samples are too few to say."""

    factor: float
    long: str
    short: str
    samples: int
    long_rate: float | None
    short_rate: float | None
    burning: bool | None


class PathBudget(msgspec.Struct, frozen=True, kw_only=True):
    """One path's promise about latency as it stands now. rates: burn rate by window, None where nothing was judged."""

    source: str
    destination: str
    probe: str
    family: Family
    state: State
    objective: float | None
    budgets: tuple[Budget, ...]
    burns: tuple[Burn, ...]
    rates: dict[str, float | None]

    @property
    def burning(self) -> bool:
        """Whether any pair of windows burns."""
        return any(burn.burning for burn in self.burns)


def month_start(now_s: int, zone: ZoneInfo) -> int:
    """When the calendar month of the zone began, Unix seconds; right also where the clocks change in it."""
    local = datetime.fromtimestamp(now_s, zone)
    return int(datetime(local.year, local.month, 1, tzinfo=zone).timestamp())


def budget_of(period: str, start: str, end: str, counts: Counts) -> Budget:
    """The budget of a period from its counts."""
    used = counts.burn_rate
    return Budget(
        period=period,
        period_start=start,
        period_end=end,
        judged=counts.judged,
        over_limit=counts.over_limit,
        allowed=round(counts.allowed, 6),
        sli=1 - counts.over_limit / counts.judged if counts.judged else None,
        remaining_ratio=None if used is None else 1 - used,
    )


def burns_of(by_window: Mapping[str, Counts]) -> tuple[Burn, ...]:
    """The four pairs from the counts of every window of WINDOWS."""
    return tuple(_burn(factor, long, short, by_window) for factor, long, short in PAIRS)


def _burn(factor: float, long: str, short: str, by_window: Mapping[str, Counts]) -> Burn:
    samples = by_window[long].judged
    long_rate, short_rate = by_window[long].burn_rate, by_window[short].burn_rate
    burning = None
    if samples >= FEWEST_SAMPLES and long_rate is not None and short_rate is not None:
        burning = long_rate > factor and short_rate > factor
    return Burn(
        factor=factor,
        long=long,
        short=short,
        samples=samples,
        long_rate=long_rate,
        short_rate=short_rate,
        burning=burning,
    )


def silence_window(interval_seconds: float) -> str:
    """The window in which a probe of this interval must have told something."""
    needed = max(HOUR_S, SILENT_INTERVALS * interval_seconds)
    return next((name for name, seconds in WINDOWS.items() if seconds >= needed), "3d")


def state_of(recent: Counts, seconds: int) -> State:
    """recent: counts of the silence window, so many seconds long."""
    if recent.judged:
        return State.MEASURED if recent.judged >= FEWEST_SAMPLES else State.FEW_SAMPLES
    if recent.answered:
        return State.UNJUDGED
    if recent.lost:
        return State.UNANSWERED
    if recent.results or recent.excluded_seconds >= seconds:
        return State.EXCLUDED
    return State.SILENT
