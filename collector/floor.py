"""The floor of a path: the round trip of light in fibre over the shortest way on the Earth's surface.

Pure: coordinates in, seconds out. The formulas, and why the figures are what they are: docs/verdicts.md.
"""

from dataclasses import dataclass
from functools import cache

from geographiclib.geodesic import Geodesic

LIGHT_KM_PER_SECOND = 299_792.458
REFRACTIVE_INDEX = 1.468
"""Group index of standard single-mode fibre (ITU-T G.652) near 1550 nm, as its makers state it."""


@dataclass(frozen=True, slots=True)
class Coordinates:
    """A place in WGS-84 degrees. uncertainty_km: how far from it the machine may stand."""

    latitude: float
    longitude: float
    uncertainty_km: float = 0.0

    def __post_init__(self) -> None:
        if not -90 <= self.latitude <= 90:
            raise ValueError(f"latitude lies between -90 and 90, not {self.latitude:g}")
        if not -180 <= self.longitude <= 180:
            raise ValueError(f"longitude lies between -180 and 180, not {self.longitude:g}")
        if not 0 <= self.uncertainty_km <= 20_040:
            raise ValueError(f"uncertainty_km lies between 0 and 20040, not {self.uncertainty_km:g}")


@dataclass(frozen=True, slots=True)
class Floor:
    """The smallest round trip physics allows on a path, and how sure of it one can be.

    distance_km: one way. uncertainty_seconds: the true floor lies within floor_seconds ± this.
    how: in words, what distance_km was taken from.
    """

    distance_km: float
    floor_seconds: float
    uncertainty_seconds: float
    refractive_index: float
    how: str

    @property
    def lowest_seconds(self) -> float:
        """The smallest floor that the uncertainty admits; never negative."""
        return max(0.0, self.floor_seconds - self.uncertainty_seconds)

    @property
    def highest_seconds(self) -> float:
        """The largest floor that the uncertainty admits."""
        return self.floor_seconds + self.uncertainty_seconds


def round_trip_seconds(length_km: float, refractive_index: float = REFRACTIVE_INDEX) -> float:
    """Time of light there and back through this length of fibre."""
    return 2 * length_km * refractive_index / LIGHT_KM_PER_SECOND


def geodesic_km(a: Coordinates, b: Coordinates) -> float:
    """Shortest distance on the WGS-84 ellipsoid (Karney 2013: converges for antipodes too). The same both ways."""
    return _distance_km(*sorted(((a.latitude, a.longitude), (b.latitude, b.longitude))))


@cache
def _distance_km(a: tuple[float, float], b: tuple[float, float]) -> float:
    return float(Geodesic.WGS84.Inverse(*a, *b, Geodesic.DISTANCE)["s12"]) / 1000


def floor_between(a: Coordinates, b: Coordinates, refractive_index: float = REFRACTIVE_INDEX) -> Floor:
    """Floor of a path whose fibre length is unknown: over the geodesic between its ends.

    The uncertainties of both ends are added, not squared: each is a bound and says nothing about likelihood.
    """
    distance_km = geodesic_km(a, b)
    return Floor(
        distance_km=distance_km,
        floor_seconds=round_trip_seconds(distance_km, refractive_index),
        uncertainty_seconds=round_trip_seconds(a.uncertainty_km + b.uncertainty_km, refractive_index),
        refractive_index=refractive_index,
        how="geodesic between the sites",
    )


def floor_of_length(length_km: float, refractive_index: float = REFRACTIVE_INDEX) -> Floor:
    """Floor of a path whose fibre length is known, for example from the carrier. Raises ValueError below 0 km."""
    if length_km < 0:
        raise ValueError(f"length_km cannot be negative: {length_km:g}")
    return Floor(
        distance_km=length_km,
        floor_seconds=round_trip_seconds(length_km, refractive_index),
        uncertainty_seconds=0.0,
        refractive_index=refractive_index,
        how="stated length of the fibre",
    )


def limit_seconds(floor_seconds: float, multiplier: float, allowance_seconds: float) -> float:
    """What the SLA allows on a path with this floor."""
    return multiplier * floor_seconds + allowance_seconds
