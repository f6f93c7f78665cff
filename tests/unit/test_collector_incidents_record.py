"""Incidents in the store: judged as data comes or all at once, late data, long ones, and those that come back."""

import msgspec
import pytest

from collector.fleet import parse_fleet
from collector.incidents import building
from collector.incidents.record import (
    found_in_period,
    incidents_of_path,
    judge_pending,
    save,
    stored_in_period,
)
from collector.incidents.watch import Watch
from collector.maintenance import Announcement
from collector.store.incidents import pending_blocks
from collector.store.maintenance import announce, withdraw
from collector.store.schema import open_reader, open_writer
from collector.store.tiers import Period
from tests.histories import Way, write_minutes
from tests.mesh_world import FEW_TEXT, START, region

FLEET = parse_fleet(FEW_TEXT, "fleet.toml")
DAY = Period(START, START + 86400)


class Server:
    """Judges what waits, a few blocks at a time, as the running collector does."""

    def __init__(self, path):
        self.path = path
        self.watch = Watch()

    def work(self, most=3):
        reader, writer = open_reader(self.path), open_writer(self.path)
        while pending := pending_blocks(reader, Period(0, 2**40)):
            judged = judge_pending(reader, self.watch, FLEET, dict(list(pending.items())[:most]))
            writer.execute("BEGIN")
            save(writer, judged)
            writer.execute("COMMIT")
        reader.close()
        writer.close()


def stored(path, period=DAY):
    connection = open_reader(path)
    found = stored_in_period(connection, FLEET, period)
    connection.close()
    return found.incidents


def found(path, period=DAY):
    connection = open_reader(path)
    incidents = found_in_period(connection, FLEET, period).incidents
    connection.close()
    return incidents


def said(incidents):
    return [(i.id, i.kind, i.cause.kind, i.cause.name, i.start_s, i.end_s, i.broken_paths) for i in incidents]


def slow(first, last):
    def ways(source, destination, minute):
        return Way(60) if first <= minute < last and "sin-b" in (source, destination) else None

    return ways


def test_judged_as_it_comes_or_at_once_it_is_the_same(tmp_path):
    """Nine hours, longer than what is joined anew: one incident, carried on, with the same id, times and cause."""
    path = tmp_path / "store.db"
    server = Server(path)
    for first in range(0, 720, 120):
        write_minutes(path, FLEET, START, range(first, first + 120), ways=slow(100, 640))
        server.work()
    write_minutes(tmp_path / "other.db", FLEET, START, range(720), ways=slow(100, 640))
    (kept,) = stored(path)
    assert said([kept]) == said(found(tmp_path / "other.db"))
    assert (kept.cause.name, kept.start_s, kept.end_s) == ("sin-b", START + 6000, START + 640 * 60)
    assert len(kept.course) == 108


def test_an_incident_is_open_while_it_lasts_and_keeps_its_id(tmp_path):
    """Open, longer, ended: the same name all the time."""
    path = tmp_path / "store.db"
    server, seen = Server(path), []
    for first in range(0, 240, 60):
        write_minutes(path, FLEET, START, range(first, first + 60), ways=slow(70, 200))
        server.work()
        seen.append([(i.id, i.end_s) for i in stored(path)])
    assert seen[0] == []
    ((name, _),) = seen[3]
    assert seen[1:] == [[(name, None)], [(name, None)], [(name, START + 200 * 60)]]


def test_late_data_is_judged_again(tmp_path):
    """What a node could not send during its outage completes the incident that the others saw."""
    path = tmp_path / "store.db"

    def away(node, _minute):
        return False if node == "sin-b" else None

    def only(node, _minute):
        return None if node == "sin-b" else False

    server = Server(path)
    write_minutes(path, FLEET, START, range(120), ways=slow(60, 110), quality=away)
    server.work()
    (before,) = stored(path)
    write_minutes(path, FLEET, START, range(120), ways=slow(60, 110), quality=only, seed=2)
    server.work()
    (after,) = stored(path)
    assert (before.id, before.cause.name) == (after.id, after.cause.name)
    assert (before.broken_paths, after.broken_paths) == (4, 8)


