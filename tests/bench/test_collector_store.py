"""How many windows the collector takes, and how long a month of a large mesh takes to judge. Run by `make bench`."""

import asyncio
import random
import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import aiohttp
import pytest
import zstandard

from agent.wire.batch import encode
from agent.wire.histogram import Histogram
from agent.wire.series import Outcome
from collector import app
from collector.budgets import budgets_now
from collector.fleet import parse_fleet
from collector.measured import MinuteCounts
from collector.standing import standing_of_period
from collector.store.batches import BatchStore
from collector.store.schema import COARSE_COLUMNS, DAY_S, HOUR_S, open_reader, open_writer
from collector.store.tiers import Period
from collector.store.tokens import enroll
from collector.store.totals import Totals, coarse_row
from tests.batches import DAY, MS, batch, series, window
from tests.small_fleet import configured

pytestmark = pytest.mark.bench

NODES = [f"n{i}" for i in range(100)]
MINUTES = 10
DAYS = 30
BATCHES_AT_ONCE = 16


def minute_of_a_mesh(rng, node, start_s):
    return [
        window(series(node, other), start_s, [int(20 * MS * rng.paretovariate(8)) for _ in range(6)], 25 * MS)
        for other in NODES
        if other != node
    ]


async def post_all(config, tokens, bodies):
    """Every body through the real server; returns the seconds it took."""
    async with app.running(config) as (_, addresses), aiohttp.ClientSession() as session:
        places = asyncio.Semaphore(BATCHES_AT_ONCE)

        async def post(node, body):
            headers = {"Authorization": f"Bearer {tokens[node]}", "Content-Encoding": "zstd"}
            async with (
                places,
                session.post(f"http://{addresses[0]}/v1/batches", data=body, headers=headers) as answer,
            ):
                assert answer.status == 200, await answer.text()

        began = time.perf_counter()
        await asyncio.gather(*(post(node, body) for node, body in bodies))
        return time.perf_counter() - began


@pytest.mark.timeout(300)
async def test_ingest_takes_far_more_than_the_largest_mesh_makes(tmp_path):
    """Through HTTP, zstd and JSON into SQLite with FULL sync: ≥ 15,000 windows/s, at least a fifth of the bare rows."""
    rng = random.Random(1)
    config = configured(tmp_path)
    connection = open_writer(tmp_path / "store.db")
    tokens = {node: enroll(connection, node, 0) for node in NODES}
    connection.close()
    now_s = int(time.time()) // 60 * 60
    batches = [
        batch(minute_of_a_mesh(rng, node, now_s - 60 * (MINUTES - minute)), minute, node)
        for minute in range(MINUTES)
        for node in NODES
    ]
    bodies = [(each.node, zstandard.compress(encode(each), 3)) for each in batches]
    seconds = await post_all(config, tokens, bodies)
    windows = sum(len(each.windows) for each in batches)

    bare = open_writer(tmp_path / "bare.db")
    store = BatchStore()
    began = time.perf_counter()
    for at in range(0, len(batches), BATCHES_AT_ONCE):
        bare.execute("BEGIN IMMEDIATE")
        for each in batches[at : at + BATCHES_AT_ONCE]:
            store.store(bare, each, now_s)
        bare.execute("COMMIT")
    alone = time.perf_counter() - began
    pages = bare.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").fetchone()[
        0
    ]
    bare.close()
    print(
        f"\ningest {windows / seconds:,.0f} windows/s in batches of 99; the store alone {windows / alone:,.0f};"
        f" {pages / windows:.0f} bytes a window; a 100-node mesh makes 165/s"
    )
    assert alone / seconds > 0.2


def mesh():
    places = [
        (52.4, 4.9),
        (50.1, 8.7),
        (40.7, -74.0),
        (1.3, 103.8),
        (-23.5, -46.6),
        (35.7, 139.7),
        (-33.9, 151.2),
        (19.1, 72.9),
    ]
    lines = ["max_probes_per_second = 1000", '[[providers]]\nname = "p"']
    lines += [
        f'[[sites]]\nname = "s{i}"\nlatitude = {lat}\nlongitude = {lon}'
        for i, (lat, lon) in enumerate(places)
    ]
    lines += [
        f'[[nodes]]\nname = "{node}"\nprovider = "p"\nsite = "s{i % len(places)}"\nipv4 = "192.0.2.{i + 1}"'
        for i, node in enumerate(NODES)
    ]
    lines.append(
        '[[groups]]\nname = "all"\nshape = "mesh"\nprobes = [{ kind = "tcp", interval_seconds = 10.0 }]'
    )
    return parse_fleet("\n".join(lines), "fleet.toml")


