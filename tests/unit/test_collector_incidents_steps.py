"""Steps in the fastest round trip, from the store."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.fleet import parse_fleet
from collector.incidents.steps import steps_in, steps_of_period
from collector.store.schema import open_reader
from collector.store.tiers import Period
from tests.histories import Way, write_minutes
from tests.mesh_world import FEW_TEXT, START

MS = 1_000_000
FLEET = parse_fleet(FEW_TEXT, "fleet.toml")


def hours(*values_ms):
    return {at * 3600: round(value * MS) for at, value in enumerate(values_ms) if value is not None}


def test_a_level_that_changes_for_hours_is_a_step():
    """Up or down, at the hour of the change."""
    assert steps_in(hours(*[80] * 6, *[95] * 6)) == [(6 * 3600, 80 * MS, 95 * MS)]
    assert steps_in(hours(*[95] * 4, *[80] * 4)) == [(4 * 3600, 95 * MS, 80 * MS)]


def test_a_slow_hour_a_small_change_and_noise_are_none():
    """What comes back, what is within 5 %, and what has no level."""
    assert steps_in(hours(*[80] * 6, 95, *[80] * 6)) == []
    assert steps_in(hours(*[80] * 6, *[83] * 6)) == []
    assert steps_in(hours(80, 95, 81, 96, 80, 94, 82, 99, 80, 95)) == []


def test_hours_without_data_are_left_out():
    """A gap is no level of its own; across half a day of it nothing is compared."""
    assert steps_in(hours(80, 80, 80, None, None, 95, 95, 95)) == [(5 * 3600, 80 * MS, 95 * MS)]
    assert steps_in(hours(80, 80, 80, *[None] * 12, 95, 95, 95)) == []


@given(st.lists(st.integers(1, 10**10), max_size=60))
def test_any_minima_give_steps_that_are_large_and_apart(values):
    """No exception, and no two steps within three hours of each other."""
    found = steps_in({at * 3600: value for at, value in enumerate(values)})
    assert all(abs(after - before) >= MS for _, before, after in found)
    assert all(b[0] - a[0] >= 3 * 3600 for a, b in itertools.pairwise(found))


def stepped(tmp_path, ways):
    write_minutes(tmp_path / "store.db", FLEET, START, range(0, 12 * 60, 2), ways=ways, interval_s=20)
    connection = open_reader(tmp_path / "store.db")
    steps = steps_of_period(connection, FLEET, Period(START, START + 86400))
    connection.close()
    return steps


def test_a_machine_that_moved_is_one_step_of_its_node(tmp_path):
    """All of its paths at once, to the minute: a live migration, not eight route changes."""
    (step,) = stepped(tmp_path, lambda a, b, m: Way(20) if m >= 380 and "sin-b" in (a, b) else None)
    assert (step.cause.kind, step.cause.name, len(step.paths), step.measured_paths) == ("node", "sin-b", 8, 8)
    assert step.change_seconds == pytest.approx(0.04 * 0.8, rel=0.2)
    assert step.time == "2025-10-09T06:20:00Z"


def test_a_shorter_route_is_a_step_of_its_path(tmp_path):
    """Faster is a change too; the route was longer before."""
    ways = {("fra-a", "nyc-a"), ("nyc-a", "fra-a")}
    (step,) = stepped(tmp_path, lambda a, b, m: Way(20) if m < 302 and (a, b) in ways else None)
    assert (step.cause.kind, step.cause.name) == ("path", "fra-a – nyc-a")
    assert step.change_seconds < 0
    assert step.time == "2025-10-09T05:02:00Z"


def test_a_steady_mesh_has_no_step(tmp_path):
    """Twelve hours of jitter move no minimum."""
    assert stepped(tmp_path, None) == []
