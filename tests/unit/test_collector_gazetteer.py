"""Names to coordinates."""

import pytest

from collector.floor import Coordinates, geodesic_km
from collector.gazetteer import CITY_UNCERTAINTY_KM, IATA_UNCERTAINTY_KM, UnknownPlaceError, airport, city


def near(found, latitude, longitude):
    return geodesic_km(found, Coordinates(latitude, longitude)) < 3


def test_an_iata_code_is_its_airport_in_either_case():
    """FRA is Frankfurt's airport, as uncertain as airports are."""
    assert near(airport("FRA"), 50.03, 8.54)
    assert airport("fra") == airport("FRA")
    assert airport("FRA").uncertainty_km == IATA_UNCERTAINTY_KM


@pytest.mark.parametrize(
    ("name", "latitude", "longitude"),
    [
        ("Frankfurt am Main, DE", 50.116, 8.684),
        ("frankfurt am main", 50.116, 8.684),
        ("London, GB", 51.509, -0.126),
        ("London, United Kingdom", 51.509, -0.126),
        ("Springfield, IL, US", 39.80, -89.64),
        ("Zürich", 47.37, 8.55),
        ("zurich", 47.37, 8.55),
        ("São Paulo", -23.55, -46.64),
        ("東京", 35.69, 139.69),
    ],
)
def test_a_city_is_found_by_name_and_country(name, latitude, longitude):
    """Accents, case, other languages and the country's code or name all lead there."""
    found = city(name)
    assert near(found, latitude, longitude)
    assert found.uncertainty_km == CITY_UNCERTAINTY_KM


def test_an_ambiguous_city_lists_what_it_could_be():
    """Country, population and coordinates of each, largest first; the right one can be copied from the line."""
    with pytest.raises(UnknownPlaceError) as refused:
        city("London")
    message = str(refused.value)
    assert message.index("London, ENG, GB (population 8,") < message.index("London, 08, CA (population ")
    assert "51.51,-0.13" in message
    assert near(city("London, 08, CA"), 42.98, -81.23)


def test_many_candidates_are_cut_off_with_their_number():
    """The message stays one readable line."""
    with pytest.raises(UnknownPlaceError, match=r"\d+ cities are called 'Springfield': .*; and \d+ more; "):
        city("Springfield")


@pytest.mark.parametrize(
    ("name", "hint"), [("Zurrich", "Zürich"), ("Zurich, AT", "Zürich, ZH, CH"), ("Helsinkki", "Helsinki")]
)
def test_an_unknown_city_shows_the_closest(name, hint):
    """A typo or a wrong country is answered with what was probably meant."""
    with pytest.raises(UnknownPlaceError, match=f"closest: .*{hint}"):
        city(name)


@pytest.mark.parametrize("name", ["", ",", "   ", ", DE", "xqzvw"])
def test_a_name_that_is_none_is_refused(name):
    """Nothing is never found."""
    with pytest.raises(UnknownPlaceError, match="no city"):
        city(name)


def test_an_unknown_code_shows_the_closest():
    """FRQ is no airport."""
    with pytest.raises(UnknownPlaceError, match="'FRQ'; closest: "):
        airport("FRQ")
