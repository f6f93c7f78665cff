"""How long a provider's report takes for a month of a hundred nodes, and how much memory. Run by `make bench`."""

import random
import resource
import time
from datetime import UTC, datetime

import pytest
from test_collector_store import COARSE_COLUMNS, NODES, coarse_row, mesh, minute_of_a_mesh, totals

from batches import batch
from collector.report import pages
from collector.report.document import report_of
from collector.report.folder import files_of
from collector.report.month import parse_month
from collector.store.batches import BatchStore
from collector.store.schema import DAY_S, HOUR_S, open_reader, open_writer

pytestmark = pytest.mark.bench
START_S = int(datetime(2025, 10, 1, tzinfo=UTC).timestamp())
DAYS = 31


def fill(path):
    """Every hour and day of October of all pairs, as the roll-up leaves them: 1.7 GB."""
    rng = random.Random(2)
    connection = open_writer(path)
    connection.execute("BEGIN")
    store = BatchStore()
    for node in NODES:
        store.store(connection, batch(minute_of_a_mesh(rng, node, START_S - 60), 0, node), START_S)
    connection.execute("DELETE FROM touched")
    series = [number for (number,) in connection.execute("SELECT id FROM series")]
    insert = f"INSERT INTO {{}} ({', '.join(COARSE_COLUMNS)}) VALUES ({', '.join('?' * len(COARSE_COLUMNS))})"
    days, hours = ([totals(rng, samples) for _ in range(20)] for samples in (8640, 360))
    for tier, length_s, kinds in (("day", DAY_S, days), ("hour", HOUR_S, hours)):
        for start_s in range(START_S, START_S + DAYS * DAY_S, length_s):
            rows = (
                coarse_row(start_s, number, 0, kinds[(number + start_s // length_s) % 20])
                for number in series
            )
            connection.executemany(insert.format(tier), rows)
    connection.execute("COMMIT")
    connection.close()


@pytest.mark.timeout(900)
def test_a_month_of_a_hundred_nodes_is_reported_in_a_minute(tmp_path):
    """9,900 paths of one provider: figures, all files and the PDF. Reach: 60 s, 500 MB."""
    fill(tmp_path / "store.db")
    fleet, connection = mesh(), open_reader(tmp_path / "store.db")
    began = time.process_time()
    report = report_of(connection, fleet, "p", parse_month("2025-10", "UTC"), START_S + 40 * DAY_S)
    figures = time.process_time()
    printed = pages.pdf(pages.html(report, "en", pages.PRINTED_PATHS))
    files_of(report, {"report.html": pages.html(report, "en").encode(), "report.pdf": printed.content})
    done = time.process_time()
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"\nreport of {len(report.paths):,} paths: figures {figures - began:.1f} s, pages and files"
        f" {done - figures:.1f} s of CPU, peak {peak_mb:.0f} MB"
    )
    assert len(report.paths) == 9900
