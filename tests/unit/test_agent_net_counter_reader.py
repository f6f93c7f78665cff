"""Readings of captured hosts, and a minute's flags made of them."""

from agent.net.counter_reader import CounterReader
from agent.net.procfs import ProcRoot
from agent.quality import quality_flags
from tests.host_samples import HOSTS


class FixedClock:
    """A clock that moves only by hand."""

    def __init__(self):
        self.now_ns = 1_800_000_000 * 10**9

    def mono_ns(self):
        return self.now_ns

    def wall_ns(self):
        return self.now_ns

    async def sleep_until(self, mono_ns):
        self.now_ns = mono_ns


def reading(tree):
    return CounterReader(ProcRoot(tree), FixedClock()).read()


def test_everything_of_a_small_vps():
    """Steal, throttling, softnet, conntrack, memory and interfaces of one host."""
    found = reading(HOSTS / "kvm-vps-512mb")
    assert found.stat.total.steal == 391210
    assert (found.throttling.throttled_periods, found.throttling.throttled_seconds) == (512, 30.512233)
    assert (found.softnet[0].dropped, found.softnet[0].cpu) == (0x4E2, 0)
    assert found.softirqs == {"NET_RX": {0: 43129931}, "NET_TX": {0: 412}}
    assert (found.conntrack.entries, found.conntrack.limit, found.conntrack.drops) == (3870, 4096, 0x41)
    assert (found.memory.swap_free_bytes, found.memory.pages_swapped_out) == (812544 * 1024, 77120)
    assert found.interfaces["eth0"].rx_dropped == 5121
    assert (found.clock, found.unreadable) == (None, {})


def test_what_a_tree_lacks_is_none_with_its_reason(tmp_path):
    """An empty tree gives an empty reading; nothing reads as zero."""
    found = reading(tmp_path)
    parts = ("stat", "throttling", "softnet", "softirqs", "conntrack", "memory", "interfaces")
    assert [getattr(found, part) for part in parts] == [None] * len(parts)
    assert found.unreadable == dict.fromkeys(parts, "absent")


def test_no_conntrack_is_absent_and_old_v1_throttling_is_read():
    """The slow node tracks no connections; its v1 group was never throttled."""
    found = reading(HOSTS / "hong-kong")
    assert found.conntrack is None
    assert found.unreadable == {"conntrack": "absent"}
    assert found.throttling.throttled_seconds == 0


def test_two_readings_make_a_minutes_flags(tmp_path):
    """Steal that grew between two readings of one tree is flagged with its ratio."""
    (tmp_path / "proc").mkdir()
    stat = tmp_path / "proc/stat"
    clock = FixedClock()
    reader = CounterReader(ProcRoot(tmp_path), clock)
    stat.write_text("cpu  100 0 0 1000 0 0 0 0\n")
    before = reader.read()
    stat.write_text("cpu  700 0 0 6000 0 0 0 400\n")
    clock.now_ns += 60 * 10**9
    assert quality_flags(before, reader.read()) == {"steal_ratio": 400 / 6000}
