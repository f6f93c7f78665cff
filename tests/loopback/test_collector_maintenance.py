"""Announced work by command, on a store on disk, and over the API of a running collector."""

import json
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest

from batches import batch, window
from collector.cli import main
from collector_process import CollectorProcess, free_port
from tests.small_fleet import fill, maintenance, write_files

NOW = datetime.now(UTC).replace(microsecond=0)
TOMORROW = (NOW + timedelta(days=1)).isoformat()
LATER = (NOW + timedelta(days=1, hours=2)).isoformat()


@pytest.fixture
def ask(tmp_path, capsys):
    """ask(*words) → status, output, error."""
    stated = maintenance(NOW.timestamp() + 7200, NOW.timestamp() + 10800, 'sites = ["frankfurt"]')
    config = write_files(tmp_path, more=stated)
    fill(tmp_path / "store.db", [], int(NOW.timestamp()))

    def run(*words):
        try:
            status = main(("maintenance", *words, "--config.file", str(config)))
        except SystemExit as usage:
            status = usage.code
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def rows(ask, *more):
    status, out, _ = ask("list", "--json", *more)
    assert status == 0
    return json.loads(out)


def test_what_is_added_is_listed_until_it_is_removed(ask, monkeypatch):
    """With the fleet file's own, in order; the record keeps who did what."""
    monkeypatch.setenv("SUDO_USER", "ada")
    status, out, _ = ask(
        "add", "--from", TOMORROW, "--to", LATER, "--reason", " new  router ", "--node", "ams", "--json"
    )
    added = json.loads(out)
    assert (status, added["reason"], added["nodes"], added["added_by"]) == (0, "new router", ["ams"], "ada")
    assert (added["origin"], added["late"]) == ("command", False)
    assert [(row["origin"], row["id"], row["sites"]) for row in rows(ask)] == [
        ("fleet file", None, ["frankfurt"]),
        ("command", added["id"], []),
    ]
    assert "new router" in ask("list")[1]
    assert ask("remove", str(added["id"]))[0] == 0
    assert ask("remove", str(added["id"]))[0] == 1
    assert len(rows(ask)) == 1
    assert rows(ask, "--removed")[1]["removed_by"] == "ada"


def test_work_announced_after_it_began_is_marked(ask):
    """Nobody excludes an outage in silence."""
    status, out, _ = ask("add", "--from", "-3h", "--to", "-2h", "--reason", "power", "--whole-fleet")
    assert (status, "after it began" in out) == (0, True)
    assert [row["late"] for row in rows(ask) if row["origin"] == "command"] == [True]
    assert "late" in ask("list")[1]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--from", TOMORROW, "--to", LATER), "--whole-fleet"),
        (("--from", TOMORROW, "--to", LATER, "--node", "ams", "--whole-fleet"), "--whole-fleet"),
        (("--from", TOMORROW, "--to", LATER, "--node", "amz"), "no node is called amz; did you mean ams?"),
        (("--from", LATER, "--to", TOMORROW, "--node", "ams"), "the end must be later"),
        (("--from", "-60d", "--to", "now", "--node", "ams"), "longer than 31 days"),
        (("--from", "soon", "--to", LATER, "--node", "ams"), "'soon' is no time"),
    ],
)
def test_a_wrong_announcement_is_one_line_and_changes_nothing(ask, words, line):
    """Exit status 2, and what would be right."""
    status, out, error = ask("add", "--reason", "x", *words)
    assert (status, out, error.count("\n")) == (2, "", 1)
    assert line in error
    assert len(rows(ask)) == 1


