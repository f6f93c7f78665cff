"""`effect`: a change on a node, its paths and the control paths from a real store."""

import json
from datetime import UTC, datetime

import pytest

from agent.wire.batch import Fact, Window
from agent.wire.series import Family, SeriesKey, TimeSource
from collector.cli import main
from collector.effects import recent_changes
from collector.fleet import parse_fleet
from collector.store.batches import BatchStore
from collector.store.schema import open_reader, open_writer
from collector.store.tiers import Period
from histories import DAY_S, HOUR_S, fleet_text, write_history
from tests.batches import batch

START_S = 1_760_000_000 // DAY_S * DAY_S
DAYS, CHANGE_HOUR = 9, 6 * 24 + 10
CHANGE_S = START_S + CHANGE_HOUR * HOUR_S + 600
SITES = {
    "ffm": ("eu", 50.1, 8.7),
    "nyc": ("us", 40.7, -74.0),
    "sgp": ("asia", 1.35, 103.8),
    "syd": ("oz", -33.9, 151.2),
}
NODES = {name: ("nebula", name) for name in SITES}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Nine days of four nodes; in the seventh a new congestion control makes nyc's paths a fifth faster."""
    folder = tmp_path_factory.mktemp("effects")
    text = fleet_text(NODES, ["nebula"], SITES)
    (folder / "fleet.toml").write_text(text)

    def faults(source, destination, hour):
        return (0.8, 0.0005, {}) if "nyc" in (source, destination) and hour >= CHANGE_HOUR else None

    write_history(folder / "store.db", parse_fleet(text, "fleet"), START_S, DAYS, faults=faults)
    connection, sink = open_writer(folder / "store.db"), BatchStore()
    now_s = START_S + DAYS * DAY_S
    for sequence, (value, time_s) in enumerate((("cubic", START_S), ("bbr", CHANGE_S)), 100):
        facts = [
            Fact("sysctl.net.ipv4.tcp_congestion_control", value, "proc/sys", time_s),
            Fact(
                "sysctl.net.core.default_qdisc",
                "fq" if value == "bbr" else "fq_codel",
                "proc/sys",
                time_s + 30,
            ),
            Fact("kernel.version", f"#{sequence}", "proc/version", time_s),
            Fact("clock.synchronised", sequence == 100, "adjtimex", START_S + (sequence - 99) * DAY_S),
        ]
        sink.store(connection, batch(node="nyc", sequence=sequence, facts=facts), now_s)
    for sequence, node in enumerate(NODES, 200):
        windows = [_sockets(node, peer, hour) for peer in NODES if peer != node for hour in range(DAYS * 24)]
        sink.store(connection, batch(windows, node=node, sequence=sequence), now_s)
    connection.close()
    (folder / "collector.toml").write_text(
        f'[server]\n[store]\npath = "{folder}/store.db"\n[fleet]\npath = "{folder}/fleet.toml"\n'
    )
    return folder / "collector.toml"


def _sockets(node, peer, hour):
    """A thousand segments an hour, of which nyc sends 30 again before the change and 5 since; others 5."""
    again = 30 if node == "nyc" and hour < CHANGE_HOUR else 5
    key = SeriesKey(node, peer, "sockets", Family.IPV4, TimeSource.NONE)
    counters = {"segments_sent": 1000, "segments_retransmitted": again + hour % 3}
    rate = {"delivery_rate_p50_bits_per_second": 1e8 + 1e6 * (hour % 5)}
    return Window(key, START_S + hour * HOUR_S, 60, {}, counters=counters, gauges=rate)


def at(time_s):
    return datetime.fromtimestamp(time_s, UTC).isoformat()


def effect(config, capsys, node="nyc", time_s=CHANGE_S):
    status = main(["effect", "--node", node, "--at", at(time_s), "--json", "--config.file", str(config)])
    return status, json.loads(capsys.readouterr().out)


