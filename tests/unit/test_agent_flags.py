"""Each option of a probe is a flag of its command, declared once."""

import argparse
from typing import Annotated

import msgspec
import pytest

from agent.flags import probe_flags
from agent.probes import PROBES
from agent.wire.settings import convert


class Options(msgspec.Struct, forbid_unknown_fields=True):
    source_address: Annotated[str | None, msgspec.Meta(description="where from")] = None
    size_bytes: int = 64
    waits: tuple[int, ...] = (1,)
    fast: Annotated[bool, msgspec.Meta(description="no waiting")] = False


def parsed(options, argv):
    """What a command line makes of the flags, as the options themselves."""
    parser = argparse.ArgumentParser()
    for flag in probe_flags(options):
        parser.add_argument(flag.flag, dest=flag.name, help=flag.help, **flag.arguments)
    given = {name: value for name, value in vars(parser.parse_args(argv)).items() if value is not None}
    return convert(given, options, "probe", strict=False)


def test_flags_become_options():
    """Values are checked by the options' own types; a boolean takes none; what is not given keeps its default."""
    assert parsed(Options, []) == Options()
    argv = ["--source-address", "192.0.2.1", "--size-bytes", "1400", "--fast", "--waits", "5", "--waits", "8"]
    assert parsed(Options, argv) == Options("192.0.2.1", 1400, (5, 8), fast=True)


def test_flags_carry_their_description():
    """The help is the option's own description."""
    assert {flag.flag: flag.help for flag in probe_flags(Options)} == {
        "--source-address": "where from",
        "--size-bytes": "",
        "--waits": "",
        "--fast": "no waiting",
    }


@pytest.mark.parametrize("kind", PROBES)
def test_every_probe_takes_its_defaults_from_an_empty_command_line(kind):
    """No probe needs an option, every option is described, and options can key a burst."""
    options = PROBES[kind].options
    assert parsed(options, []) == options()
    assert all(flag.help for flag in probe_flags(options))
    hash(options())


def test_only_structs_have_flags():
    """A mistake in the table of probes is found at once."""
    with pytest.raises(TypeError):
        probe_flags(dict)
