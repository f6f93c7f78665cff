"""Tables for people."""

from collector.text_table import aligned


def test_numbers_stand_right_text_left_and_unknown_is_a_dash():
    """Columns line up; a missing figure is never a zero."""
    shown = aligned(("path", "p99_ms"), [("a", 1.5), ("long", None), ("b", 100.25)])
    assert shown == "path   p99_ms\na       1.500\nlong        -\nb     100.250"


def test_a_table_without_rows_is_its_header():
    """Nothing to show is no error."""
    assert aligned(("a", "b"), []) == "a  b"
