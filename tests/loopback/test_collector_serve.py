import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from agent.wire.histogram import Histogram
from collector.store import rollup
from collector.store.query import load
from collector.store.schema import HOUR_S, open_writer
from collector.store.tiers import Period
from collector.store.tokens import enroll
from tests.batches import BOOT, MS, batch, series, window
from tests.collector_process import CollectorProcess, free_port, post
from tests.small_fleet import FLEET, fill, rows, write_files

NOW = int(time.time()) // HOUR_S * HOUR_S


class Agent(threading.Thread):
    """Sends numbered batches in order, each again and again until it is answered with 200, as an agent does."""

    def __init__(self, url, token, node, seed):
        super().__init__(daemon=True)
        self.node, self.sent, self.stop = node, [], threading.Event()
        self._url, self._token, self._rng = url, token, random.Random(seed)

    def run(self):
        key = series(self.node, "fra")
        while not self.stop.is_set():
            start_s = NOW - 60 * self._rng.randrange(60, 240)
            values = [self._rng.randrange(5 * MS, 50 * MS) for _ in range(6)]
            each = batch([window(key, start_s, values)], len(self.sent), self.node, BOOT)
            while post(self._url, self._token, each)[0] != 200 and not self.stop.is_set():
                time.sleep(0.01)
            if not self.stop.is_set():
                self.sent.append((start_s, values))


def kill_often(tmp_path, kills):
    config, port, rng = write_files(tmp_path), free_port(), random.Random(kills)
    connection = open_writer(tmp_path / "store.db")
    agents = [
        Agent(f"http://127.0.0.1:{port}", enroll(connection, node, NOW), node, seed)
        for seed, node in enumerate(("ams", "nyc"))
    ]
    connection.close()
    for agent in agents:
        agent.start()
    for _ in range(kills):
        collector = CollectorProcess(config, port).wait()
        time.sleep(rng.uniform(0, 0.4))
        collector.kill()
        assert rows(tmp_path / "store.db", "PRAGMA integrity_check") == [("ok",)]
    collector = CollectorProcess(config, port).wait()
    time.sleep(0.3)
    for agent in agents:
        agent.stop.set()
        agent.join(20)
    assert collector.end() == 0
    return agents


def check_exactly_once(path, agents):
    """Every batch that was answered is in the sums once; at most the one in flight is there beside them."""
    connection = open_writer(path)
    for _ in range(2):
        _, found = load(connection, Period(NOW - 5 * HOUR_S, NOW))
        for agent in agents:
            expected = Histogram.of([value for _, values in agent.sent for value in values])
            clean = found[series(agent.node, "fra")].clean
            assert clean.rtt.count - expected.count in (0, 6)
            if clean.rtt.count == expected.count:
                assert clean.rtt == expected
        while units := rollup.due_units(connection, NOW + 86400):
            for unit in units:
                rollup.roll_up(connection, unit)
    recorded = connection.execute("SELECT count(*), max(sequence) + 1 FROM batch GROUP BY node").fetchall()
    assert all(count == last for count, last in recorded)
    connection.close()


@pytest.mark.timeout(180)
def test_killed_at_any_moment_every_answered_batch_is_stored_once(tmp_path):
    """kill −9 under traffic: the file is whole each time, and nothing that was answered is lost or doubled."""
    agents = kill_often(tmp_path, 12)
    check_exactly_once(tmp_path / "store.db", agents)
    assert min(len(agent.sent) for agent in agents) > 12


@pytest.mark.slow
@pytest.mark.bench  # minutes long: run with the figures, not with every change
@pytest.mark.timeout(900)
def test_killed_two_hundred_times_every_answered_batch_is_stored_once(tmp_path):
    """The same, for long."""
    check_exactly_once(tmp_path / "store.db", kill_often(tmp_path, 200))


def test_a_collector_ends_at_sigterm_and_leaves_a_clean_file(tmp_path):
    """SIGTERM ends it with 0 within seconds; no write-ahead log is left behind."""
    collector = CollectorProcess(write_files(tmp_path), free_port()).wait("/-/ready")
    began = time.monotonic()
    assert collector.end() == 0
    assert time.monotonic() - began < 10
    assert not (tmp_path / "store.db-wal").exists()
    assert 'msg="collector started"' in collector.log
    assert "level=ERROR" not in collector.log


def test_sighup_takes_a_right_fleet_file_and_refuses_a_wrong_one(tmp_path):
    """A reload by signal never ends the collector, and its log says what became of it."""
    collector = CollectorProcess(write_files(tmp_path), free_port()).wait("/-/ready")

    def hangup(expected):
        before = collector.log.count(expected)
        collector.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 10
        while collector.log.count(expected) == before and time.monotonic() < deadline:
            time.sleep(0.02)
        assert collector.log.count(expected) == before + 1

    hangup('msg="fleet file loaded" nodes=3 paths=6')
    (tmp_path / "fleet.toml").write_text("rubbish")
    hangup("fleet file refused, the one before stays in force")
    (tmp_path / "fleet.toml").write_text(FLEET.replace('name = "nyc"', 'name = "newark"'))
    hangup('msg="fleet file loaded"')
    assert "newark" in collector.get("/")[1]
    assert collector.end() == 0


