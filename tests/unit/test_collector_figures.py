"""Stored figures of a period while the store goes on being written."""

from collector.figures import figures_of_period
from collector.store.batches import BatchStore
from collector.store.schema import open_reader, open_writer
from collector.store.tiers import Period
from tests.batches import DAY, MS, batch, series, window

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
