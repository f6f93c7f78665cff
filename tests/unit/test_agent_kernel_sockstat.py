import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.kernel.parse_error import ParseError
from agent.kernel.sockstat import parse_sockstat

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures/kernel"
REAL = (FIXTURES / "sockstat_6.18.txt").read_bytes()


def test_tcp_memory_and_sockets_in_use_are_read():
    """The file of Linux 6.18 gives each protocol's states by name."""
    parsed = parse_sockstat(REAL)
    assert parsed["TCP"].keys() == {"inuse", "orphan", "tw", "alloc", "mem"}
    assert parsed["sockets"]["used"] >= parsed["TCP"]["inuse"] > 0


def test_the_ipv6_file_has_the_same_format():
    """sockstat6 reads with the same function."""
    assert "inuse" in parse_sockstat((FIXTURES / "sockstat6_6.18.txt").read_bytes())["TCP6"]


@pytest.mark.parametrize("line", [b"TCP: inuse", b"TCP: inuse x", b"TCP inuse 5", b"TCP:"])
def test_a_malformed_line_is_named(line):
    """A name without its value is an error with the line's number."""
    with pytest.raises(ParseError, match="line 2"):
        parse_sockstat(b"sockets: used 1\n" + line)


@given(st.binary(max_size=200) | st.lists(st.sampled_from(REAL.split(b" ")), max_size=30).map(b" ".join))
def test_any_bytes_give_states_or_a_parse_error(data):
    """Arbitrary bytes and shuffled pieces of a real file never raise anything but ParseError."""
    with contextlib.suppress(ParseError):
        parse_sockstat(data)