def test_systemd_hears_when_it_is_ready_alive_and_stopping(tmp_path):
    """READY only once it listens, the watchdog's pulse while it runs, STOPPING at the end."""
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.settimeout(20)
        collector = CollectorProcess(
            write_files(tmp_path), free_port(), NOTIFY_SOCKET=address, WATCHDOG_USEC="400000"
        )
        heard = set()
        while not {b"READY=1", b"WATCHDOG=1"} <= heard:
            heard.add(listener.recv(200))
        assert collector.get("/-/healthy")[0] == 200
        assert collector.end() == 0
        while b"STOPPING=1" not in heard:
            heard.add(listener.recv(200))


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda d: (d / "fleet.toml").write_text("x = 1"), "fleet.toml: x: unknown key"),
        (lambda d: (d / "fleet.toml").unlink(), "fleet.toml: cannot be read"),
        (lambda d: (d / "store.db").write_text("no database " * 100), "store.db: file is not a database"),
        (lambda d: (d / "collector.toml").write_text("[server]\nport = 'x'"), "collector.toml: server.port"),
    ],
)
def test_what_keeps_it_from_starting_is_one_line(tmp_path, damage, expected):
    """Exit status 2 and one line that names the file and what is wrong with it."""
    config = write_files(tmp_path)
    damage(tmp_path)
    ended = subprocess.run(
        [sys.executable, "-m", "collector", "serve", "--config.file", str(config)],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert ended.returncode == 2
    assert expected in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_is_said_and_passes(tmp_path):
    """507 while there is no space, with the store whole; the same batch is taken once there is space again."""
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], check=True)
    try:
        config = write_files(small)
        token = fill(small / "store.db", [], NOW)
        collector = CollectorProcess(config, free_port()).wait("/-/ready")
        sent = fill_up(collector.url, token)
        last = batch(many_windows(sent), sent)
        assert post(collector.url, token, last)[1]["detail"] == "no space left for the store"
        metrics = collector.get("/metrics")[1]
        assert "lightfloor_store_full 1.0" in metrics
        assert "lightfloor_store_writable 0.0" in metrics
        assert collector.get("/")[0] == 200
        subprocess.run(["mount", "-o", "remount,size=16m", str(small)], check=True)
        assert post(collector.url, token, last) == (200, {"result": "stored"})
        assert post(collector.url, token, last) == (200, {"result": "repeated"})
        assert "lightfloor_store_full 0.0" in collector.get("/metrics")[1]
        assert collector.end() == 0
        assert rows(small / "store.db", "PRAGMA integrity_check") == [("ok",)]
        assert rows(small / "store.db", "SELECT count(*) FROM batch") == [(sent + 1,)]
        assert rows(small / "store.db", "SELECT sum(count) FROM minute") == [((sent + 1) * 60,)]
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def many_windows(number):
    return [window(series(destination=f"d{i}"), NOW - 60 * (number + 60)) for i in range(60)]


def fill_up(url, token):
    """Post until the first 507; returns how many were stored."""
    for number in range(2000):
        status, _ = post(url, token, batch(many_windows(number), number))
        if status == 507:
            return number
        assert status == 200
    raise AssertionError("the disk did not fill")


def test_the_store_can_be_read_and_enrolled_into_while_it_is_served(tmp_path):
    """`sla` and `enroll` work beside the server; a new token is good at once, a revoked one is not."""
    config = write_files(tmp_path)
    collector = CollectorProcess(config, free_port()).wait()

    def command(*words):
        return subprocess.run(
            [sys.executable, "-m", "collector", *words, "--config.file", str(config)],
            capture_output=True, text=True, timeout=30,
        )  # fmt: skip

    enrolled = command("enroll", "ams")
    assert enrolled.returncode == 0
    assert ('node = "ams"' in enrolled.stderr, enrolled.stdout) == (True, "")
    again = command("enroll", "ams")
    assert (again.returncode, again.stdout) == (2, "")
    assert "--rotate" in again.stderr
    token = command("enroll", "ams", "--rotate", "--overlap-hours", "0", "--token-only").stdout.strip()
    assert token not in enrolled.stderr
    listed = json.loads(command("enroll", "--list", "--json").stdout)
    assert [(row["node"], row["since"] is None, row["until"]) for row in listed] == [
        ("ams", False, None), ("fra", True, None), ("nyc", True, None)
    ]  # fmt: skip
    each = batch([window(start_s=NOW - 3600, values_ns=[7 * MS], limit_ns=12 * MS)])
    assert post(collector.url, token, each)[0] == 200
    table = command("sla", "--from", "-3h").stdout
    assert "NOT_PROVEN" in table
    assert "7.000" in table
    assert command("revoke", "ams").returncode == 0
    assert post(collector.url, token, each)[0] == 401
    assert command("revoke", "ams").returncode == 1
    unknown = command("enroll", "paris")
    assert (unknown.returncode, unknown.stderr.count("\n")) == (2, 1)
    assert "known: ams, fra, nyc" in unknown.stderr
    assert collector.end() == 0
    with sqlite3.connect(tmp_path / "store.db") as connection:
        assert connection.execute("SELECT count(*) FROM token").fetchone() == (0,)
    connection.close()
