"""When packets are worth keeping: a path breaks its limit, or the kernel tells of zero windows or timeouts. Pure."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from agent.wire.batch import Window
from agent.wire.series import Family

OVER_LIMIT_RATIO = 0.01
"""More of a window's samples than this above the limit is P99 above the limit."""
FEWEST_OVER_LIMIT = 3
FEWEST_EVENTS = 10
"""Zero windows or timeouts in a minute below which they are everyday life."""
GROWTH = 3.0
"""Times the median of the minutes before."""
REMEMBERED_MINUTES = 30
FEWEST_MINUTES = 5

COUNTED = {
    "zero_windows": ("tcp_to_zero_window", "tcp_want_zero_window"),
    "timeouts": ("tcp_retransmits_timeout",),
}


@dataclass(frozen=True, slots=True)
class Trigger:
    """Why to capture. destination, family: of the path; None where the whole host is meant. figure: what was seen."""

    reason: str
    figure: float
    destination: str | None = None
    family: Family | None = None


def _breaks_its_limit(window: Window) -> bool:
    """In a minute that this host itself did not spoil."""
    return (
        not window.quality
        and window.over_limit >= FEWEST_OVER_LIMIT
        and window.over_limit > OVER_LIMIT_RATIO * window.judged
    )


class CaptureTriggers:
    """Fed with each minute's windows."""

    def __init__(self) -> None:
        self._usual: dict[str, deque[int]] = {name: deque(maxlen=REMEMBERED_MINUTES) for name in COUNTED}

    def feed(self, windows: Iterable[Window]) -> list[Trigger]:
        """What these windows give reason to look at, paths first."""
        triggers = []
        for window in windows:
            if window.series.probe == "kernel":
                triggers += self._of_kernel(window)
            elif _breaks_its_limit(window):
                ratio, series = window.over_limit / window.judged, window.series
                triggers.append(Trigger("over_limit", ratio, series.destination, series.family))
        return sorted(triggers, key=lambda trigger: (trigger.destination is None, -trigger.figure))

    def _of_kernel(self, window: Window) -> list[Trigger]:
        triggers = []
        for reason, names in COUNTED.items():
            if not any(name in window.counters for name in names):
                continue
            events = sum(window.counters.get(name, 0) for name in names)
            before = self._usual[reason]
            known = len(before) >= FEWEST_MINUTES
            if known and events >= FEWEST_EVENTS and events > GROWTH * median(before):
                triggers.append(Trigger(reason, float(events)))
            before.append(events)
        return triggers