def test_a_calendar_is_taken_in_and_again_without_a_change(ask, tmp_path):
    """Every event becomes windows; a file that is wrong anywhere changes nothing and says where."""
    file = tmp_path / "work.ics"
    start = (NOW + timedelta(days=2)).strftime("%Y%m%dT%H%M%SZ")
    text = (
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:weekly\r\nSUMMARY:patch day\r\n"
        f"DTSTART:{start}\r\nDURATION:PT2H\r\nRRULE:FREQ=WEEKLY;COUNT=3\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    file.write_text(text)
    first = json.loads(ask("import", str(file), "--provider", "alpha", "--json")[1])
    again = json.loads(ask("import", str(file), "--provider", "alpha", "--json")[1])
    assert [first[key] for key in ("events", "added", "removed", "kept")] == [1, 3, 0, 0]
    assert [again[key] for key in ("events", "added", "removed", "kept")] == [1, 0, 0, 3]
    listed = [
        row
        for row in rows(ask, "--to", (NOW + timedelta(days=40)).isoformat())
        if row["origin"] == "calendar"
    ]
    assert [(row["reason"], row["providers"]) for row in listed] == [("patch day", ["alpha"])] * 3
    file.write_text(text.replace("PT2H", "P40D"))
    status, _, error = ask("import", str(file), "--provider", "alpha")
    assert (status, error.count("\n")) == (2, 1)
    assert f"{file}: event weekly: longer than 31 days" in error


@pytest.mark.parametrize(
    ("content", "zone", "line"),
    [
        (b"nonsense", "UTC", "no iCalendar file"),
        (b"", "Moon", "--tz: 'Moon' is no time zone"),
        (None, "UTC", "No such file"),
    ],
)
def test_a_bad_file_is_one_clear_line(ask, tmp_path, content, zone, line):
    """Its name first."""
    file = tmp_path / "bad.ics"
    if content is not None:
        file.write_bytes(content)
    status, _, error = ask("import", str(file), "--whole-fleet", "--tz", zone)
    assert (status, error.count("\n")) == (2, 1)
    assert line in error


def test_an_operators_token_is_shown_once_and_can_be_taken_away(ask):
    """The last line is the token."""
    status, out, _ = ask("operator", "ada")
    assert (status, len(out.splitlines()[-1])) == (0, 43)
    assert [ask("operator", "ada", "--revoke")[0] for _ in range(2)] == [0, 1]


def call(url, method, token=None, body=None, content_type="application/json"):
    """(status, decoded body)."""
    headers = {"Content-Type": content_type} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, data, headers, method=method), timeout=10
        ) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.fixture
def collector(tmp_path, capsys):
    """A running collector with an operator's and a node's token."""
    config = write_files(tmp_path)
    node = fill(
        tmp_path / "store.db",
        [batch([window(start_s=int(NOW.timestamp()) // 60 * 60 - 600)])],
        int(NOW.timestamp()),
    )
    main(("maintenance", "operator", "ada", "--config.file", str(config)))
    token = capsys.readouterr().out.splitlines()[-1]
    process = CollectorProcess(config, free_port()).wait("/-/ready")
    process.tokens, process.maintenance = (token, node), f"{process.url}/v1/maintenance"
    yield process
    process.end()


WORK = {"start": (NOW - timedelta(hours=1)).isoformat(), "end": LATER, "reason": "router", "nodes": ["ams"]}


def test_an_operator_announces_and_withdraws_and_a_restart_forgets_nothing(collector, tmp_path):
    """What is announced is out of the next answer of /v1/sla, under the operator's name, also after a kill."""
    token, _ = collector.tokens
    status, added = call(collector.maintenance, "POST", token, WORK)
    assert (status, added["added_by"], added["origin"], added["late"]) == (201, "ada", "api", True)
    collector.kill()
    again = CollectorProcess(collector.config, free_port()).wait("/-/ready")
    listed = json.loads(again.get("/v1/maintenance")[1])
    assert listed == [added]
    (row,) = [
        r
        for r in json.loads(again.get("/v1/sla?from=-2h")[1])
        if (r["source"], r["destination"]) == ("ams", "fra")
    ]
    assert (row["samples"], row["exclusions"][0]["added_by"], row["maintenance_minutes"] >= 60) == (
        0,
        "ada",
        True,
    )
    one = f"{again.url}/v1/maintenance/{added['id']}"
    assert call(one, "DELETE", token)[1]["removed_by"] == "ada"
    assert call(one, "DELETE", token)[0] == 404
    (row,) = [
        r
        for r in json.loads(again.get("/v1/sla?from=-2h")[1])
        if (r["source"], r["destination"]) == ("ams", "fra")
    ]
    assert (row["samples"], row["exclusions"]) == (1, [])
    assert [r["removed_by"] for r in json.loads(again.get("/v1/maintenance?removed=1")[1])] == ["ada"]
    again.end()


def test_only_an_operator_may_announce(collector):
    """Neither nobody nor a measured node takes time out of a verdict."""
    _, node = collector.tokens
    for token in (None, node, "x"):
        assert call(collector.maintenance, "POST", token, WORK)[0] == 401
        assert call(f"{collector.maintenance}/1", "DELETE", token)[0] == 401
    assert json.loads(collector.get("/v1/maintenance")[1]) == []


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"nodes": []}, 422, "whole_fleet"),
        ({"whole_fleet": True}, 422, "whole_fleet"),
        ({"nodes": ["amz"]}, 422, "did you mean ams?"),
        ({"end": "2099-01-01T00:00:00Z"}, 422, "longer than 31 days"),
        ({"end": "2026-01-01T00:00:00"}, 422, "end"),
        ({"reason": "  "}, 422, "reason"),
        ({"until": 1}, 422, "until"),
    ],
)
def test_a_wrong_body_is_refused_in_one_line(collector, change, status, words):
    """And nothing is announced."""
    found = call(collector.maintenance, "POST", collector.tokens[0], WORK | change)
    assert (found[0], words in found[1]["detail"]) == (status, True)
    assert json.loads(collector.get("/v1/maintenance")[1]) == []
