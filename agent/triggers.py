"""When a path's closed windows say that its route may have changed. Pure.

A route change moves the minimum round trip, the TTL that packets arrive with, or the path MTU, and the new value
stays. Queues raise a minimum for a while; so the minimum must stand beyond what was usual for two windows in a row.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from agent.wire.batch import Window
from agent.wire.series import Family, SeriesKey

REMEMBERED_WINDOWS, FEWEST_WINDOWS = 30, 5
CONFIRMING_WINDOWS = 2
FORGOTTEN_SECONDS = 86_400
LEAST_STEP_NS, STEP_RATIO, STEP_DEVIATIONS = 500_000, 0.03, 6
"""A step is larger than each: what stamps and scheduling make, a share of the minimum, and the usual spread (MAD)."""
_EXACT_GAUGES = ("ttl", "ttl_forward", "path_mtu_bytes")


@dataclass(frozen=True, slots=True)
class Step:
    """One figure of one path has a new value. figure: min_rtt_seconds, ttl, ttl_forward or path_mtu_bytes."""

    destination: str
    family: Family
    figure: str
    before: float
    after: float

    def as_detail(self) -> dict[str, Any]:
        """JSON-ready, for an event."""
        return {"figure": self.figure, "before": self.before, "after": self.after}


@dataclass(slots=True)
class _Minimum:
    """The latest window minima in ns, and those in a row that are not usual among them."""

    usual: deque[int] = field(default_factory=lambda: deque(maxlen=REMEMBERED_WINDOWS))
    strange: list[int] = field(default_factory=list)

    def feed(self, minimum_ns: int) -> tuple[int, int] | None:
        """(before, after) when the minimum has stepped."""
        latest = list(self.usual)
        self.usual.append(minimum_ns)
        if len(latest) < FEWEST_WINDOWS:
            return None
        centre = median(latest)
        spread = median(abs(value - centre) for value in latest)
        bound = max(LEAST_STEP_NS, STEP_RATIO * centre, STEP_DEVIATIONS * spread)
        if abs(minimum_ns - centre) <= bound:
            self.strange.clear()
            return None
        if self.strange and (self.strange[-1] > centre) != (minimum_ns > centre):
            self.strange.clear()
        self.strange.append(minimum_ns)
        if len(self.strange) < CONFIRMING_WINDOWS:
            return None
        after = min(self.strange)
        self.usual = deque([after] * FEWEST_WINDOWS, maxlen=REMEMBERED_WINDOWS)
        self.strange.clear()
        return round(centre), after


class Triggers:
    """Fed with each minute's windows, says which paths to look at now."""

    def __init__(self) -> None:
        self._minima: dict[SeriesKey, _Minimum] = {}
        self._at_s: dict[SeriesKey, int] = {}
        self._gauges: dict[tuple[SeriesKey, str], float] = {}

    def feed(self, windows: Iterable[Window]) -> list[Step]:
        """Steps that these windows complete, at most one for each figure of a series."""
        steps = []
        for window in windows:
            series = window.series
            self._at_s[series] = window.start_s
            if window.rtt.min_ns is not None:
                stepped = self._minima.setdefault(series, _Minimum()).feed(window.rtt.min_ns)
                if stepped is not None:
                    before, after = (value / 1e9 for value in stepped)
                    steps.append(Step(series.destination, series.family, "min_rtt_seconds", before, after))
            for name in _EXACT_GAUGES:
                value = window.gauges.get(name)
                known = self._gauges.get((series, name))
                if value is not None:
                    self._gauges[series, name] = value
                if value is not None and known is not None and value != known:
                    steps.append(Step(series.destination, series.family, name, known, value))
        self._forget_old(max(self._at_s.values(), default=0))
        return steps

    def _forget_old(self, now_s: int) -> None:
        """A path without windows for so long has no usual values any more, or is gone."""
        for series in [series for series, at_s in self._at_s.items() if now_s - at_s > FORGOTTEN_SECONDS]:
            del self._at_s[series]
            self._minima.pop(series, None)
            for name in _EXACT_GAUGES:
                self._gauges.pop((series, name), None)
