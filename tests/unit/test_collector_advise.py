"""`advise`: findings of every node from a real store, relays, drift and judged changes among them."""

import json
from datetime import UTC, datetime

import pytest

from agent.wire.batch import Fact
from collector.cli import main
from collector.fleet import parse_fleet
from collector.store.batches import BatchStore
from collector.store.schema import open_writer
from histories import DAY_S, HOUR_S, fleet_text, write_history
from siblings import HONG_KONG, WORKER
from tests.batches import batch

START_S = 1_760_000_000 // DAY_S * DAY_S
DAYS = 9
CHANGE_HOUR = 6 * 24 + 10
END = datetime.fromtimestamp(START_S + DAYS * DAY_S, UTC).isoformat()
SITES = {
    "fra": ("eu", 50.1, 8.7), "nyc": ("us", 40.7, -74.0), "sin": ("asia", 1.35, 103.8), "hkg": ("asia", 22.3, 114.2),
    "syd": ("oz", -33.9, 151.2),
}  # fmt: skip
NODES = {name: ("nebula", name) for name in SITES}


def slow(source, destination, hour):
    """hkg's paths take three times as long, and lose; fra to syd takes a detour; nyc's change made its paths slower."""
    if "hkg" in (source, destination):
        return 3.0, 0.03, {}
    if {source, destination} == {"fra", "syd"}:
        return 1.9, 0.0, {}
    if "nyc" in (source, destination) and hour >= CHANGE_HOUR:
        return 1.15, 0.0005, {}
    return None


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Nine days of five workers of one role, with their facts."""
    folder = tmp_path_factory.mktemp("advise")
    text = fleet_text(NODES, ["nebula"], SITES).replace(
        'provider = "nebula"', 'provider = "nebula"\nrole = "worker"'
    )
    (folder / "fleet.toml").write_text(text)
    write_history(folder / "store.db", parse_fleet(text, "fleet"), START_S, DAYS, faults=slow)
    connection, sink, now_s = open_writer(folder / "store.db"), BatchStore(), START_S + DAYS * DAY_S
    for node in NODES:
        told = HONG_KONG if node == "hkg" else WORKER
        facts = [Fact(name, value, "test", START_S) for name, value in told.items()]
        sink.store(connection, batch(node=node, sequence=100, facts=facts), now_s)
    name, change_s = "sysctl.net.ipv4.tcp_congestion_control", START_S + CHANGE_HOUR * HOUR_S + 60
    sink.store(
        connection, batch(node="nyc", sequence=101, facts=[Fact(name, "vegas", "test", change_s)]), now_s
    )
    connection.close()
    (folder / "collector.toml").write_text(
        f'[server]\n[store]\npath = "{folder}/store.db"\n[fleet]\npath = "{folder}/fleet.toml"\n'
    )
    return folder / "collector.toml"


@pytest.fixture
def advise(config, capsys, monkeypatch):
    """A function from further words to (status, what was printed), asked at the end of the nine days."""
    monkeypatch.setattr("time.time", lambda: START_S + DAYS * DAY_S)

    def ask(*words):
        status = main(["advise", "--from", "-7d", "--config.file", str(config), *words])
        out = capsys.readouterr()
        return status, out.out or out.err

    return ask


def test_a_fleets_findings_are_listed_gravest_first(advise):
    """The contract's keys, each finding once, severities in order."""
    status, out = advise("--json")
    found = json.loads(out)
    assert status == 0
    for finding in found:
        assert {"id", "severity", "node", "title", "evidence", "change", "undo", "source"} <= finding.keys()
    assert len({(finding["id"], finding["node"]) for finding in found}) == len(found)
    order = [["critical", "warning", "info"].index(finding["severity"]) for finding in found]
    assert order == sorted(order)


def test_the_slow_node_is_explained_by_what_it_does_not_share(advise):
    """hkg: its overlay does not fit its link, by its own rule and by comparison with its siblings."""
    found = {finding["id"]: finding for finding in json.loads(advise("--node", "hkg", "--json")[1])}
    assert found["overlay-mtu"]["severity"] in ("warning", "critical")
    assert "p99-over-floor" in found
    drift = found["fleet-drift"]
    assert drift["subjects"][0].startswith("derived.overlay.flannel")
    assert "3 healthy siblings (role worker)" in drift["what"]


