"""The floor: geodesic, light, uncertainty."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.floor import (
    Coordinates,
    floor_between,
    floor_of_length,
    geodesic_km,
    limit_seconds,
    round_trip_seconds,
)

PLACES = st.builds(Coordinates, st.floats(-90, 90), st.floats(-180, 180), st.floats(0, 100))
FRANKFURT, SINGAPORE = Coordinates(50.1109, 8.6821), Coordinates(1.3521, 103.8198)


def test_a_thousand_kilometres_of_fibre_take_9_79_ms():
    """The rule of thumb every network engineer knows comes out."""
    assert round_trip_seconds(1000) == pytest.approx(9.79e-3, abs=5e-6)


@pytest.mark.parametrize(
    ("a", "b", "expected_km"),
    [
        (
            Coordinates(40.6, -73.8),
            Coordinates(51.6, -0.5),
            5551.7593,
        ),  # JFK to LHR, GeographicLib's own example
        (Coordinates(0, 0), Coordinates(0, 180), 20003.9315),  # over the pole: half a meridian
        (Coordinates(90, 0), Coordinates(-90, 0), 20003.9315),
        (Coordinates(30, 0), Coordinates(-30, 180), 20003.9315),
        (Coordinates(0, 0), Coordinates(0.5, 179.5), 19936.2886),  # Vincenty's method does not converge here
        (Coordinates(10, 179.9), Coordinates(10, -179.9), 21.928),
    ],
)
def test_known_distances(a, b, expected_km):
    """Published and degenerate geodesics, antipodes and the date line among them."""
    assert geodesic_km(a, b) == pytest.approx(expected_km, abs=0.01)


@given(PLACES, PLACES)
def test_the_floor_is_the_same_both_ways_and_within_half_a_meridian(a, b):
    """No direction of a path is judged by another distance than the other."""
    there, back = floor_between(a, b), floor_between(b, a)
    assert there == back
    assert 0 <= there.distance_km <= 20003.94
    assert math.isfinite(there.floor_seconds)
    assert 0 <= there.lowest_seconds <= there.floor_seconds <= there.highest_seconds


def test_the_uncertainties_of_both_ends_add():
    """Either end may be off, in the worst direction."""
    a, b = Coordinates(50.0, 8.0, 20.0), Coordinates(1.0, 103.0, 25.0)
    assert floor_between(a, b).uncertainty_seconds == pytest.approx(round_trip_seconds(45.0))


def test_a_stated_length_and_index_replace_the_geodesic():
    """What the carrier knows of its fibre beats what the globe says."""
    floor = floor_of_length(1234.0, 1.5)
    assert (floor.distance_km, floor.refractive_index, floor.uncertainty_seconds) == (1234.0, 1.5, 0.0)
    assert floor.floor_seconds == pytest.approx(2 * 1234.0 * 1.5 / 299_792.458)
    assert floor.how != floor_between(FRANKFURT, SINGAPORE).how


def test_the_limit_is_multiplier_times_floor_plus_allowance():
    """The contract's formula."""
    assert limit_seconds(0.01, 2.5, 0.005) == pytest.approx(0.03)


@pytest.mark.parametrize("bad", [(91, 0), (0, 181), (0, 0, -1), (math.nan, 0)])
def test_impossible_coordinates_are_refused(bad):
    """A typo in a coordinate never becomes a floor."""
    with pytest.raises(ValueError, match="lies between"):
        Coordinates(*bad)


def test_a_negative_length_is_refused():
    """Nor does a sign error in a length."""
    with pytest.raises(ValueError, match="negative"):
        floor_of_length(-1.0)
