import pytest

from collector.chart import HEIGHT, LEFT, PLOT_BOTTOM, RIGHT, TOP, WIDTH, chart_of, milliseconds
from collector.period import utc
from collector.timeline import Point
from tests.batches import DAY


def point(minute, p50, p99, lost=0, excluded=0):
    samples = 0 if p50 is None else 6
    sent = samples + lost
    return Point(
        utc(DAY + 60 * minute), samples, p50, p50, p50, p99, p99, samples, lost,
        lost / sent if sent else None, samples, 0, {}, excluded,
    )  # fmt: skip


def drawn(points, floor=0.004, limit=0.012):
    return chart_of(points, DAY, DAY + 3600, 60, floor, limit)


def coordinates(polyline):
    return [tuple(map(float, pair.split(","))) for pair in polyline.split()]


def test_a_gap_in_the_data_is_a_gap_in_the_line():
    """Minutes without samples are not bridged: the line ends and begins again."""
    chart = drawn(
        [
            point(0, 0.005, 0.006),
            point(1, 0.005, 0.006),
            point(2, None, None, lost=6),
            point(30, 0.005, 0.006),
        ]
    )
    assert (len(chart.p50), len(chart.p99), len(chart.band)) == (2, 2, 2)
    left, right = coordinates(chart.p50[0])[-1][0], coordinates(chart.p50[1])[0][0]
    assert right - left > (WIDTH - LEFT - RIGHT) * 27 / 60


def test_everything_lies_inside_the_picture_and_larger_is_higher():
    """P99 is drawn above P50, the limit above the floor, all of it between the axes."""
    chart = drawn([point(i, 0.005 + 0.0001 * i, 0.0115) for i in range(60)])
    for low, high in zip(coordinates(chart.p50[0]), coordinates(chart.p99[0]), strict=True):
        assert TOP <= high[1] <= low[1] <= PLOT_BOTTOM
        assert LEFT <= low[0] <= WIDTH - RIGHT
    assert TOP <= chart.limit_y < chart.floor_y <= PLOT_BOTTOM
    assert all(LEFT <= tick.at <= WIDTH - RIGHT for tick in chart.x_ticks)
    assert next(tick.label for tick in chart.y_ticks) == "0 ms"


def test_a_wide_range_is_drawn_on_a_logarithmic_scale():
    """One spike of a second leaves ten milliseconds readable."""
    chart = drawn([point(0, 0.005, 0.006), point(1, 0.005, 1.0)])
    assert chart.logarithmic
    (line,) = chart.p50
    assert min(y for _, y in coordinates(line)) < PLOT_BOTTOM - 5
    assert {"10 ms", "100 ms", "1000 ms"} <= {tick.label for tick in chart.y_ticks}


def test_loss_is_a_bar_and_a_spoiled_step_is_marked():
    """Every step with loss has a visible bar, the worst the tallest; excluded steps are told apart."""
    chart = drawn(
        [
            point(0, 0.005, 0.006, lost=1),
            point(1, 0.005, 0.006, lost=6),
            point(2, 0.005, 0.006),
            point(3, None, None, excluded=1),
        ]
    )
    heights = [bar.height for bar in chart.bars]
    assert heights[1] > heights[0] >= 1.5
    assert heights[2] == 0
    assert [bar.excluded for bar in chart.bars] == [False, False, False, True]
    assert "6 of 12 lost" in chart.bars[1].title
    assert chart.most_loss == pytest.approx(0.5)


def test_without_a_single_time_there_is_no_chart():
    """An empty picture would look like a flat line at zero."""
    assert drawn([]) is None
    assert drawn([point(0, None, None, lost=6)]) is None
    assert drawn([point(0, 0.005, 0.006)], floor=None, limit=None).floor_y is None
    assert HEIGHT > PLOT_BOTTOM


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0000123, "0.0123 ms"),
        (0.00123, "1.23 ms"),
        (0.0123, "12.3 ms"),
        (0.5, "500 ms"),
        (12.34, "12.3 s"),
        (0, "0 ms"),
    ],
)
def test_times_are_shown_with_three_digits(seconds, shown):
    """Neither false precision nor a rounded-away microsecond."""
    assert milliseconds(seconds) == shown
