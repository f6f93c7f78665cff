"""A running collector finds an incident in what its store holds, keeps it, and shows it everywhere alike."""

import json
import re
import subprocess
import sys
import time

import pytest

from collector_process import CollectorProcess, free_port
from tests.histories import Way, write_minutes
from tests.mesh_world import TEXT, provider, world

NOW = int(time.time()) // 300 * 300
START = NOW - 8 * 3600


def slow(source, _destination, minute):
    return Way(40) if minute >= 240 and provider(source) == "birch" else None


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("collector")
    (folder / "fleet.toml").write_text(TEXT)
    (folder / "collector.toml").write_text('[store]\npath = "store.db"\n[fleet]\npath = "fleet.toml"\n')
    write_minutes(folder / "store.db", world(), START, range(0, 480, 2), ways=slow)
    return folder


def command(home, *words):
    return subprocess.run(
        [sys.executable, "-m", "collector", "incidents", "--config.file", str(home / "collector.toml"), *words],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def incidents_when_found(collector):
    """Once the server has worked off what waited: it judges up to the last minutes."""
    for _ in range(300):
        judged = re.search(
            r"^lightfloor_incidents_judged_until\S* (\S+)$", collector.get("/metrics")[1], re.MULTILINE
        )
        if judged and float(judged[1]) >= NOW - 900:
            return json.loads(collector.get("/v1/incidents")[1])
        time.sleep(0.1)
    raise AssertionError(collector.log)


def test_command_api_page_and_metrics_tell_the_same(home):
    """Before a server ran, while it runs and after a restart: one incident, one id, one cause."""
    said = json.loads(command(home, "--json").stdout)
    (alone,) = said["incidents"]
    assert (alone["cause"]["kind"], alone["cause"]["name"], said["excused"]) == ("provider", "birch", [])
    for _ in range(2):
        collector = CollectorProcess(home / "collector.toml", free_port()).wait("/-/ready")
        (served,) = incidents_when_found(collector)
        assert [served[key] for key in ("id", "start", "cause")] == [
            alone[key] for key in ("id", "start", "cause")
        ]
        status, body = collector.get(f"/v1/incidents/{served['id']}")
        whole = json.loads(body)
        assert (status, whole["broken_paths"], whole["breaks_limit"]) == (200, 138, True)
        assert len(whole["course"]) >= 10
        page = collector.get(f"/incident/{served['id']}")[1]
        assert "provider birch" in page
        assert served["id"] in collector.get("/")[1]
        assert served["id"] in collector.get("/path/fra-a/nyc-b")[1]
        listed = collector.get("/incidents?range=7d")[1]
        assert served["id"] in listed
        assert "provider birch: fastest round trip +" in listed
        metrics = collector.get("/metrics")[1]
        assert 'lightfloor_incidents_open{cause="provider",kind="latency",name="birch"} 1.0' in metrics
        assert collector.end() == 0
    again = json.loads(command(home, "--json").stdout)["incidents"]
    assert [each["id"] for each in again] == [alone["id"]]


def test_what_is_not_there_is_said(home):
    """An unknown id is one line and status 2; on the API it is 404."""
    done = command(home, "--id", "latency-20200101T0000-abcdef")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "no incident latency-20200101T0000-abcdef" in done.stderr
    collector = CollectorProcess(home / "collector.toml", free_port()).wait("/-/ready")
    assert collector.get("/v1/incidents/none")[0] == 404
    assert collector.get("/incident/none")[0] == 404
    assert collector.end() == 0


def test_people_read_a_line_for_each_and_a_page_for_one(home):
    """The table names cause and extent; --id adds the paths."""
    table = command(home).stdout
    assert "1 incident" in table
    assert "provider birch: slow, +" in table
    name = json.loads(command(home, "--json").stdout)["incidents"][0]["id"]
    whole = command(home, "--id", name).stdout
    assert "over the limit" in whole
    assert "nyc-b" in whole


def test_no_data_is_not_no_incident(home):
    """A time in which nothing was measured is told from one in which nothing went wrong."""
    empty = ("--since", "2020-01-01", "--until", "2020-01-02")
    assert "nothing was measured in that time" in command(home, *empty).stdout
    assert json.loads(command(home, *empty, "--json").stdout)["measured"] is False
    assert json.loads(command(home, "--json").stdout)["measured"] is True
