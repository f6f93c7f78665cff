"""Metric names carry their unit, mean one thing, and keep the names that dashboards and rules stand on."""

import re

import pytest

from agent.exposition import MESH_FAMILIES
from agent.probes import PROBES
from regenerate import own_families

MEASURES = [(kind, measure) for kind, probe in PROBES.items() for measure in probe.measures]
DESIGN = {
    "lightfloor_probe_outcomes",
    "lightfloor_probe_rtt_seconds",
    "lightfloor_probe_over_limit",
    "lightfloor_probe_judged",
    "lightfloor_path_floor_seconds",
    "lightfloor_path_limit_seconds",
    "lightfloor_schedule_delay_seconds",
}
WRONG_UNITS = re.compile(
    r"_(ms|us|ns|milliseconds|microseconds|nanoseconds|kb|kilobytes|megabytes|percent|minutes|hours)(_|$)"
)


def everything():
    """(name without _total, kind, help) of all that the agent exports of its own."""
    yield from ((family.name, family.kind, family.help) for family in MESH_FAMILIES)
    kinds = {"time": "histogram"}
    yield from ((m.metric.removesuffix("_total"), kinds.get(m.kind, m.kind), m.help) for _, m in MEASURES)
    yield from ((name, kind, words) for name, kind, _, words in own_families())


def test_the_names_that_rules_stand_on_are_there():
    """design.md promises them."""
    assert {family.name for family in MESH_FAMILIES} >= DESIGN


def test_no_two_families_share_a_name():
    """One name has one meaning and one unit."""
    names = [name for name, _, _ in everything()]
    assert sorted(set(names)) == sorted(names)


def test_names_are_of_base_units_and_say_whose_they_are():
    """Prefix, base units, help that is a sentence."""
    for name, kind, words in everything():
        assert re.fullmatch(r"lightfloor_[a-z0-9_]+", name), name
        assert not WRONG_UNITS.search(name), name
        assert words.endswith("."), (name, words)
        if kind == "histogram":
            assert name.endswith("_seconds"), name


@pytest.mark.parametrize(("kind", "measure"), MEASURES, ids=lambda value: getattr(value, "name", value))
def test_a_measures_metric_fits_its_kind(kind, measure):
    """Counters end in _total, times are seconds, gauges are neither; names of the wire are plain."""
    assert measure.metric.endswith("_total") is (measure.kind == "counter")
    assert not measure.metric.endswith(("_bucket", "_count", "_sum", "_info", "_created"))
    if measure.kind == "time":
        assert measure.name.endswith("_ns")
        assert measure.metric.endswith("_seconds")
