"""What docs/ says of keys, metrics and facts is what the code does."""

import importlib
import re

import pytest

from agent.config import Config
from agent.exposition import MESH_FAMILIES
from regenerate import LABELS, MEANINGS, ROOT, keys_of, pages

PAGES = ("docs/metrics.md", "docs/config.md", "docs/facts.md", "docs/rules.md")


@pytest.mark.parametrize("name", PAGES)
def test_the_generated_page_is_current(name):
    """`make golden` would change nothing."""
    assert (ROOT / name).read_text() == pages()[name]


def test_every_key_has_a_meaning_and_every_meaning_a_key():
    """No key of agent.toml is undocumented, no documented one is gone."""
    assert {key for key, _, _ in keys_of(Config)} == set(MEANINGS)


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
