"""Hours of a generated mesh through the real store: each fault is found, blamed on the right cause, once."""

import pytest

from collector.incidents.attribution import CauseKind
from collector.incidents.breach import Kind
from tests.histories import Way
from tests.mesh_world import START, found_after, provider, region


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
