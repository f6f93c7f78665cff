"""The demonstration world is as far apart as the real one."""

import contextlib
import shutil
import subprocess

import pytest

from lab.capture import echo_rtts_ns
from lab.cities import COLLECTOR, five_cities, one_way_ms

pytestmark = pytest.mark.netns


@pytest.mark.skipif(shutil.which("fping") is None, reason="fping is not installed")
def test_the_cities_are_apart_as_on_earth():
    """Every city reaches every other and the collector, in the planned time and a little jitter."""
    with five_cities() as cities, contextlib.ExitStack() as captures:
        assert [member.name for member in cities.fleet] == [
            "frankfurt",
            "newyork",
            "singapore",
            "saopaulo",
            "tokyo",
        ]
        names = {cities.world[name].address: name for name in (*(m.name for m in cities.fleet), COLLECTOR)}
        seen, pings = {}, []
        for member in cities.fleet:
            node = cities.world[member.name]
            seen[member.name] = captures.enter_context(node.capture("icmp"))
            targets = [address for address in names if address != node.address]
            argv = ["fping", "-q", "-c", "3", "-p", "500", "-t", "450", "-i", "1", *targets]
            pings.append(node.popen(argv, stderr=subprocess.DEVNULL))
        for ping in pings:
            ping.wait(timeout=20)
        for source, capture in seen.items():
            rtts_ms = rtts_by_destination_ms(capture, cities.world[source].address)
            assert len(rtts_ms) == 5
            for address, measured_ms in rtts_ms.items():
                planned_ms = 2 * one_way_ms(source, names[address])
                assert planned_ms <= min(measured_ms) < planned_ms * 1.03 + 3


def rtts_by_destination_ms(capture, source: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for (destination, _, _), rtt_ns in echo_rtts_ns(capture.packets(), source).items():
        found.setdefault(destination, []).append(rtt_ns / 1e6)
    return found


@pytest.mark.parametrize(
    ("one", "other", "rtt_ms"),
    [
        ("frankfurt", "newyork", 82.4),
        ("frankfurt", "tokyo", 221.6),
        ("singapore", "saopaulo", 374.8),
    ],
)
def test_delays_are_the_measured_ones(one, other, rtt_ms):
    """Twice the planned one-way delay is the lowest published round trip between these cities, within 1 %."""
    assert 2 * one_way_ms(one, other) == pytest.approx(rtt_ms, rel=0.01)
    assert one_way_ms(one, other) == one_way_ms(other, one)
