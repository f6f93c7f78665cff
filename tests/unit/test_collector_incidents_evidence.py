"""What is kept beside an incident."""

import pytest

from agent.wire.batch import Event, Window
from agent.wire.series import Family, SeriesKey, TimeSource
from collector.incidents.attribution import Cause, CauseKind
from collector.incidents.breach import Kind
from collector.incidents.evidence import with_evidence
from collector.incidents.incident import Incident, IncidentPath
from collector.incidents.joining import Known
from collector.store.schema import open_reader
from tests.batches import DAY, batch
from tests.small_fleet import fill

START = DAY + 7200


def known():
    path = IncidentPath(
        source="ams", destination="nyc", families=(Family.IPV4,), probes_hit=("tcp",), worst_s=START, figure=0.2,
        usual=0.1, hit=30, probes=30,
    )  # fmt: skip
    incident = Incident(
        id="x", kind=Kind.LATENCY, cause=Cause(CauseKind.PATH, "ams – nyc"), start_s=START, end_s=START + 1800,
        last_s=START + 1800, paths=(path,), broken_paths=1, measured_paths=1, sources_seeing=1, sources_measuring=1,
    )  # fmt: skip
    return Known(incident, frozenset({path.pair}))


def sockets(start_s, sent, again, destination="nyc"):
    key = SeriesKey("ams", destination, "sockets", Family.IPV4, TimeSource.NONE)
    return Window(key, start_s, 60, {}, counters={"bytes_sent": sent, "bytes_retransmitted": again})


def event(time_s, kind="route_changed", destination="nyc"):
    return Event(time_s, kind, {"before": 1}, destination, Family.IPV4)


@pytest.fixture
def evidence(tmp_path):
    windows = [sockets(START - 60 * at, 400_000, 400) for at in range(1, 20)]
    windows += [sockets(START + 60 * at, 400_000, 20_000) for at in range(20)]
    windows += [sockets(START + 60 * at, 10**9, 10**8, "fra") for at in range(20)]
    events = [
        event(START - 600),
        event(START + 60, "path_mtu_changed"),
        event(START - 3600),
        event(START, "bandwidth_test"),
        event(START, destination="fra"),
    ]
    fill(tmp_path / "store.db", [batch(windows, events=events)], DAY + 86400)
    connection = open_reader(tmp_path / "store.db")
    yield lambda since_s: next(iter(with_evidence(connection, [known()], since_s))).incident
    connection.close()


def test_changes_of_its_paths_near_its_start_are_kept_nearest_first(evidence):
    """A route and an MTU of this path, not an hour before, not of another path, not a test."""
    changes = evidence(START).changes
    assert [(change.kind, change.time_s - START) for change in changes] == [
        ("path_mtu_changed", 60),
        ("route_changed", -600),
    ]


def test_retransmits_of_its_connections_are_compared_with_the_hour_before(evidence):
    """Its own paths' bytes only."""
    incident = evidence(START)
    assert incident.usual_retransmit_ratio == pytest.approx(0.001)
    assert incident.retransmit_ratio == pytest.approx(0.05)


def test_what_was_kept_is_not_gathered_again(evidence):
    """An incident that is carried on has its evidence, also when the minutes are gone."""
    assert evidence(START + 1).changes == ()
