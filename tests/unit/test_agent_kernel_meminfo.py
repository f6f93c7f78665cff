"""Memory and swapping."""

import pytest

from agent.kernel.meminfo import parse_meminfo, parse_vmstat
from agent.kernel.parse_error import ParseError
from tests.host_samples import of_tree, recorded


def test_amounts_are_bytes_and_huge_pages_are_counts():
    """kB becomes bytes; a row without a unit stays a number."""
    amounts = parse_meminfo(of_tree("kvm-vps-512mb/proc/meminfo"))
    assert (amounts["MemTotal"], amounts["SwapTotal"]) == (492433408, 1073737728)
    assert parse_meminfo(b"MemTotal: 4 kB\nHugePages_Total:       7\n") == {
        "MemTotal": 4096,
        "HugePages_Total": 7,
    }


def test_own_recordings():
    """A 6.18 guest of 24 GB without swap."""
    assert parse_meminfo(recorded("meminfo_6.18.txt"))["SwapTotal"] == 0
    assert parse_vmstat(recorded("vmstat_6.18.txt"))["pswpin"] == 0


def test_pages_swapped():
    """The small host swapped."""
    counters = parse_vmstat(of_tree("kvm-vps-512mb/proc/vmstat"))
    assert (counters["pswpin"], counters["pswpout"]) == (18231, 77120)


@pytest.mark.parametrize("text", [b"", b"MemTotal 5 kB\n", b"MemTotal: 5 MB\n", b"MemTotal: kB\n"])
def test_malformed_meminfo(text):
    """Another unit is not taken for kB."""
    with pytest.raises(ParseError):
        parse_meminfo(text)


@pytest.mark.parametrize("text", [b"", b"pswpin\n", b"pswpin 1 2\n", b"pswpin x\n"])
def test_malformed_vmstat(text):
    """A line is a name and a number."""
    with pytest.raises(ParseError):
        parse_vmstat(text)
