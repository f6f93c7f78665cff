"""The figures of docs/sizing.md: what an agent and a collector take, by size of the fleet. Run by `make bench`."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from bench_tcp import cpu_seconds
from test_collector_store import totals

from agent_process import AgentProcess
from collector.store import rollup
from collector.store.batches import BatchStore
from collector.store.schema import COARSE_COLUMNS, HOUR_S, open_writer
from collector.store.tokens import enroll
from collector.store.totals import coarse_row
from collector_process import CollectorProcess, free_port, post, request
from tests.batches import MS, batch, series, window

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]
PEERS = (10, 50, 100)
NODES = (10, 50, 100)
MINUTES = 5
DAY_MINUTES = 1440
MEASURES = 5
MEASURED_SECONDS = 110


def test_agent(tmp_path):
    """An agent with TCP probes every 10 s: memory, CPU, and what it sends in a day. Its own responder answers, and is in the figures."""
    print(f"\n{'peers':<8}{'RSS MB':>8}{'CPU %':>8}{'MB sent a day':>16}")
    for count in PEERS:
        folder = tmp_path / str(count)
        folder.mkdir()
        (folder / "token").write_text("secret")
        agent = AgentProcess(folder)
        link = f'[collector]\nurl = "http://127.0.0.1:1"\ntoken_file = "{folder}/token"\n'
        agent.write(link + "".join(agent.own_peer(f"peer{n}", interval_seconds=10) for n in range(count)))
        with agent:
            agent.wait_ready()
            time.sleep(10)
            before = cpu_seconds(agent.process.pid)
            time.sleep(MEASURED_SECONDS)
            spent = cpu_seconds(agent.process.pid) - before
            resident = agent.status("VmRSS")
            agent.stop()
        whole = max((folder / "state" / "spool").glob("*.json.gz"), key=lambda file: file.stat().st_size)
        daily = whole.stat().st_size * DAY_MINUTES
        print(f"{count:<8}{resident / 1e6:8.1f}{spent / MEASURED_SECONDS:8.2%}{daily / 1e6:16.1f}")


def fleet_of(count):
    nodes = "".join(
        f'[[nodes]]\nname = "n{n}"\nprovider = "one"\nsite = "s{n % 5}"\nipv4 = "192.0.2.{n + 1}"\n'
        for n in range(count)
    )
    sites = "".join(
        f'[[sites]]\nname = "s{n}"\nlatitude = {10 * n}.0\nlongitude = {20 * n}.0\n' for n in range(5)
    )
    group = '[[groups]]\nname = "all"\nshape = "mesh"\nprobes = [{ kind = "tcp", interval_seconds = 10.0 }]\n'
    return f'[[providers]]\nname = "one"\n{sites}{nodes}{group}'


def minute_of(dice, node, count, start_s):
    return [
        window(
            series(node, f"n{other}"),
            start_s,
            [int(20 * MS * dice.paretovariate(8)) for _ in range(6)],
            25 * MS,
        )
        for other in range(count)
        if f"n{other}" != node
    ]


def fill_day(connection, dice, count, end_s):
    """A minute of every series, and an hour row for each of the 23 hours before end_s."""
    store = BatchStore()
    for n in range(count):
        store.store(connection, batch(minute_of(dice, f"n{n}", count, end_s - 7200), 0, f"n{n}"), end_s)
    connection.execute("DELETE FROM touched")
    ids = [number for (number,) in connection.execute("SELECT id FROM series")]
    hours = [totals(dice, 360) for _ in range(20)]
    insert = f"INSERT INTO hour ({', '.join(COARSE_COLUMNS)}) VALUES ({', '.join('?' * len(COARSE_COLUMNS))})"
    first_s = end_s // HOUR_S * HOUR_S
    for start_s in range(first_s - 23 * HOUR_S, first_s, HOUR_S):
        connection.executemany(insert, [coarse_row(start_s, number, 0, dice.choice(hours)) for number in ids])


def ingested_and_judged(collector, tokens, batches):
    """CPU seconds: of taking the batches in, and of one judgement of the last 24 hours."""
    pid = collector.process.pid
    before = cpu_seconds(pid)
    with ThreadPoolExecutor(4) as pool:
        posted = pool.map(lambda each: post(collector.url, tokens[each.node], each)[0], batches)
        assert set(posted) == {200}
    between = cpu_seconds(pid)
    assert request(f"{collector.url}/-/reload", b"", seconds=100)[0] == 200  # judges at once
    return between - before, cpu_seconds(pid) - between


def test_collector(tmp_path):
    """A mesh with TCP probes every 10 s: memory, and CPU for each minute of the whole fleet, judging 24 hours included."""
    print(f"\n{'nodes':<8}{'paths':>8}{'RSS MB':>8}{'ingest s':>10}{'judge s':>10}")
    for count in NODES:
        folder = tmp_path / str(count)
        folder.mkdir()
        (folder / "fleet.toml").write_text(fleet_of(count))
        (folder / "collector.toml").write_text('[store]\npath = "store.db"\n[fleet]\npath = "fleet.toml"\n')
        dice, now_s = random.Random(1), int(time.time()) // 60 * 60
        connection = open_writer(folder / "store.db")
        fill_day(connection, dice, count, now_s)
        tokens = {f"n{n}": enroll(connection, f"n{n}", 0) for n in range(count)}
        connection.close()
        batches = [
            batch(minute_of(dice, node, count, now_s - 60 * (MINUTES - minute)), 1 + minute, node)
            for minute in range(MINUTES)
            for node in tokens
        ]
        collector = CollectorProcess(folder / "collector.toml", free_port()).wait("/-/ready", 100)
        ingest, judge = ingested_and_judged(collector, tokens, batches)
        status = Path(f"/proc/{collector.process.pid}/status").read_text()
        resident = int(status.split("VmRSS:")[1].split()[0]) * 1024
        collector.end()
        print(f"{count:<8}{count * (count - 1):>8}{resident / 1e6:8.0f}{ingest / MINUTES:10.2f}{judge:10.2f}")


def test_store(tmp_path):
    """Bytes on disk of one series for a day: its minutes with six samples each, its hours and its day, and a measure beside them."""
    start_s = 1_700_000_000 // 86400 * 86400
    plain = stored_bytes(tmp_path / "plain.db", start_s, {})
    gauges = {f"gauge{n}": float(n) for n in range(MEASURES)}
    measured = stored_bytes(tmp_path / "measured.db", start_s, gauges)
    beside = [(more - less) / MEASURES for more, less in zip(measured, plain, strict=True)]
    print("\nkB a day     minutes   hours and day")
    for name, (minutes, coarse) in (("a series", plain), ("a measure", beside)):
        print(f"{name:<12}{minutes / 1e3:8.1f}{coarse / 1e3:16.2f}")


def stored_bytes(path, start_s, gauges):
    """Of one series: what its minutes take, and what rolling them up adds."""
    dice, others = random.Random(2), 20
    connection = open_writer(path)
    sizes = [size_of(connection, path)]
    store = BatchStore()
    for minute in range(DAY_MINUTES):
        windows = minute_of(dice, "n0", others, start_s + 60 * minute)
        windows = [msgspec.structs.replace(each, gauges=gauges) for each in windows]
        store.store(connection, batch(windows, minute, "n0"), start_s + 86400)
    sizes.append(size_of(connection, path))
    while units := rollup.due_units(connection, start_s + 3 * 86400):
        for unit in units:
            rollup.roll_up(connection, unit)
    sizes.append(size_of(connection, path))
    connection.close()
    return [(later - before) / (others - 1) for before, later in pairwise(sizes)]


def size_of(connection, path):
    connection.execute("VACUUM")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.stat().st_size
