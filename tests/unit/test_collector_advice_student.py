"""Student's t quantiles."""

import pytest

from collector.advice.student import t_quantile


@pytest.mark.parametrize(
    ("q", "degrees", "table"),
    [(0.975, 3, 3.182), (0.995, 4, 4.604), (0.975, 10, 2.228), (0.995, 30, 2.750), (0.95, 120, 1.658)],
)
def test_quantiles_are_those_of_the_printed_tables(q, degrees, table):
    """Within 1% of the table, and odd around the middle."""
    assert t_quantile(q, degrees) == pytest.approx(table, rel=0.01)
    assert t_quantile(1 - q, degrees) == pytest.approx(-table, rel=0.01)


def test_what_the_expansion_cannot_give_is_refused():
    """Fewer than 3 degrees, and quantiles at the ends."""
    with pytest.raises(ValueError, match="degrees"):
        t_quantile(0.975, 2)
    with pytest.raises(ValueError, match="between 0 and 1"):
        t_quantile(1.0, 10)
