"""Nodes as the API shows them: the fleet file and what was heard, joined by name."""

from collector.api.nodes import states_of
from collector.store.nodes import NodeStatus
from small_fleet import fleet


def test_every_node_is_there_once_whoever_knows_it():
    """One of the fleet that never spoke, one that spoke, and one that left the fleet file."""
    heard = [NodeStatus("ams", 60, 0, True), NodeStatus("gone", 120, None, False)]
    found = {state.name: state for state in states_of(fleet(), heard)}
    assert list(found) == ["ams", "fra", "gone", "nyc"]
    ams, fra, gone = found["ams"], found["fra"], found["gone"]
    assert (ams.provider, ams.site, ams.region, ams.latitude) == ("alpha", "amsterdam", "eu", 52.37)
    assert (ams.enrolled, ams.last_batch, ams.last_window) == (
        True,
        "1970-01-01T00:01:00Z",
        "1970-01-01T00:00:00Z",
    )
    assert (fra.enrolled, fra.last_batch, fra.in_fleet) == (False, None, True)
    assert (gone.in_fleet, gone.provider, gone.last_batch) == (False, None, "1970-01-01T00:02:00Z")
