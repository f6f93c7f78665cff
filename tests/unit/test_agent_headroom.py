"""A bandwidth test starts only on a host and a network that have no trouble of their own."""

from dataclasses import replace

import pytest

from agent.headroom import refusal, traffic_bits_per_second
from agent.hostcounters import Reading
from agent.kernel.net_dev import DeviceCounters
from agent.kernel.stat import parse_stat

NS = 1_000_000_000
RATE = 100_000_000


def stat(user, steal):
    return parse_stat(f"cpu  {user} 0 0 0 0 0 0 {steal} 0 0\ncpu0 {user} 0 0 0 0 0 0 {steal} 0 0\n".encode())


def reading(seconds, *, user=100, steal=0, received=0, sent=0):
    interfaces = {
        "eth0": DeviceCounters(received, 0, 0, 0, sent, 0, 0, 0),
        "lo": DeviceCounters(received * 100 + 10**12 * seconds, 0, 0, 0, 0, 0, 0, 0),
    }
    return Reading(0, seconds * NS, stat=stat(user, steal), interfaces=interfaces)


def why(after, loss_ratio=0.0):
    return refusal(reading(0), after, loss_ratio=loss_ratio, bits_per_second=RATE)


def test_a_quiet_host_takes_the_test():
    """Traffic on lo is nobody's bandwidth; a tenth of the test's rate is no disturbance."""
    assert why(reading(10, user=200, sent=12_500_000)) is None


@pytest.mark.parametrize(
    ("after", "loss_ratio", "reason"),
    [
        (reading(10, user=190, steal=10), 0.0, "steal is 10.0% of CPU time"),
        (reading(10, user=200), 0.03, "3.0% of probes are lost"),
        (
            reading(10, user=200, received=12_600_000),
            0.0,
            "own traffic is 10.1 Mbit/s beside a test of 100 Mbit/s",
        ),
    ],
)
def test_trouble_refuses_it_in_words(after, loss_ratio, reason):
    """Each alone is enough."""
    assert why(after, loss_ratio) == reason


def test_what_is_unknown_forbids_nothing():
    """A container without /proc/stat, a node without probes."""
    nothing = Reading(0, 5 * NS)
    assert refusal(replace(nothing, mono_ns=0), nothing, loss_ratio=None, bits_per_second=RATE) is None
    assert traffic_bits_per_second(nothing, reading(9)) is None


def test_readings_too_close_to_judge_are_refused():
    """Ten-millisecond ticks would look like steal."""
    with pytest.raises(ValueError, match="at least 1 are needed"):
        refusal(reading(0), replace(reading(0), mono_ns=NS // 2), loss_ratio=None, bits_per_second=RATE)
