import math

import pytest

from agent.kernel.json_values import JsonReader
from agent.kernel.parse_error import ParseError

READ = JsonReader("thing")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(3, 3), ("3.5e2", 350), (None, None), (math.nan, None), ("-inf", None), (-1, -1), (2**62, 2**62)],
)
def test_a_number_is_a_number_in_quotes_or_not(value, expected):
    """What is absent or not finite is None."""
    assert READ.number({"k": value}, "k", "a") == expected
    assert READ.number({}, "k", "a") is None


@pytest.mark.parametrize("value", [True, "fast", [], {}, 2**63, "1e300", 10**400])
def test_what_is_no_number_is_named_with_its_path(value):
    """The error says where."""
    with pytest.raises(ParseError, match=r"thing: a\.k: a number"):
        READ.number({"k": value}, "k", "a")


def test_counts_texts_and_sections():
    """A negative count is unknown; an empty text says nothing; an absent section is empty; another type is an error."""
    record = {"n": -1, "m": "7", "t": "", "u": "x", "s": {"a": 1}, "l": [{}], "bad": 3, "mixed": [1]}
    assert (READ.count(record, "n", "r"), READ.count(record, "m", "r")) == (None, 7)
    assert (READ.text(record, "t"), READ.text(record, "u"), READ.text(record, "bad")) == (None, "x", None)
    assert (READ.section(record, "s", "r"), READ.section(record, "none", "r")) == ({"a": 1}, {})
    assert (READ.sections(record, "l", "r"), READ.sections(record, "none", "r")) == ([{}], [])
    with pytest.raises(ParseError, match=r"r\.bad: an object"):
        READ.section(record, "bad", "r")
    with pytest.raises(ParseError, match=r"r\.mixed: a list of objects"):
        READ.sections(record, "mixed", "r")
