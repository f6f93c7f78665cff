"""One series over time as the geometry of an SVG: lines with gaps, ticks, bands. Pure; the template draws it."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from collector.timeline import Point

WIDTH, HEIGHT = 960, 320
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 14, 84
LOSS_HEIGHT = 34
PLOT_BOTTOM = HEIGHT - BOTTOM
LOSS_TOP = PLOT_BOTTOM + 16
LOG_FROM_RATIO = 12.0
"""A range of times wider than this is drawn on a logarithmic scale."""
TICK_SECONDS = (
    60,
    300,
    600,
    900,
    1800,
    3600,
    3 * 3600,
    6 * 3600,
    12 * 3600,
    86400,
    2 * 86400,
    7 * 86400,
    30 * 86400,
    90 * 86400,
)
MOST_TICKS = 9


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis and its label."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A step of time on the x axis; height is that of its loss bar, 0 without loss."""

    x: float
    width: float
    height: float
    title: str
    excluded: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything in user units of a WIDTH × HEIGHT view box. p50, p99: polylines, one for each stretch without a gap.

    band: polygons between P50 and P99. floor_y, limit_y: None where unknown or outside.
    """

    p50: tuple[str, ...]
    p99: tuple[str, ...]
    band: tuple[str, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    floor_y: float | None
    limit_y: float | None
    bars: tuple[Bar, ...]
    most_loss: float
    logarithmic: bool


def chart_of(
    points: Sequence[Point],
    start_s: int,
    end_s: int,
    step_s: int,
    floor_seconds: float | None,
    limit_seconds: float | None,
) -> Chart | None:
    """The chart of a period; None without a single time to draw."""
    timed = [point for point in points if point.p50_seconds is not None and point.p99_seconds is not None]
    if not timed:
        return None
    lows = [point.p50_seconds or 0.0 for point in timed]
    highs = [point.p99_seconds or 0.0 for point in timed]
    marks = [seconds for seconds in (floor_seconds, limit_seconds) if seconds]
    low, high = min(lows + marks), max(highs + marks)
    logarithmic = high / low > LOG_FROM_RATIO
    y, y_ticks = _log_axis(low, high) if logarithmic else _linear_axis(high)

    x = _time_axis(start_s, end_s)

    runs = list(_runs(timed, step_s))
    middle = step_s / 2

    def line(run: Sequence[Point], value: Callable[[Point], float]) -> list[str]:
        edges = [(run[0], 0.0), *((point, middle) for point in run), (run[-1], float(step_s))]
        return [f"{x(_at(point) + shift):.1f},{y(value(point)):.1f}" for point, shift in edges]

    p50 = [line(run, lambda point: point.p50_seconds or 0.0) for run in runs]
    p99 = [line(run, lambda point: point.p99_seconds or 0.0) for run in runs]
    most_loss = max((point.loss_ratio or 0.0 for point in points), default=0.0)
    return Chart(
        p50=tuple(" ".join(points_) for points_ in p50),
        p99=tuple(" ".join(points_) for points_ in p99),
        band=tuple(" ".join([*upper, *reversed(lower)]) for upper, lower in zip(p99, p50, strict=True)),
        x_ticks=tuple(Tick(x(at), label) for at, label in _time_ticks(start_s, end_s)),
        y_ticks=y_ticks,
        floor_y=y(floor_seconds) if floor_seconds else None,
        limit_y=y(limit_seconds) if limit_seconds else None,
        bars=tuple(_bar(point, x, step_s, most_loss) for point in points),
        most_loss=most_loss,
        logarithmic=logarithmic,
    )


def spans_of(spans: Iterable[tuple[int, int | None, str]], start_s: int, end_s: int) -> tuple[Bar, ...]:
    """Stretches of time (start, end or None where it lasts, title) as bars of the same chart, cut to its period."""
    x = _time_axis(start_s, end_s)
    bars = []
    for first_s, last_s, title in spans:
        left, right = x(max(first_s, start_s)), x(min(last_s or end_s, end_s))
        if left < right:
            bars.append(Bar(left, right - left, 0.0, title, excluded=False))
    return tuple(bars)


def _time_axis(start_s: int, end_s: int) -> Callable[[float], float]:
    return lambda time_s: LEFT + (WIDTH - LEFT - RIGHT) * (time_s - start_s) / (end_s - start_s)


def milliseconds(seconds: float) -> str:
    """Three significant digits, in milliseconds; longer times in seconds."""
    ms = seconds * 1e3
    if ms >= 10_000:
        return f"{seconds:.3g} s"
    return f"{ms:.0f} ms" if ms >= 100 else f"{ms:.3g} ms"


def _at(point: Point) -> float:
    return datetime.fromisoformat(point.start).timestamp()


def _runs(points: Sequence[Point], step_s: int) -> Iterator[list[Point]]:
    """Points of consecutive steps; a missing step ends a run, so that the line has a gap there."""
    run: list[Point] = []
    for point in points:
        if run and _at(point) - _at(run[-1]) > step_s * 1.5:
            yield run
            run = []
        run.append(point)
    yield run


def _linear_axis(high: float) -> tuple[Callable[[float], float], tuple[Tick, ...]]:
    step = _nice(high * 1.08 / 5)
    top = math.ceil(high * 1.02 / step) * step

    def y(seconds: float) -> float:
        return PLOT_BOTTOM - (PLOT_BOTTOM - TOP) * seconds / top

    count = round(top / step)
    return y, tuple(Tick(y(i * step), milliseconds(i * step)) for i in range(count + 1))


def _log_axis(low: float, high: float) -> tuple[Callable[[float], float], tuple[Tick, ...]]:
    bottom, top = math.log10(low * 0.9), math.log10(high * 1.1)

    def y(seconds: float) -> float:
        return PLOT_BOTTOM - (PLOT_BOTTOM - TOP) * (math.log10(seconds) - bottom) / (top - bottom)

    decades = range(math.floor(bottom), math.ceil(top) + 1)
    steps = (1, 2, 5) if top - bottom < 3 else (1,)
    values = [digit * 10.0**decade for decade in decades for digit in steps]
    return y, tuple(Tick(y(v), milliseconds(v)) for v in values if bottom <= math.log10(v) <= top)


def _nice(step: float) -> float:
    """1, 2, 2.5 or 5 times a power of ten, at least step."""
    power: float = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= step * 0.999)


def _time_ticks(start_s: int, end_s: int) -> Iterator[tuple[int, str]]:
    """Whole units of UTC time; the date where a day begins."""
    step = next((s for s in TICK_SECONDS if (end_s - start_s) / s <= MOST_TICKS), TICK_SECONDS[-1])
    for at in range(-(-start_s // step) * step, end_s + 1, step):
        moment = datetime.fromtimestamp(at, UTC)
        yield at, f"{moment:%d %b}" if step >= 86400 or at % 86400 == 0 else f"{moment:%H:%M}"


def _bar(point: Point, x: Callable[[float], float], step_s: int, most_loss: float) -> Bar:
    at = _at(point)
    left = max(x(at), LEFT)
    right = min(x(at + step_s), WIDTH - RIGHT)
    loss = point.loss_ratio or 0.0
    return Bar(
        x=left,
        width=max(right - left, 0.5),
        height=max(LOSS_HEIGHT * loss / most_loss, 1.5) if loss else 0.0,
        title=_title(point),
        excluded=point.excluded_minutes > 0,
    )


def _title(point: Point) -> str:
    said = [f"{point.start.removesuffix('Z').replace('T', ' ')[:16]} UTC"]
    if point.p50_seconds is not None and point.p99_seconds is not None:
        said.append(f"P50 {milliseconds(point.p50_seconds)}, P99 {milliseconds(point.p99_seconds)}")
    if point.judged:
        said.append(f"{point.over_limit:,} of {point.judged:,} over the limit")
    if point.lost:
        said.append(f"{point.lost:,} of {point.answered + point.lost:,} lost")
    if point.excluded_minutes:
        said.append(f"{point.excluded_minutes} minutes excluded: spoiled by the source host")
    return "\n".join(said)
