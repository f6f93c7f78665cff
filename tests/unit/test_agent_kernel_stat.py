"""CPU time, with steal."""

import pytest

from agent.kernel.parse_error import ParseError
from agent.kernel.stat import CpuTime, parse_stat
from tests.host_samples import of_tree, recorded


def test_steal_of_a_slow_host():
    """Total and per-CPU steal are read; guest time, which user already contains, is not counted twice."""
    stat = parse_stat(of_tree("hong-kong/proc/stat"))
    assert (stat.total.steal, stat.cpus[1].steal) == (3844200, 1922100)
    assert stat.total.total == 2 * (19219331 + 210 + 9483921 + 31203310 + 8210 + 4990210 + 1922100)
    assert stat.boot_time_s == 1784501200


def test_own_recording():
    """A guest of two CPUs; the parts add up to the whole within a tick per CPU and column."""
    stat = parse_stat(recorded("stat_6.18_2cpu.txt"))
    assert set(stat.cpus) == {0, 1}
    assert abs(stat.total.total - sum(cpu.total for cpu in stat.cpus.values())) <= 16


def test_old_kernel_has_no_steal():
    """Four columns: the rest is unknown, not zero."""
    assert parse_stat(b"cpu  1 2 3 4\n").total == CpuTime(1, 2, 3, 4)
    assert parse_stat(b"cpu  1 2 3 4\n").total.steal is None


@pytest.mark.parametrize("text", [b"", b"intr 5\n", b"cpu 1 2 3\n", b"cpux 1 2 3 4\n", b"cpu a 2 3 4\n"])
def test_malformed(text):
    """No cpu line, or too few numbers, is an error."""
    with pytest.raises(ParseError):
        parse_stat(text)
