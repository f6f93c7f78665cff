"""What the running host answers, against the tools that ask it the same."""

import shutil
import subprocess
import time
from pathlib import Path

import msgspec
import pytest

from agent.clock import SystemClock
from agent.hostfacts import collect
from agent.kernel.ethtool import parse_driver, parse_features, parse_statistics
from agent.net.counter_reader import CounterReader
from agent.net.ethtool import Ethtool
from agent.net.procfs import ProcRoot
from agent.net.rtnetlink import links
from agent.wire.batch import Fact

ETHTOOL = shutil.which("ethtool") or "/usr/sbin/ethtool"


def devices():
    """Interfaces with a driver of their own."""
    return [path.parent.name for path in Path("/sys/class/net").glob("*/device")]


def told(option, device):
    return subprocess.run([ETHTOOL, option, device], capture_output=True, check=True).stdout


@pytest.mark.debian
@pytest.mark.skipif(not Path(ETHTOOL).exists(), reason="ethtool is not installed")
def test_driver_features_and_counters_agree_with_ethtool():
    """Each device's driver, offloads and counter names are those that ethtool prints."""
    if not devices():
        pytest.skip("no device with a driver here")
    ethtool = Ethtool()
    try:
        for device in devices():
            driver = parse_driver(told("-i", device))
            assert (ethtool.driver(device).name, ethtool.driver(device).bus) == (driver.name, driver.bus)
            printed, answered = parse_features(told("-k", device)), ethtool.features(device)
            for name in printed.keys() & answered.keys():
                assert (answered[name].enabled, answered[name].fixed) == (
                    printed[name].enabled,
                    printed[name].fixed,
                ), name
            assert {
                "rx-checksumming",
                "tx-checksumming",
                "generic-receive-offload",
            } <= answered.keys() & printed.keys()
            assert list(ethtool.statistics(device)) == list(parse_statistics(told("-S", device)))
            assert ethtool.channels(device).max_combined >= 0
            assert "rx_software" in ethtool.timestamping(device).capabilities
            assert ethtool.link_settings(device).duplex in (None, "half", "full")
    finally:
        ethtool.close()


def test_loopback_has_no_driver():
    """A device without a driver refuses, which is an error of its own."""
    ethtool = Ethtool()
    try:
        with pytest.raises(OSError, match="not supported"):
            ethtool.driver("lo")
    finally:
        ethtool.close()


def test_links_are_those_of_sysfs():
    """Name, index and MTU of every interface."""
    for link in links():
        folder = Path("/sys/class/net") / link.name
        assert (link.index, link.mtu) == (
            int((folder / "ifindex").read_text()),
            int((folder / "mtu").read_text()),
        )


def test_this_hosts_facts():
    """The live collection is whole: every fact can be sent, and the kernel is the running one."""
    found = collect(Path("/"), int(time.time()))
    by_name = {fact.name: fact for fact in found}
    assert by_name["kernel.release"].value == Path("/proc/sys/kernel/osrelease").read_text().strip()
    assert by_name["clock.synchronised"].value in (True, False)
    assert by_name["interface.lo.qdisc"].value == "noqueue"
    assert by_name["route.with_mtu"].source == "rtnetlink"
    assert msgspec.json.decode(msgspec.json.encode(found), type=list[Fact]) == found


def test_readings_of_this_host_move_forward():
    """Counters of two readings do not run backwards, and the clock's state is there."""
    reader = CounterReader(ProcRoot(), SystemClock())
    try:
        first, last = reader.read(), reader.read()
    finally:
        reader.close()
    assert last.mono_ns > first.mono_ns
    assert last.stat.total.total >= first.stat.total.total
    assert last.softnet is not None
    assert last.clock.maximum_error_seconds >= 0
    assert last.interfaces["lo"].rx_packets >= first.interfaces["lo"].rx_packets
