"""What docs/ says of keys, metrics and facts is what the code does."""

import importlib
import re

import pytest

from agent.config import Config
from agent.exposition import MESH_FAMILIES
from collector.config import CollectorConfig
from collector.fleet_file import FleetDocument
from collector_reference import COLLECTOR_KEYS, FLEET_KEYS, collector_families, labels_of
from regenerate import LABELS, MEANINGS, ROOT, keys_of, pages

PAGES = (
    "docs/metrics.md",
    "docs/config.md",
    "docs/facts.md",
    "docs/rules.md",
    "docs/collector-config.md",
    "docs/collector-metrics.md",
)


@pytest.mark.parametrize("name", PAGES)
def test_the_generated_page_is_current(name):
    """`make golden` would change nothing."""
    assert (ROOT / name).read_text() == pages()[name]


def test_every_key_has_a_meaning_and_every_meaning_a_key():
    """No key of agent.toml is undocumented, no documented one is gone."""
    assert {key for key, _, _ in keys_of(Config)} == set(MEANINGS)


@pytest.mark.parametrize(
    ("model", "meanings"), [(CollectorConfig, COLLECTOR_KEYS), (FleetDocument, FLEET_KEYS)]
)
def test_every_key_of_the_collector_has_a_meaning(model, meanings):
    """No key of collector.toml or fleet.toml is undocumented, no documented one is gone."""
    assert {key for key, _, _ in keys_of(model)} == set(meanings)


def test_the_labels_of_the_collectors_families_are_those_of_its_samples():
    """Wherever a family has a sample, the page names its labels."""
    for name, _, _, labels in collector_families():
        assert not labels or set(labels) == set(labels_of(name)), name


def test_every_mesh_family_has_its_labels_documented():
    """The table of labels is complete."""
    assert {family.name for family in MESH_FAMILIES} == set(LABELS)


WALK = re.compile(r"`((?:agent|collector)/[\w/]+\.py)(?::([\w.]+))?`")


@pytest.mark.parametrize(("module", "name"), WALK.findall((ROOT / "docs/walk.md").read_text()))
def test_the_walk_names_what_is_there(module, name):
    """Every module and name of docs/walk.md exists."""
    thing = importlib.import_module(module.removesuffix(".py").replace("/", "."))
    for part in filter(None, name.split(".")):
        thing = getattr(thing, part)