def test_evenings_of_a_week_are_one_incident_that_comes_back(tmp_path):
    """Congestion between two regions each evening: one incident with its evenings, found by any of their ids."""
    path = tmp_path / "store.db"
    server = Server(path)

    def evening(source, destination, minute):
        if {region(source), region(destination)} != {"eu", "asia"}:
            return None
        return Way(60 * max(0.0, 1 - abs(minute % 1440 - 1200) / 100))

    for day in range(4):
        minutes = range(day * 1440 + 1020, day * 1440 + 1380, 3)
        write_minutes(path, FLEET, START, minutes, ways=evening, interval_s=5)
        server.work(most=40)
    week = Period(START, START + 7 * 86400)
    (one,) = stored(path, week)
    assert (one.cause.kind, one.cause.name) == ("region_pair", "asia – eu")
    assert len(one.occurrences) == 4
    connection = open_reader(path)
    last_day = stored_in_period(connection, FLEET, Period(START + 3 * 86400, START + 4 * 86400))
    connection.close()
    assert last_day.named(one.occurrences[2].id).id == one.id


@pytest.mark.parametrize("seed", range(2))
def test_nothing_is_kept_of_a_healthy_day(tmp_path, seed):
    """Six hours of jitter and rare losses leave no incident."""
    write_minutes(tmp_path / "store.db", FLEET, START, range(360), seed=seed)
    Server(tmp_path / "store.db").work(most=20)
    assert stored(tmp_path / "store.db") == ()


def test_a_path_knows_its_incidents_also_beyond_those_listed(tmp_path, monkeypatch):
    """An incident lists its worst paths; the others that its cause broke are marked as well, sound ones are not."""
    monkeypatch.setattr(building, "MOST_PATHS", 3)
    path = tmp_path / "store.db"
    write_minutes(path, FLEET, START, range(120), ways=slow(60, 110))
    Server(path).work()
    connection = open_reader(path)
    marked = {pair: len(incidents_of_path(connection, FLEET, DAY, *pair)) for pair in FLEET.pairs}
    connection.close()
    assert {pair for pair, count in marked.items() if count} == {
        pair for pair in FLEET.pairs if "sin-b" in pair
    }


def test_work_announced_afterwards_excuses_what_it_covers(tmp_path):
    """Announced late it is listed as excused; withdrawn again, or covering a part only, it is an incident."""
    path = tmp_path / "store.db"
    write_minutes(path, FLEET, START, range(120), ways=slow(60, 110))
    Server(path).work()
    connection = open_writer(path)
    work = Announcement(
        start_s=START + 60 * 60, end_s=START + 110 * 60, reason="router", nodes=("sin-b",), origin="command"
    )
    (added,) = [announce(connection, work, START + 86400, "op")]
    late = stored_in_period(connection, FLEET, DAY)
    assert (late.incidents, [each.maintenance for each in late.excused]) == ((), ["router"])
    withdraw(connection, added.id, START + 86401, "op")
    announce(connection, msgspec.structs.replace(work, end_s=START + 80 * 60), START + 86402, "op")
    part = stored_in_period(connection, FLEET, DAY)
    assert ([each.cause.name for each in part.incidents], part.excused) == (["sin-b"], ())
    connection.close()


def test_two_bad_minutes_are_no_incident_and_five_without_an_answer_are(tmp_path):
    """Blips happen; an outage of one block is one."""
    pair = {"fra-a", "nyc-a"}
    blips = tmp_path / "blips.db"
    write_minutes(
        blips,
        FLEET,
        START,
        range(90),
        ways=lambda a, b, m: Way(loss=1) if m in (62, 66) and {a, b} == pair else None,
    )
    assert found(blips) == ()
    outage = tmp_path / "outage.db"
    write_minutes(
        outage,
        FLEET,
        START,
        range(90),
        ways=lambda a, b, m: Way(loss=1) if 60 <= m < 65 and {a, b} == pair else None,
    )
    (one,) = found(outage)
    assert (one.loss_ratio, one.start_s, one.end_s) == (1.0, START + 3600, START + 3900)
