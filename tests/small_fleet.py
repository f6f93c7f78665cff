"""A collector of three cities on disk."""

import sqlite3
from datetime import UTC, datetime

import msgspec

from collector.config import read_config
from collector.fleet import parse_fleet
from collector.store import rollup
from collector.store.batches import BatchStore
from collector.store.schema import open_writer
from collector.store.tokens import enroll

FLEET = """\
[[providers]]
name = "alpha"

[[sites]]
name = "amsterdam"
region = "eu"
latitude = 52.37
longitude = 4.90

[[sites]]
name = "frankfurt"
region = "eu"
latitude = 50.11
longitude = 8.68

[[sites]]
name = "new-york"
region = "us"
latitude = 40.71
longitude = -74.01

[[nodes]]
name = "ams"
provider = "alpha"
site = "amsterdam"
ipv4 = "192.0.2.1"

[[nodes]]
name = "fra"
provider = "alpha"
site = "frankfurt"
ipv4 = "192.0.2.2"

[[nodes]]
name = "nyc"
provider = "alpha"
site = "new-york"
ipv4 = "192.0.2.3"

[[classes]]
name = "standard"
multiplier = 2.0
allowance_ms = 5.0
loss_ratio_max = 0.01

[[applications]]
class = "standard"

[[groups]]
name = "all"
shape = "mesh"
probes = [{ kind = "tcp", interval_seconds = 10.0 }, { kind = "mtu", interval_seconds = 600.0 }]
"""
SERVER = """\
[store]
path = "store.db"

[fleet]
path = "fleet.toml"

[server]
"""


def fleet(more=""):
    return parse_fleet(FLEET + more, "fleet.toml")


def maintenance(start_s, end_s, scope=""):
    start, end = (datetime.fromtimestamp(at, UTC).isoformat() for at in (start_s, end_s))
    return f'\n[[maintenance]]\nstart = {start}\nend = {end}\nreason = "router"\n{scope}\n'


def write_files(directory, more="", server=""):
    """collector.toml, with further lines of its [server], and fleet.toml; returns the path of the first."""
    (directory / "fleet.toml").write_text(FLEET + more)
    path = directory / "collector.toml"
    path.write_text(SERVER + server)
    return path


def configured(directory, **files):
    """The same files as read, listening on any free port."""
    config = read_config(write_files(directory, **files))
    return msgspec.structs.replace(config, server=msgspec.structs.replace(config.server, port=0))


def fill(path, batches, now_s, merge=True):
    """Store these batches directly, merge what is due at now_s; returns the token of ams."""
    connection = open_writer(path)
    sink = BatchStore()
    for each in batches:
        sink.store(connection, each, now_s)
    while merge and (units := rollup.due_units(connection, now_s)):
        for unit in units:
            rollup.roll_up(connection, unit)
    token = enroll(connection, "ams", now_s)
    connection.close()
    return token


def rows(path, statement):
    connection = sqlite3.connect(path)
    found = connection.execute(statement).fetchall()
    connection.close()
    return found
