"""When windows say that a route may have changed."""

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.triggers import Triggers
from agent.wire.batch import Window
from agent.wire.histogram import Histogram
from agent.wire.series import Family, Outcome, SeriesKey, TimeSource

SERIES = SeriesKey("fra", "nyc", "icmp", Family.IPV4, TimeSource.KERNEL)
MS = 1_000_000


def window(minimum_ns=None, start_s=0, **gauges):
    rtt = Histogram() if minimum_ns is None else Histogram.of([minimum_ns])
    return Window(SERIES, start_s, 60, {Outcome.OK: 1}, rtt, gauges=gauges)


def feed(minima_ns):
    """Figure, before and after of each step, with the number of the window that completed it."""
    triggers = Triggers()
    return [
        (number, step.figure, step.before, step.after)
        for number, minimum in enumerate(minima_ns)
        for step in triggers.feed([window(minimum)])
    ]


@pytest.mark.parametrize(("before", "after"), [(80, 95), (95, 80), (1, 2), (250, 260)])
def test_a_step_that_stays_triggers_once(before, after):
    """Two windows at the new level are enough, and the new level is then the usual one."""
    steps = feed([before * MS] * 10 + [after * MS] * 40)
    assert steps == [(11, "min_rtt_seconds", before / 1e3, after / 1e3)]


def test_a_single_strange_window_triggers_nothing():
    """A minute of queueing is no new route."""
    assert feed([80 * MS] * 10 + [120 * MS] + [80 * MS] * 10 + [60 * MS, 110 * MS] + [80 * MS] * 10) == []


@given(seed=st.integers(0, 2**32), jitter_us=st.integers(0, 400))
def test_noise_triggers_nothing(seed, jitter_us):
    """Minima that scatter by less than stamps and scheduling can make stay quiet for ever."""
    dice = random.Random(seed)
    assert feed([80 * MS + dice.randrange(jitter_us + 1) * 1000 for _ in range(300)]) == []


def test_a_noisy_path_needs_a_larger_step():
    """What is usual on a path decides what is not."""
    noisy = [(80 + 8 * (n % 2)) * MS for n in range(20)]
    assert feed([*noisy, 95 * MS, 95 * MS]) == []
    assert len(feed([*noisy, 150 * MS, 150 * MS])) == 1


@pytest.mark.parametrize("name", ["ttl", "ttl_forward", "path_mtu_bytes"])
def test_an_exact_figure_triggers_at_once(name):
    """A hop more or a smaller MTU shows in one window; a window without the figure says nothing."""
    triggers = Triggers()
    steps = [
        triggers.feed([window(**gauges)]) for gauges in ({name: 54}, {}, {name: 54}, {name: 53}, {name: 53})
    ]
    assert [len(each) for each in steps] == [0, 0, 0, 1, 0]
    (step,) = steps[3]
    assert (step.destination, step.family, step.as_detail()) == (
        "nyc", Family.IPV4, {"figure": name, "before": 54, "after": 53},
    )  # fmt: skip


def test_a_path_long_gone_is_forgotten():
    """A day later nothing is compared with what was."""
    triggers = Triggers()
    triggers.feed([window(ttl=54)])
    assert triggers.feed([window(start_s=90_000, ttl=54)]) == []
    assert triggers.feed([window(start_s=90_060, ttl=40)]) != []
    triggers.feed([Window(msgspec.structs.replace(SERIES, destination="tok"), 200_000, 60, {})])
    assert triggers.feed([window(start_s=200_000, ttl=54)]) == []
