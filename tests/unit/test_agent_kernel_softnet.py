"""softnet_stat of every width."""

import pytest

from agent.kernel.parse_error import ParseError
from agent.kernel.softnet import SoftnetCpu, parse_softnet
from tests.corpus import field_file
from tests.host_samples import recorded


@pytest.mark.corpus
def test_each_width_of_the_field():
    """Rows of 13, 13, 11, 9 and 10 columns: what a kernel does not print is None."""
    rows = parse_softnet(field_file("7-host/procfs_softnet_stat.txt"))
    assert rows[0] == SoftnetCpu(0x358FE3, 0x6283, 0, 0x855FC, 0x76, 0, 0)
    assert rows[1] == SoftnetCpu(0x953D1A, 0x446, 0xB1, 0x8EEB9A, 0x2B, 0xDC, 1)
    assert rows[2] == SoftnetCpu(0x15C73, 0x20E76, 0xF0000769, 3, 2, None, None)
    assert rows[3] == SoftnetCpu(0x1663FB2, 0, 0x109A4, None, None, None, None)
    assert rows[4] == SoftnetCpu(0x8E78, 1, 0x11, 0x10, None, None, None)


@pytest.mark.corpus
def test_hundreds_of_cpus_and_cpus_gone_offline():
    """480 CPUs of 10 columns; of sysstat's two readings the second has two lines fewer."""
    assert len(parse_softnet(field_file("7-host/pcp_hpbl920gen8_softnet_stat.txt"))) == 480
    before = parse_softnet(field_file("7-host/sysstat_root1_softnet_stat.txt"))
    after = parse_softnet(field_file("7-host/sysstat_root3_softnet_stat.txt"))
    assert (len(before), len(after)) == (9, 7)
    assert all(row.cpu is None for row in before)


@pytest.mark.corpus
def test_broken_file():
    """Four columns are no softnet_stat, and the error shows them."""
    with pytest.raises(ParseError, match="4 columns"):
        parse_softnet(field_file("7-host/procfs_softnet_stat_broken.txt"))


def test_fifteen_columns():
    """6.18 prints the CPU's number and both parts of the backlog."""
    rows = parse_softnet(recorded("softnet_stat_6.18_2cpu.txt"))
    assert [row.cpu for row in rows] == [0, 1]
    assert [row.input_queue_packets for row in rows] == [0, 0]


@pytest.mark.parametrize("width", [8, 12, 14])
def test_width_that_no_kernel_prints(width):
    """A width between the known ones is refused rather than guessed."""
    with pytest.raises(ParseError, match=f"{width} columns"):
        parse_softnet(b" ".join([b"00000001"] * width))


def test_wider_future_kernel_keeps_what_is_known():
    """More columns than known are read as far as known."""
    (row,) = parse_softnet(b" ".join(b"%08x" % n for n in range(17)))
    assert (row.cpu, row.process_queue_packets) == (12, 14)


@pytest.mark.parametrize(
    "text", [b"", b"\n", b"0000000g " + b"00000000 " * 8, b"+0000001 " + b"00000000 " * 8]
)
def test_malformed(text):
    """No line, or a digit that is none, is an error."""
    with pytest.raises(ParseError):
        parse_softnet(text)
