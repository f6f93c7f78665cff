"""When packets are worth keeping."""

from agent.capture_triggers import CaptureTriggers, Trigger
from agent.wire.batch import Window
from agent.wire.histogram import Histogram
from agent.wire.series import Family, Outcome, SeriesKey, TimeSource

PATH = SeriesKey("fra", "nyc", "tcp", Family.IPV4, TimeSource.TCP_INFO)
NODE = SeriesKey("fra", "fra", "kernel", Family.IPV4, TimeSource.NONE)


def path(over, judged=100, quality=None):
    rtt = Histogram()
    for _ in range(judged):
        rtt.add(1_000_000)
    return Window(PATH, 0, 60, {Outcome.OK: judged}, rtt, 1, judged, over, quality=quality or {})


def kernel(**counters):
    return Window(NODE, 0, 60, {}, counters=counters)


def test_a_path_that_breaks_its_limit_is_a_reason():
    """P99 over the limit by more than a sample or two; not in a minute that this host spoiled."""
    triggers = CaptureTriggers()
    assert triggers.feed([path(2)]) == []
    assert triggers.feed([path(5, judged=600)]) == []
    assert triggers.feed([path(50, quality={"steal_ratio": 0.2})]) == []
    assert triggers.feed([path(5)]) == [Trigger("over_limit", 0.05, "nyc", Family.IPV4)]


def test_growing_zero_windows_and_timeouts_are_reasons():
    """Much more than usual, once it is known what is usual; a busy host's steady number is none."""
    triggers = CaptureTriggers()
    for _ in range(5):
        assert (
            triggers.feed([kernel(tcp_to_zero_window=20, tcp_want_zero_window=0, tcp_retransmits_timeout=1)])
            == []
        )
    assert (
        triggers.feed([kernel(tcp_to_zero_window=30, tcp_want_zero_window=0, tcp_retransmits_timeout=9)])
        == []
    )
    found = triggers.feed(
        [kernel(tcp_to_zero_window=90, tcp_want_zero_window=10, tcp_retransmits_timeout=40), path(9)]
    )
    assert [(t.reason, t.figure, t.destination) for t in found] == [
        ("over_limit", 0.09, "nyc"), ("zero_windows", 100.0, None), ("timeouts", 40.0, None),
    ]  # fmt: skip


def test_a_kernel_that_does_not_count_gives_no_reason():
    """Absent counters are unknown, not zero: what comes after them is no growth."""
    triggers = CaptureTriggers()
    for _ in range(6):
        triggers.feed([kernel(tcp_segments_sent=1)])
    assert triggers.feed([kernel(tcp_retransmits_timeout=50)]) == []
