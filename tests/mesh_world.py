"""Fifteen nodes of three providers in six cities on three continents, and their incidents after generated minutes."""

from collector.fleet import parse_fleet
from collector.incidents.record import found_in_period
from collector.store.schema import open_reader
from collector.store.tiers import Period
from tests.histories import fleet_text, write_minutes

START = 1_760_000_000 // 86400 * 86400
PROVIDERS = ("alder", "birch", "cedar")
SITES = {
    "fra": ("eu", 50.1, 8.7),
    "ams": ("eu", 52.4, 4.9),
    "nyc": ("us", 40.7, -74.0),
    "chi": ("us", 41.9, -87.6),
    "sin": ("asia", 1.35, 103.8),
    "tyo": ("asia", 35.7, 139.7),
}
NODES = {
    f"{site}-{provider[0]}": (provider, site)
    for at, site in enumerate(SITES)
    for provider in PROVIDERS
    if provider != "cedar" or at % 2 == 0
}
TEXT = fleet_text(NODES, PROVIDERS, SITES).replace(
    'probes = [{ kind = "tcp" }]', 'probes = [{ kind = "tcp" }, { kind = "mtu", interval_seconds = 600.0 }]'
)


FEW_NODES = {name: NODES[name] for name in ("fra-a", "ams-b", "nyc-a", "sin-b", "tyo-a")}
FEW_TEXT = fleet_text(FEW_NODES, PROVIDERS, SITES)


def provider(node):
    return NODES[node][0]


def region(node):
    return SITES[NODES[node][1]][0]


def world(more=""):
    return parse_fleet(TEXT + more, "fleet.toml")


def found_after(folder, minutes, *, more="", **faults):
    """Incidents of these minutes (numbers since START) of the world under these faults: see write_minutes."""
    fleet, minutes = world(more), list(minutes)
    write_minutes(folder / "store.db", fleet, START, minutes, **faults)
    connection = open_reader(folder / "store.db")
    try:
        return found_in_period(
            connection, fleet, Period(START + minutes[0] * 60, START + minutes[-1] * 60 + 60)
        )
    finally:
        connection.close()
