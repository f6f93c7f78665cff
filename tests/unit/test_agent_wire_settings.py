"""A wrong configuration is one line: where, the key path as the user wrote it, and what would be right."""

from contextlib import suppress
from enum import StrEnum
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.wire.settings import ConfigError, convert, decode_toml


class Season(StrEnum):
    SPRING = "spring"
    AUTUMN = "autumn"


class Leaf(msgspec.Struct, forbid_unknown_fields=True):
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 80
    colour: str = "red"
    season: Season | None = None
    side: Literal["left", "right"] = "left"

    def __post_init__(self):
        if self.colour == "clear":
            raise ValueError("clear is no colour")


class Branch(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    leaves: tuple[Leaf, ...] = ()
    best: Leaf | None = None
    by_name: dict[str, Leaf] = {}


class Tree(msgspec.Struct, forbid_unknown_fields=True):
    branches: list[Branch] = []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("branches = 5", "t.toml: branches: expected array, got int"),
        ("[[branches]]", "t.toml: branches[0].name: required key is missing"),
        ("[[branches]]\nnames='a'", "t.toml: branches[0].names: unknown key; did you mean name?"),
        ("leaf = 1", "t.toml: leaf: unknown key; known here: branches"),
        (
            "[[branches]]\nname='a'\n[[branches.leaves]]\n[[branches.leaves]]\nprot=1",
            "t.toml: branches[0].leaves[1].prot: unknown key; did you mean port?",
        ),
        (
            "[[branches]]\nname='a'\n[branches.best]\ncolor='x'",
            "t.toml: branches[0].best.color: unknown key; did you mean colour?",
        ),
        (
            "[[branches]]\nname='a'\n[branches.by_name.x]\nport=0",
            "t.toml: branches[0].by_name.*.port: expected int >= 1",
        ),
        (
            "[[branches]]\nname='a'\n[branches.by_name.x]\nprt=0",
            "t.toml: branches[0].by_name.*.prt: unknown key; did you mean port?",
        ),
        ("[[branches]]\nname='a'\nbest={colour='clear'}", "t.toml: branches[0].best: clear is no colour"),
        ("[[branches]]\nname=2026-01-01", "t.toml: branches[0].name: expected str, got date"),
        (
            "[[branches]]\nname='a'\nbest={side='up'}",
            "t.toml: branches[0].best.side: invalid enum value 'up'; one of left, right",
        ),
        (
            "[[branches]]\nname='a'\nbest={season='may'}",
            "t.toml: branches[0].best.season: invalid enum value 'may'; one of spring, autumn",
        ),
        ("a = ", "t.toml: not TOML: Invalid value (at end of document)"),
        ("a = " + "[" * 100_000, "t.toml: not a configuration: nested too deep"),
    ],
    ids=range(14),
)
def test_error_names_file_key_and_remedy(text, message):
    """The exact line, for each way a file can be wrong."""
    with pytest.raises(ConfigError) as caught:
        decode_toml(text, Tree, "t.toml")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prt": 1}, "a: peers[0].options.prt: unknown key; did you mean port?"),
        ({"port": "x"}, "a: peers[0].options.port: expected int, got str"),
        ({"colour": "clear"}, "a: peers[0].options: clear is no colour"),
    ],
)
def test_a_part_checked_later_keeps_its_whole_path(options, message):
    """Probe options are checked by the probe, yet the path starts at the file's root."""
    with pytest.raises(ConfigError) as caught:
        convert(options, Leaf, "a", "peers[0].options.")
    assert str(caught.value) == message


def test_numbers_as_text_only_where_a_command_line_gives_them():
    """A port in quotes is an error in a file and fine as an argument."""
    assert convert({"port": "443"}, Leaf, "probe", strict=False) == Leaf(443)
    with pytest.raises(ConfigError, match="expected int, got str"):
        convert({"port": "443"}, Leaf, "file")


@given(st.text())
def test_any_text_is_a_tree_or_a_config_error(text):
    """No file ends in a traceback."""
    with suppress(ConfigError):
        assert isinstance(decode_toml(text, Tree, "t.toml"), Tree)
