"""The local table of AS numbers."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.kernel.as_table import parse_as_table
from agent.kernel.parse_error import ParseError

TABLE = """# documentation networks
192.0.2.0/24,64496
192.0.2.128/25\tAS64497
2001:db8::/32 64498
0.0.0.0/0, 65535
"""


@pytest.mark.parametrize(
    ("address", "number"),
    [
        ("192.0.2.1", 64496),
        ("192.0.2.200", 64497),
        ("198.51.100.1", 65535),
        ("2001:db8::1", 64498),
        ("2001:db9::1", None),
        ("fe80::1%eth0", None),
        ("not an address", None),
    ],
)
def test_the_longest_prefix_counts(address, number):
    """Of two networks that hold an address the smaller one announces it."""
    assert parse_as_table(TABLE).find(address) == number


@pytest.mark.parametrize(
    "line", ["192.0.2.0/24", "192.0.2.1/24,1", "x,1", "192.0.2.0/24,x", "::/0,4294967296", "::/0,²"]
)
def test_a_bad_line_is_named(line):
    """Host bits, no number, a number that is none: one error with the line."""
    with pytest.raises(ParseError, match="line 2"):
        parse_as_table("::/0,1\n" + line)


@given(
    text=st.text() | st.lists(st.sampled_from(["::/0", "1.2.3.0/24", ",", "AS", "9" * 30, "\n"])).map("".join)
)
def test_any_text_gives_a_table_or_a_parse_error(text):
    """No other exception, whatever the file holds."""
    with suppress(ParseError):
        parse_as_table(text).find("192.0.2.1")
