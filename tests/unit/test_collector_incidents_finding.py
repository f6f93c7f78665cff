"""Hours of a generated mesh through the real store: each fault is found, blamed on the right cause, once."""

from datetime import UTC, datetime

import pytest

from collector.audit import PairMinimum, audit
from collector.fleet import parse_fleet
from collector.incidents.attribution import CauseKind
from collector.incidents.breach import Kind
from collector.incidents.record import found_in_period
from collector.standing import standing_of_period
from collector.store.schema import open_reader
from collector.store.tiers import Period
from tests.histories import Way, write_minutes
from tests.mesh_world import START, TEXT, found_after, provider, region, world


def during(minute):
    return 90 <= minute < 140


def steal(node, minute):
    return {"steal_ratio": 0.3} if during(minute) and node == "tyo-a" else None


def dead(node, minute):
    return False if during(minute) and node == "tyo-a" else None


FAULTS = {
    "one provider slow": (
        {"ways": lambda a, _b, m: Way(40) if during(m) and provider(a) == "birch" else None},
        (Kind.LATENCY, CauseKind.PROVIDER, "birch"),
    ),
    "one node stolen CPU": (
        {"ways": lambda a, b, m: Way(25) if during(m) and "tyo-a" in (a, b) else None, "quality": steal},
        (Kind.LATENCY, CauseKind.OWN_HOST, "tyo-a"),
    ),
    "one direction lossy": (
        {
            "ways": lambda a, b, m: Way(loss=0.2) if during(m) and (a, b) == ("fra-a", "nyc-b") else None,
            "directions": True,
        },
        (Kind.LOSS, CauseKind.DIRECTION, "fra-a → nyc-b"),
    ),
    "one path lossy, nobody knows which way": (
        {"ways": lambda a, b, m: Way(loss=0.4) if during(m) and (a, b) == ("fra-a", "nyc-b") else None},
        (Kind.LOSS, CauseKind.PATH, "fra-a – nyc-b"),
    ),
    "a node that died": (
        {"ways": lambda a, b, m: Way(loss=1) if during(m) and "tyo-a" in (a, b) else None, "quality": dead},
        (Kind.LOSS, CauseKind.NODE, "tyo-a"),
    ),
    "an MTU drop": (
        {"ways": lambda a, b, m: Way(mtu=1400) if during(m) and (a, b) == ("fra-a", "nyc-b") else None},
        (Kind.MTU, CauseKind.DIRECTION, "fra-a → nyc-b"),
    ),
    "two regions far apart": (
        {"ways": lambda a, b, m: Way(30) if during(m) and {region(a), region(b)} == {"eu", "asia"} else None},
        (Kind.LATENCY, CauseKind.REGION_PAIR, "asia – eu"),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_once_and_blamed_on_its_cause(tmp_path, name):
    """Its kind, its cause, its beginning and its end, and nothing else."""
    faults, (kind, cause, blamed) = FAULTS[name]
    (incident,) = found_after(tmp_path, range(180), **faults).incidents
    assert (incident.kind, incident.cause.kind, incident.cause.name) == (kind, cause, blamed)
    assert 0 <= incident.start_s - (START + 90 * 60) <= 900
    assert abs(incident.end_s - (START + 140 * 60)) <= 900
    assert incident.broken_paths <= incident.measured_paths


def test_a_healthy_world_has_no_incident(tmp_path):
    """Three hours of fifteen nodes with jitter and rare losses: nothing to report."""
    found = found_after(tmp_path, range(180))
    assert (found.incidents, found.excused) == ((), ())


def test_announced_work_is_listed_and_is_no_incident(tmp_path):
    """What a window covers is excused with its reason; what goes on after it is an incident."""
    at = [datetime.fromtimestamp(START + minute * 60, UTC).isoformat() for minute in (85, 125)]
    work = f'[[maintenance]]\nstart = {at[0]}\nend = {at[1]}\nreason = "new router"\nproviders = ["birch"]\n'
    ways = {"ways": lambda a, _b, m: Way(40) if 90 <= m < 150 and provider(a) == "birch" else None}
    found = found_after(tmp_path, range(180), more=work, **ways)
    (excused,) = found.excused
    assert (excused.maintenance, excused.cause.name) == ("new router", "birch")
    assert (excused.start_s, excused.end_s) == (START + 90 * 60, START + 125 * 60)
    (left,) = found.incidents
    assert (left.cause.name, left.start_s, left.end_s) == ("birch", START + 125 * 60, START + 150 * 60)


def test_a_lying_location_is_a_matter_of_the_audit(tmp_path):
    """Round trips below the floor come from no fault: the audit names the node, and there is no incident."""
    lie = TEXT.replace("latitude = 35.7\nlongitude = 139.7", "latitude = -33.9\nlongitude = 151.2")
    truth, told = world(), parse_fleet(lie, "fleet.toml")
    write_minutes(tmp_path / "store.db", truth, START, range(60))
    connection = open_reader(tmp_path / "store.db")
    hour = Period(START, START + 3600)
    assert found_in_period(connection, told, hour).incidents == ()
    pairs = [
        PairMinimum(row.source, row.destination, row.min_seconds, row.floor.lowest_seconds, row.floor_seconds)
        for row in standing_of_period(connection, told, hour).rows
        if row.min_seconds is not None
    ]
    connection.close()
    suspects = audit({name: told.coordinates[node.site] for name, node in told.nodes.items()}, pairs).suspects
    assert {told.nodes[suspect.node].site for suspect in suspects} == {"tyo"}


OVERLAYS = "".join(
    f'[[nodes]]\nname = "{node}-wg"\nprovider = "alder"\nsite = "{node[:3]}"\nipv4 = "10.8.0.{at}"\noverlay_of = "{node}"\n'
    for at, node in enumerate(("fra-a", "nyc-a"), 1)
)


def test_a_tunnel_s_trouble_is_told_from_trouble_below_it(tmp_path):
    """Slow through the overlay of one server and sound beneath: the overlay's; slow both ways: the server's."""
    ways = {"ways": lambda a, b, m: Way(40) if during(m) and "fra-a-wg" in (a, b) else None}
    (tunnel,) = found_after(tmp_path, range(160), more=OVERLAYS, **ways).incidents
    assert (tunnel.cause.kind, tunnel.cause.name) == (CauseKind.OVERLAY, "fra-a-wg")
    below = tmp_path / "below"
    below.mkdir()
    ways = {"ways": lambda a, b, m: Way(40) if during(m) and {"fra-a", "fra-a-wg"} & {a, b} else None}
    (server,) = found_after(below, range(160), more=OVERLAYS, **ways).incidents
    assert (server.cause.kind, server.cause.name) == (CauseKind.NODE, "fra-a")
