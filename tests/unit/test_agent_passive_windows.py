"""What the kernel counted in a minute, as windows."""

import dataclasses

from agent.hostcounters import Conntrack, Memory, Reading
from agent.kernel.counters import Discontinuity, Increments
from agent.kernel.net_dev import DeviceCounters
from agent.kernel.softnet import SoftnetCpu
from agent.kernel.stat import CpuTime, Stat
from agent.passive_windows import PassiveWindows, group_names
from agent.sockets import GroupReading, Quantiles, SocketReading, Traffic
from agent.wire.assignment import Peer
from agent.wire.batch import Batch, decode, encode
from agent.wire.series import Family

NYC = Peer("nyc", ipv4="192.0.2.1")
BOTH = Peer("sin", ipv4="192.0.2.2", ipv6="2001:db8::2")
NOTHING = Reading(0, 0)
MS40 = Quantiles(0.04, 0.05, 0.06, 0.07, 0.08)


def group(sent=0, retransmitted=0, connections=2, **changes):
    reading = GroupReading(
        connections, 0, 0, MS40, MS40, Quantiles(10, 20, 30, 40, 50), None, None, 1, {"bbr": 2},
        Traffic("bytes", sent, retransmitted, 1.5, 0.5, None),
    )  # fmt: skip
    return dataclasses.replace(reading, **changes)


def sockets(**groups):
    return SocketReading("inet_diag", 2, False, False, groups)


def close(windows, peers=(NYC,), host=(NOTHING, NOTHING), quality=None):
    return windows.close("fra", peers, host, (60, 60), quality or {})


def test_traffic_of_a_minute_is_the_sum_of_its_readings():
    """Four readings a minute add up; the gauges are the last one's; the next minute starts from nothing."""
    windows = PassiveWindows()
    for sent in (100, 200, 300):
        windows.add_sockets(sockets(nyc=group(sent, 10)))
    (window,) = close(windows)
    assert (window.series.probe, window.series.destination, window.series.family) == (
        "sockets",
        "nyc",
        Family.IPV4,
    )
    assert window.counters == {
        "bytes_sent": 600,
        "bytes_retransmitted": 30,
        "busy_us": 4_500_000,
        "rwnd_limited_us": 1_500_000,
    }
    assert window.gauges["rtt_p50_seconds"] == 0.05
    assert window.gauges["min_rtt_least_seconds"] == 0.04
    assert window.gauges["cwnd_p50_segments"] == 20
    assert window.gauges["congestion_bbr"] == 2
    assert "ssthresh_p50_segments" not in window.gauges
    assert close(windows) == []


def test_the_families_of_a_peer_are_apart():
    """A peer with two addresses has one window for each family that has connections."""
    windows = PassiveWindows()
    windows.add_sockets(
        sockets(
            **{"sin": group(3), "sin/ipv4": group(1), "sin/ipv6": group(2), "nyc": group(0, connections=0)}
        )
    )
    found = {w.series.family: w.counters["bytes_sent"] for w in close(windows, (BOTH,))}
    assert found == {Family.IPV4: 1, Family.IPV6: 2}
    assert group_names(NYC) == {Family.IPV4: "nyc"}


def test_what_the_kernel_counts_is_a_window_of_the_node_itself():
    """TCP counters add up over a minute; a reading that cannot be compared adds nothing."""
    windows = PassiveWindows()
    counted = Increments(
        15.0,
        {
            "Tcp": {"OutSegs": 1000, "RetransSegs": 50},
            "TcpExt": {"TCPFastRetrans": 20, "TCPToZeroWindowAdv": 2},
        },
    )
    for since in (None, counted, Discontinuity.BOOT, counted):
        windows.add_counters(since, {"TCP": {"inuse": 3, "mem": 17}})
    (window,) = close(windows)
    assert (window.series.probe, window.series.source, window.series.destination) == ("kernel", "fra", "fra")
    assert window.counters["tcp_segments_sent"] == 2000
    assert window.counters["tcp_segments_retransmitted"] == 100
    assert window.counters["tcp_retransmits_fast"] == 40
    assert window.counters["tcp_to_zero_window"] == 4
    assert "tcp_retransmits_syn" not in window.counters
    assert window.gauges["tcp_memory_pages"] == 17


def test_host_figures_are_of_the_minute_and_unknown_ones_absent():
    """Drops, swapping and steal of the minute; a counter that was reset or a file that is missing leaves no figure."""
    before = Reading(
        0, 0, Stat(CpuTime(100, 0, 0, 900, steal=0), {}), softnet=(SoftnetCpu(2**32 - 10, 5, 1, cpu=0),),
        interfaces={"eth0": DeviceCounters(0, 100, 0, 7, 0, 50, 0, 0), "lo": DeviceCounters(0, 0, 0, 0, 0, 0, 0, 0)},
        memory=Memory(10, 5, None, None, 100, 200), conntrack=Conntrack(10, 100),
        softirqs={"NET_RX": {0: 2**32 - 100, 1: 50}},
    )  # fmt: skip
    after = Reading(
        1, 10**9, Stat(CpuTime(140, 0, 0, 950, steal=10), {}), softnet=(SoftnetCpu(10, 8, 1, cpu=0),),
        interfaces={"eth0": DeviceCounters(0, 160, 0, 9, 0, 90, 0, 0), "lo": DeviceCounters(9, 9, 9, 9, 9, 9, 9, 9)},
        memory=Memory(10, 4, None, None, 90, 260), conntrack=Conntrack(20, 100),
        softirqs={"NET_RX": {0: 800, 1: 150}},
    )  # fmt: skip
    (window,) = close(PassiveWindows(), (), (before, after))
    assert window.gauges["steal_ratio"] == 0.1
    assert (window.gauges["net_rx_busiest_cpu_ratio"], window.gauges["net_rx_per_second"]) == (0.9, 1000)
    assert (window.counters["softnet_processed"], window.counters["softnet_dropped"]) == (20, 3)
    assert (window.counters["interface_rx_packets"], window.counters["interface_rx_dropped"]) == (60, 2)
    assert window.counters["pages_swapped_out"] == 60
    assert "pages_swapped_in" not in window.counters
    assert (window.gauges["conntrack_entries"], window.gauges["memory_available_bytes"]) == (20, 4)
    assert "memory_swap_total_bytes" not in window.gauges


def test_only_an_own_test_spoils_what_was_counted():
    """Steal makes times wrong, not counts; an own bandwidth test is not the path's usual traffic."""
    windows = PassiveWindows()
    windows.add_sockets(sockets(nyc=group(1)))
    (window,) = close(windows, quality={"steal_ratio": 0.2, "own_test_seconds": 3.0})
    assert window.quality == {"own_test_seconds": 3.0}


def test_the_wire_takes_them():
    """Windows without outcomes or times pass the batch's own checks."""
    windows = PassiveWindows()
    windows.add_sockets(sockets(nyc=group(5)))
    batch = Batch(2, "fra", "0" * 32, 0, close(windows))
    assert decode(encode(batch)) == batch
