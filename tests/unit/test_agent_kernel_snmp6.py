import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.kernel.parse_error import ParseError
from agent.kernel.snmp6 import parse_snmp6

REAL = (Path(__file__).resolve().parents[1] / "fixtures/kernel/snmp6_6.18.txt").read_bytes()


def test_counters_are_grouped_by_protocol():
    """Every line of a real file is one counter of Ip6, Icmp6, Udp6 or UdpLite6."""
    parsed = parse_snmp6(REAL)
    assert set(parsed) == {"Ip6", "Icmp6", "Udp6", "UdpLite6"}
    assert sum(map(len, parsed.values())) == len(REAL.splitlines())
    assert parsed["Ip6"]["InReceives"] > 0


@pytest.mark.parametrize("line", [b"Ip: A B", b"Ip6InReceives", b"Ip6InReceives x", b"lo 7"])
def test_other_files_are_refused_with_their_line(line):
    """A line that is not "Ip6Name value" is an error that names its number."""
    with pytest.raises(ParseError, match="line 2"):
        parse_snmp6(b"Ip6InReceives 7\n" + line)


def test_an_empty_file_is_not_a_host_without_traffic():
    """No bytes are an error, not zero counters."""
    with pytest.raises(ParseError, match="empty"):
        parse_snmp6(b"")


@given(st.binary(max_size=200) | st.lists(st.sampled_from(REAL.split()), max_size=40).map(b"\n".join))
def test_any_bytes_give_counters_or_a_parse_error(data):
    """Arbitrary bytes and shuffled pieces of a real file never raise anything but ParseError."""
    with contextlib.suppress(ParseError):
        parse_snmp6(data)