def test_diagnose_tells_one_story_of_several_findings(advise):
    """hkg's lossy, slow paths and its overlay, with the causes in order; the same for people."""
    found = json.loads(advise("--node", "hkg", "--diagnose", "--json")[1])
    assert {complaint for story in found for complaint in story["complaints"]} >= {"delay", "large packets"}
    assert "overlay-mtu" in {story["causes"][0]["cause"] for story in found}
    text = advise("--node", "hkg", "--diagnose", "--lang", "zh")[1]
    assert "1. " in text
    assert "隧道" in text


def test_compare_ranks_every_difference(advise):
    """As JSON, and as a table with the reason in the language asked for."""
    found = json.loads(advise("--compare", "hkg", "--json")[1])
    assert found["siblings"] == ["fra", "nyc", "sin"]  # syd's paths are mostly slow, too
    assert {"delay", "loss"} <= set(found["symptoms"])
    assert [difference["fact"] for difference in found["differences"]][2] == "interface.uplink.mtu"
    assert "大包" in advise("--compare", "hkg", "--lang", "zh")[1]


def test_a_detour_gets_a_relay_with_its_price(advise):
    """fra to syd takes nearly twice its usual time: another node in between is faster."""
    (found,) = [
        finding for finding in json.loads(advise("--node", "fra", "--json")[1]) if finding["id"] == "relay"
    ]
    assert found["subjects"][0] == "syd"
    assert found["severity"] == "info"
    assert "forwarding" in found["what"]


def test_a_change_that_did_harm_is_to_be_undone(advise):
    """nyc's new congestion control made three of its four paths 15% slower: back to what it was, and no rule says otherwise."""
    found = {finding["id"]: finding for finding in json.loads(advise("--node", "nyc", "--json")[1])}
    harmed = found["change-harmed"]
    assert harmed["change"] == "net.ipv4.tcp_congestion_control = bbr"
    assert harmed["undo"] == "net.ipv4.tcp_congestion_control = vegas"
    assert "p50_seconds +11%" in harmed["what"]
    assert found.get("congestion-control", {}).get("change") in (None, harmed["change"])


def test_people_get_a_table_and_one_node_in_full(advise):
    """The overview names severity, node and rule; one node's findings carry all, with what could not be decided."""
    overview = advise()[1]
    assert "hkg" in overview
    assert "overlay-mtu" in overview
    assert "remark overlay-kind: fra, hkg, nyc, sin, syd" in overview
    full = advise("--node", "hkg")[1]
    assert "OVERLAY-MTU".lower() in full
    assert "Could not be decided" in full


def test_what_could_not_be_decided_is_listed_on_request(advise):
    """As severity unknown, of the node asked for, beside its findings."""
    usual = json.loads(advise("--node", "hkg", "--json")[1])
    found = json.loads(advise("--node", "hkg", "--json", "--undecided")[1])
    unknown = [row for row in found if row["severity"] == "unknown"]
    assert found[: len(usual)] == usual
    assert "route-change" in {row["id"] for row in unknown}
    assert {row["node"] for row in unknown} == {"hkg"}


def test_files_to_apply_are_written_for_one_node(advise, tmp_path):
    """A sysctl.d file, a script and a playbook; without --node there is nobody to write them for."""
    status, _ = advise("--node", "hkg", "--write", str(tmp_path / "out"))
    assert status == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "90-lightfloor.conf",
        "lightfloor-tune.sh",
        "lightfloor-tune.yml",
    ]
    assert "hkg" in (tmp_path / "out" / "lightfloor-tune.sh").read_text()
    status, said = advise("--write", str(tmp_path))
    assert (status, "--write needs --node" in said) == (2, True)


@pytest.mark.parametrize("option", ["--node", "--compare"])
def test_an_unknown_node_is_named(advise, option):
    """Exit status 2 and one line."""
    status, said = advise(option, "nobody")
    assert status == 2
    assert f"{option} nobody: no node of" in said