def test_a_change_that_helped_is_told_from_the_store_alone(config, capsys):
    """P50 and P99 fall by a fifth, retransmits by 2.5 points where they were many; loss and throughput stay."""
    status, found = effect(config, capsys)
    by_figure = {effect["figure"]: effect for effect in found["effects"]}
    assert (status, found["outcome"]) == (0, "helped")
    for figure in ("p50_seconds", "p99_seconds"):
        assert by_figure[figure]["outcome"] == "helped"
        assert by_figure[figure]["change"] == pytest.approx(-0.2, abs=0.01)
        assert (by_figure[figure]["touched_paths"], by_figure[figure]["control_paths"]) == (6, 6)
    assert by_figure["retransmit_ratio"]["outcome"] == "helped"
    assert by_figure["retransmit_ratio"]["change"] == pytest.approx(-0.0125, abs=0.0005)
    assert by_figure["throughput_bits_per_second"]["outcome"] == "no effect"
    assert by_figure["loss_ratio"]["outcome"] in ("no effect", "cannot tell yet")
    assert [fact["name"] for fact in found["changed"]] == [
        "sysctl.net.ipv4.tcp_congestion_control",
        "sysctl.net.core.default_qdisc",
    ]
    assert (found["changed"][0]["before"], found["changed"][0]["after"]) == ("cubic", "bbr")


def test_a_node_whose_neighbour_changed_has_no_control_path_there(config, capsys):
    """Nothing changed on syd: its path to nyc became faster, but the others did not, and nyc's paths are no controls."""
    _, found = effect(config, capsys, "syd")
    assert found["other_changed_nodes"] == ["nyc"]
    assert found["changed"] == []
    assert all(effect["control_paths"] == 2 for effect in found["effects"])


def test_another_change_ends_the_time_before(config, capsys):
    """Asked about a day after the change, only that day counts as before: too short, and it says so."""
    _, found = effect(config, capsys, "nyc", CHANGE_S + DAY_S)
    assert found["outcome"] == "cannot tell yet"
    assert "48 hours before" in found["effects"][0]["reason"]


def test_a_control_node_that_changed_long_before_is_a_control_since_then(config, capsys):
    """ffm changed two days and a half before nyc did: its paths to the others count since, and are still six."""
    connection, sink = open_writer(config.parent / "store.db"), BatchStore()
    for sequence, (value, time_s) in enumerate(((1, START_S), (2, CHANGE_S - 60 * HOUR_S)), 300):
        told = [Fact("sysctl.net.ipv4.tcp_sack", value, "proc/sys", time_s)]
        sink.store(connection, batch(node="ffm", sequence=sequence, facts=told), START_S + DAYS * DAY_S)
    connection.close()
    _, found = effect(config, capsys)
    by_figure = {effect["figure"]: effect for effect in found["effects"]}
    assert found["outcome"] == "helped"
    assert by_figure["p50_seconds"]["control_paths"] == 6
    assert found["other_changed_nodes"] == []


def test_people_get_a_table_with_the_reason(config, capsys):
    """The verdict, what changed, per cent for times and percentage points for ratios."""
    assert main(["effect", "--node", "nyc", "--at", at(CHANGE_S), "--config.file", str(config)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("nyc at 2025-10-")
    assert "tcp_congestion_control: cubic → bbr" in out
    assert " %" in out
    assert " pp" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--node", "nobody", "--at", "-24h"], "no node of"),
        (["--node", "nyc", "--at", "soon"], "--at: 'soon' is no time"),
        (["--node", "nyc", "--at", "now"], "give a past time"),
    ],
)
def test_a_question_that_cannot_be_answered_says_why(config, capsys, words, said):
    """Exit status 2 and one line."""
    assert main(["effect", *words, "--config.file", str(config)]) == 2
    assert said in capsys.readouterr().err


def test_facts_that_changed_together_are_one_change(config):
    """Two parameters within a minute; a kernel's build string and a clock that lost its source are none."""
    connection = open_reader(config.parent / "store.db")
    found = recent_changes(connection, Period(START_S, START_S + DAYS * DAY_S))
    assert [change for change in found if change[0] == "nyc"] == [("nyc", CHANGE_S)]
    connection.close()
