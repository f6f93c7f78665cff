"""Digits as the kernel prints them, and nothing else."""

import pytest

from agent.kernel.parse_error import ParseError
from agent.kernel.text import number, text_of


@pytest.mark.parametrize(
    ("word", "value"), [("0", 0), ("-1", -1), ("18446744073709551615", 2**64 - 1), ("007", 7)]
)
def test_numbers(word, value):
    """All that a kernel prints."""
    assert number("proc", "line 1", word) == value


@pytest.mark.parametrize("word", ["", "-", "1_0", "+1", " 1", "１", "1e3", "0x1", "9" * 21, "--1"])
def test_what_python_would_take_but_no_kernel_prints(word):
    """Python's own int() is more generous."""
    with pytest.raises(ParseError, match="decimal number"):
        number("proc", "line 1", word)


def test_bytes_that_are_no_text():
    """The place of the first wrong byte is named."""
    with pytest.raises(ParseError, match="byte 3"):
        text_of("proc", b"abc\xff")