def totals(rng, samples):
    """So many samples of one path, with a tail; a hundredth of them lost."""
    base = rng.randrange(5 * MS, 200 * MS)
    rtt = Histogram.of(int(base * rng.paretovariate(12)) for _ in range(samples))
    minutes = samples // 6
    counts = MinuteCounts(minutes, minutes, minutes, 36 * minutes, 6, 1)
    return Totals(
        {Outcome.OK: samples, Outcome.TIMEOUT: samples // 100}, rtt, samples, 1, base, base, minutes, counts
    )


def fill_month(path):
    """Thirty days of day rows, an edge of hours at both ends and a few minutes; returns the rows of each tier."""
    rng = random.Random(2)
    connection = open_writer(path)
    connection.execute("BEGIN")
    store = BatchStore()
    for node in NODES:
        store.store(connection, batch(minute_of_a_mesh(rng, node, DAY - 3 * HOUR_S - 60), 0, node), DAY)
    connection.execute("DELETE FROM touched")
    ids = [number for (number,) in connection.execute("SELECT id FROM series")]
    insert = f"INSERT INTO {{}} ({', '.join(COARSE_COLUMNS)}) VALUES ({', '.join('?' * len(COARSE_COLUMNS))})"
    days, hours = ([totals(rng, samples) for _ in range(20)] for samples in (8640, 360))
    for day in range(DAYS):
        connection.executemany(
            insert.format("day"),
            [coarse_row(DAY + day * DAY_S, number, 0, rng.choice(days)) for number in ids],
        )
    for start_s in (*range(DAY - 3 * HOUR_S, DAY, HOUR_S), DAY + DAYS * DAY_S, DAY + DAYS * DAY_S + HOUR_S):
        connection.executemany(
            insert.format("hour"), [coarse_row(start_s, number, 0, rng.choice(hours)) for number in ids]
        )
    connection.execute("COMMIT")
    size = connection.execute("SELECT avg(length(histogram)) FROM day").fetchone()[0]
    connection.close()
    return len(ids), size


@pytest.mark.timeout(300)
def test_a_month_of_a_hundred_nodes_is_judged_in_seconds(tmp_path):
    """9,900 paths × 30 days and the edges: all verdicts in ≤ 10 s, budgets in less, within 20 × of reading the rows from SQLite alone."""
    fleet = mesh()
    paths, bytes_a_day = fill_month(tmp_path / "store.db")
    connection = open_reader(tmp_path / "store.db")
    period = Period(DAY - 3 * HOUR_S - 60, DAY + DAYS * DAY_S + 2 * HOUR_S)
    list(fleet.paths(datetime.now(UTC)))  # floors are computed once per fleet file
    began = time.perf_counter()
    rows = sum(
        len(connection.execute(f"SELECT * FROM {tier}").fetchall()) for tier in ("minute", "hour", "day")
    )
    reading = time.perf_counter() - began
    began = time.perf_counter()
    standing = standing_of_period(connection, fleet, period)
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    budgets = budgets_now(connection, fleet, period.end_s, ZoneInfo("Asia/Shanghai"))
    budgeting = time.perf_counter() - began
    connection.close()
    assert len(budgets) == paths
    assert all(
        each.budgets[0].judged > 25 * 8640 for each in budgets
    )  # hours within the month are not filled in
    print(
        f"\nmonth of {paths:,} paths: {seconds:.2f} s, budgets and burn rates {budgeting:.2f} s, for {rows:,} rows of which a day's histogram takes"
        f" {bytes_a_day:.0f} bytes; reading them alone {reading:.2f} s"
    )
    assert len(standing.rows) == paths
    assert all(row.samples == DAYS * 8640 + 5 * 360 + 6 for row in standing.rows)
    assert budgeting < seconds < 20 * reading
