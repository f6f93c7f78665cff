"""Connection tracking's counters."""

import pytest

from agent.kernel.conntrack import parse_conntrack_stat
from agent.kernel.parse_error import ParseError
from tests.host_samples import of_tree, recorded


def test_drops_are_hexadecimal():
    """A full table's drops, early drops and failed insertions."""
    counters = parse_conntrack_stat(of_tree("kvm-vps-512mb/proc/net/stat/nf_conntrack"))
    assert (counters["drop"], counters["early_drop"], counters["insert_failed"]) == (0x41, 0x11, 3)


def test_counters_are_summed_over_cpus_and_entries_are_not():
    """Every CPU's line repeats the table's size."""
    text = b"entries drop\n0000000a 00000001\n0000000a 00000002\n"
    assert parse_conntrack_stat(text) == {"entries": 10, "drop": 3}
    assert parse_conntrack_stat(recorded("nf_conntrack_6.18.txt"))["drop"] == 0


@pytest.mark.parametrize("text", [b"", b"a b\n1 2\n", b"entries drop\n1\n", b"entries drop\n1 xyz\n"])
def test_malformed(text):
    """Another heading or another number of columns is an error."""
    with pytest.raises(ParseError):
        parse_conntrack_stat(text)
