"""Reading a CSV of pairs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.pairs_csv import COLUMNS, PairsError, parse_pairs

HEADER = ",".join(COLUMNS)
ROW = "fra,sin,50.1,8.7,1.35,103.8,150.5,160.25"


def test_columns_are_found_by_name_in_any_order():
    """Extra columns, blank lines, quotes, CRLF and a byte-order mark do no harm."""
    text = f'\ufeff{HEADER},note\r\n"fra",sin,50.1,8.7,1.35,103.8,150.5,160.25,"a, b"\r\n\r\n'
    (plain,) = parse_pairs(f"{HEADER}\n{ROW}\n", "x.csv", 0.0)
    assert parse_pairs(text, "x.csv", 0.0) == [plain]
    turned = ",".join(reversed(HEADER.split(","))) + "\n" + ",".join(reversed(ROW.split(","))) + "\n"
    assert parse_pairs(turned, "x.csv", 0.0) == [plain]
    assert (plain.min_seconds, plain.p99_seconds) == (0.1505, 0.16025)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f"x.csv: the file is empty; it needs a header line: {HEADER}"),
        (f"{HEADER}\n", "x.csv: there is a header but no pair under it"),
        (
            HEADER.replace(",p99_ms", "") + "\n",
            f"x.csv: line 1: missing column p99_ms; needed: {HEADER.replace(',', ', ')}",
        ),
        (f"{HEADER},min_ms\n", "x.csv: line 1: column min_ms stands twice"),
        (f"{HEADER}\n{ROW}\n{ROW},1\n", "x.csv: line 3: 9 fields, but the header names 8 columns"),
        (f"{HEADER}\n{ROW.replace('150.5', 'fast')}\n", "x.csv: line 2, column min_ms: not a number: 'fast'"),
        (f"{HEADER}\n{ROW.replace('160.25', '')}\n", "x.csv: line 2, column p99_ms: not a number: ''"),
        (
            f"{HEADER}\n{ROW.replace('160.25', 'inf')}\n",
            "x.csv: line 2, column p99_ms: inf is not a number at least 0",
        ),
        (
            f"{HEADER}\n{ROW.replace('160.25', 'nan')}\n",
            "x.csv: line 2, column p99_ms: nan is not a number at least 0",
        ),
        (
            f"{HEADER}\n{ROW.replace('150.5', '-1')}\n",
            "x.csv: line 2, column min_ms: -1 is not a number at least 0",
        ),
        (
            f"{HEADER}\n{ROW.replace('50.1', '95')}\n",
            "x.csv: line 2, column source_latitude: 95 is not a number between -90 and 90",
        ),
        (
            f"{HEADER}\n{ROW.replace('150.5', '170')}\n",
            "x.csv: line 2, column p99_ms: 160.25 is smaller than min_ms 170",
        ),
        (
            f"{HEADER}\n{ROW.replace('fra', '')}\n",
            "x.csv: line 2, column source: empty; the name of a place is needed",
        ),
        (f'{HEADER}\n"fra"x,{ROW}\n', "x.csv: line 2: not CSV: ',' expected after '\"'"),
    ],
)
def test_each_mistake_is_one_line_with_file_line_and_column(text, message):
    """Whoever made the file finds the cell."""
    with pytest.raises(PairsError) as refused:
        parse_pairs(text, "x.csv", 0.0)
    assert str(refused.value) == message


@given(
    st.text()
    | st.text().map(lambda rest: f"{HEADER}\n{ROW}{rest}")
    | st.binary().map(lambda b: b.decode("latin-1"))
)
def test_any_text_gives_pairs_or_the_one_error(text):
    """Never another exception."""
    try:
        pairs = parse_pairs(text, "x.csv", 1.0)
    except PairsError:
        return
    assert pairs
