"""Minutes that this host spoiled itself are flagged with the figure, clean ones are not."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.hostcounters import Conntrack, Reading, Throttling
from agent.kernel.net_dev import DeviceCounters
from agent.kernel.softnet import SoftnetCpu
from agent.kernel.stat import CpuTime, Stat
from agent.quality import THRESHOLDS, quality_flags, throttled_seconds

NS = 1_000_000_000
CPU = CpuTime(user=0, nice=0, system=0, idle=0, iowait=0, irq=0, softirq=0, steal=0)
START = Reading(
    wall_ns=1_800_000_000 * NS,
    mono_ns=500 * NS,
    stat=Stat(CPU, {}),
    throttling=Throttling(periods=0, throttled_periods=0, throttled_seconds=10.0),
    softnet=(SoftnetCpu(1000, 5, 0, cpu=0), SoftnetCpu(1000, 5, 0, cpu=1)),
    conntrack=Conntrack(entries=100, limit=1000, drops=7),
    interfaces={"eth0": DeviceCounters(0, 0, 0, 0, 0, 0, 0, 0)},
    allowance_exceeded={"eth0": {"bw_out": 50, "linklocal": 9}},
)
CLEAN = replace(
    START,
    wall_ns=START.wall_ns + 60 * NS,
    mono_ns=START.mono_ns + 60 * NS,
    stat=Stat(replace(CPU, user=3000, idle=9000), {}),
)


def stolen(ticks):
    return replace(CLEAN, stat=Stat(replace(CPU, user=3000, idle=9000 - ticks, steal=ticks), {}))


def test_a_clean_minute_has_no_flags():
    """A minute in which nothing happened on this host is not flagged."""
    assert quality_flags(START, CLEAN, schedule_delay_seconds=0.025) == {}


def test_steal_is_the_share_of_all_cpu_time():
    """20% of the CPU time stolen is reported as 0.2; 5% is still clean."""
    assert quality_flags(START, stolen(2400)) == {"steal_ratio": 0.2}
    assert quality_flags(START, stolen(600)) == {}


def test_kernel_without_steal_column_gives_no_flag():
    """Where the kernel prints no steal column the ratio is unknown, not zero and not a flag."""
    blind = replace(CLEAN, stat=Stat(CpuTime(1, 1, 1, 1), {}))
    assert "steal_ratio" not in quality_flags(START, blind)


def test_throttling_over_one_percent_of_the_minute():
    """0.7 s of a minute in throttling is flagged in seconds, 0.5 s is not."""

    def end(seconds):
        return replace(CLEAN, throttling=Throttling(600, 9, 10.0 + seconds))

    assert quality_flags(START, end(0.7)) == {"throttled_seconds": pytest.approx(0.7)}
    assert quality_flags(START, end(0.5)) == {}


def test_replaced_cgroup_is_unknown():
    """A throttled time that ran backwards (another cgroup) gives no flag rather than a negative figure."""
    replaced = replace(CLEAN, throttling=Throttling(1, 1, 0.1))
    assert throttled_seconds(START, replaced) is None
    assert quality_flags(START, replaced) == {}


@pytest.mark.parametrize("step", [-3600.0, 0.5, 3600.0])
def test_clock_step_keeps_its_sign(step):
    """A wall clock set by hand within the minute is reported with direction."""
    moved = replace(CLEAN, wall_ns=CLEAN.wall_ns + int(step * NS))
    assert quality_flags(START, moved) == {"clock_step_seconds": step}


def test_softnet_drops_count_across_a_counter_wrap():
    """Drops are counted per CPU across the wrap of a 32-bit counter, and judged by their share."""
    before = replace(START, softnet=(SoftnetCpu(2**32 - 100, 2**32 - 2, 0, cpu=0),))
    after = replace(CLEAN, softnet=(SoftnetCpu(900, 8, 0, cpu=0),))
    assert quality_flags(before, after) == {"softnet_dropped": 10.0}
    busy = replace(CLEAN, softnet=(SoftnetCpu(5_000_000, 8, 0, cpu=0),))
    assert quality_flags(before, busy) == {}


def test_cpu_that_left_is_left_out():
    """With CPU numbers the remaining CPUs are compared; without them a changed line count says nothing."""
    after = replace(CLEAN, softnet=(SoftnetCpu(1010, 105, 0, cpu=1),))
    assert quality_flags(START, after) == {"softnet_dropped": 100.0}
    old_before = replace(START, softnet=(SoftnetCpu(1000, 5, 0), SoftnetCpu(1000, 5, 0)))
    old_after = replace(CLEAN, softnet=(SoftnetCpu(1010, 105, 0),))
    assert quality_flags(old_before, old_after) == {}


def test_allowance_and_conntrack():
    """Packets over the provider's allowance and flows refused by a full table are flagged; link-local excess is not."""
    after = replace(
        CLEAN,
        interfaces={"eth0": DeviceCounters(0, 10_000, 0, 0, 0, 10_000, 0, 0)},
        allowance_exceeded={"eth0": {"bw_out": 150, "linklocal": 999_999}},
        conntrack=Conntrack(1000, 1000, drops=8),
    )
    assert quality_flags(START, after) == {"conntrack_dropped": 1.0, "allowance_exceeded": 100.0}
    busy = replace(after, interfaces={"eth0": DeviceCounters(0, 900_000, 0, 0, 0, 0, 0, 0)})
    assert quality_flags(START, busy) == {"conntrack_dropped": 1.0}


def test_own_test_and_late_wakeups():
    """What the agent knows of itself, its bandwidth test and its late wake-ups, is flagged beside the host's part."""
    flags = quality_flags(START, CLEAN, schedule_delay_seconds=0.3, own_test_seconds=10.0)
    assert flags == {"schedule_delay_seconds": 0.3, "own_test_seconds": 10.0}


def test_nothing_readable_is_no_flag():
    """On a host where no counter can be read only the clocks speak."""
    before, after = Reading(0, 0), Reading(60 * NS, 60 * NS)
    assert quality_flags(before, after) == {}


def test_readings_in_the_wrong_order_are_refused():
    """Swapped readings are a programming error and are named as such."""
    with pytest.raises(ValueError, match="must be later"):
        quality_flags(CLEAN, START)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.floats(0, 60), st.integers(-(10**12), 10**12))
def test_every_flag_has_a_threshold(processed, dropped, own, step_ns):
    """Whatever the counters say, only documented flags come out."""
    after = replace(
        CLEAN, softnet=(SoftnetCpu(processed, dropped, 0, cpu=0),), wall_ns=CLEAN.wall_ns + step_ns
    )
    assert set(quality_flags(START, after, own_test_seconds=own)) <= set(THRESHOLDS)
