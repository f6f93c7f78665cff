import pytest

from agent.wire.series import Family
from collector.latency import Verdict
from collector.matrix import MARKS, MEANINGS, SEVERITY, matrix_of, tone
from collector.standing import standing_of_period
from collector.store.schema import open_reader
from collector.store.tiers import Period
from tests.batches import DAY, MS, batch, series, window
from tests.small_fleet import fill, fleet


@pytest.fixture
def rows(tmp_path):
    windows = (
        [window(start_s=DAY + 60 * i, values_ns=[7 * MS] * 6, limit_ns=12 * MS) for i in range(60)]
        + [window(series(family=Family.IPV6), DAY + 60 * i, [70 * MS] * 6, 12 * MS) for i in range(60)]
        + [window(series(destination="stranger"))]
    )
    fill(tmp_path / "store.db", [batch(windows)], DAY + 7200)
    connection = open_reader(tmp_path / "store.db")
    yield standing_of_period(connection, fleet(), Period(DAY, DAY + 3600)).rows
    connection.close()


def cell(matrix, source, destination):
    names = [head.name for head in matrix.heads]
    return matrix.cells[names.index(source)][names.index(destination)]


def test_a_cell_shows_the_worst_of_its_series(rows):
    """A path that fails over IPv6 alone is a path that fails; each family can be looked at by itself."""
    assert cell(matrix_of(rows, fleet()), "ams", "fra").row.verdict is Verdict.UNACHIEVABLE
    assert cell(matrix_of(rows, fleet(), "tcp", "ipv4"), "ams", "fra").row.verdict is Verdict.PASS
    assert matrix_of(rows, fleet()).kinds == (("tcp", "ipv4"), ("tcp", "ipv6"))


def test_the_diagonal_the_silent_and_the_unasked_are_three_things(rows):
    """Nothing to measure, measured without result, and not asked for never look alike."""
    matrix = matrix_of(rows, fleet())
    assert cell(matrix, "ams", "ams") is None
    assert cell(matrix, "fra", "ams").row.verdict is Verdict.NO_DATA
    assert cell(matrix, "fra", "ams").tone is None
    assert cell(matrix, "stranger", "ams").row is None
    assert cell(matrix, "ams", "stranger").row.verdict is Verdict.NOT_PROVEN


def test_nodes_stand_by_region_and_strangers_last(rows):
    """Neighbours are neighbours on the page too."""
    heads = matrix_of(rows, fleet()).heads
    assert [head.name for head in heads] == ["ams", "fra", "nyc", "stranger"]
    assert [head.first_of_region for head in heads] == [False, False, True, True]


def test_counts_add_up_to_the_paths_shown(rows):
    """The summary is of the cells below it."""
    matrix = matrix_of(rows, fleet())
    shown = [c for line in matrix.cells for c in line if c is not None and c.row is not None]
    assert sum(matrix.counts.values()) == len(shown) == 7


def test_every_verdict_has_a_mark_a_meaning_and_a_place():
    """A new verdict cannot be forgotten on the page, and no two look the same."""
    assert set(SEVERITY) == set(MARKS) == set(MEANINGS) == set(Verdict)
    assert len(set(MARKS.values())) == len(Verdict)


@pytest.mark.parametrize(
    ("ratio", "expected"), [(None, None), (1.0, 0), (1.25, 1), (1.99, 2), (2.0, 3), (50.0, 4)]
)
def test_tone_follows_the_ratio(ratio, expected):
    """Five tones from the floor upwards; unknown has none."""
    assert tone(ratio) == expected
