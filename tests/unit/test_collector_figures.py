"""Stored figures of a period while the store goes on being written."""

import random

import pytest

from collector.figures import figures_of_period
from collector.store import rollup
from collector.store.batches import BatchStore
from collector.store.schema import open_reader, open_writer
from collector.store.tiers import Period
from tests.batches import DAY, MS, batch, random_window, series, window

LIMITS = (9 * MS, 12 * MS)


def minute_of_both_limits(start_s):
    return [
        window(start_s=start_s + 60 * i, values_ns=[7 * MS] * 6, limit_ns=limit)
        for i, limit in enumerate(LIMITS)
    ]


def test_a_batch_that_arrives_meanwhile_is_in_all_of_the_answer_or_in_none(tmp_path):
    """Samples, their counts by limit and the path's measures come from one state of the store."""
    writer, sink = open_writer(tmp_path / "store.db"), BatchStore()
    sink.store(writer, batch(minute_of_both_limits(DAY)), DAY + 3600)
    reader = open_reader(tmp_path / "store.db")
    arrived = []

    def cuts_of(_source, _destination):
        if not arrived:
            arrived.append(
                sink.store(writer, batch(minute_of_both_limits(DAY + 600), sequence=1), DAY + 3600)
            )
        return ()

    first = figures_of_period(reader, Period(DAY, DAY + 3600), cuts_of)
    then = figures_of_period(reader, Period(DAY, DAY + 3600), cuts_of)
    for figures, samples in ((first, 12), (then, 24)):
        assert figures.totals[series()].clean.rtt.count == samples
        assert sum(each.judged for each in figures.by_limit[series()]) == samples
    assert not reader.in_transaction
    reader.close()
    writer.close()


@pytest.mark.parametrize("merge", [False, True])
def test_counts_by_limit_add_up_to_the_whole(tmp_path, merge):
    """Random windows of several limits: whichever tier answers, nothing is lost or counted twice, nor spoiled minutes taken in."""
    dice = random.Random(3)
    keys = [series(destination=name) for name in ("fra", "nyc")]
    windows = [random_window(dice, key, DAY + 60 * i) for key in keys for i in range(0, 2 * 1440, 3)]
    writer = open_writer(tmp_path / "store.db")
    BatchStore().store(writer, batch(windows), DAY + 2 * 86400)
    while merge and (units := rollup.due_units(writer, DAY + 3 * 86400)):
        for unit in units:
            rollup.roll_up(writer, unit)
    reader = open_reader(tmp_path / "store.db")
    cut = Period(DAY + 7200, DAY + 9060)
    figures = figures_of_period(
        reader, Period(DAY, DAY + 2 * 86400), lambda _, to: (cut,) if to == "nyc" else ()
    )
    for key in keys:
        clean, parts = figures.totals[key].clean, figures.by_limit[key]
        for name in ("judged", "over_limit"):
            assert sum(getattr(part, name) for part in parts) == getattr(clean, name)
        for name in ("judged_minutes", "judged_squared", "judged_times_over", "over_squared"):
            assert sum(getattr(part, name) for part in parts) == getattr(clean.counts, name)
    reader.close()
    writer.close()
