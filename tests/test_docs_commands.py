"""Every block of code in README and docs/ says by its info string what becomes of it (CONTRIBUTING.md has the convention)."""

import argparse
import re
import tomllib

import pytest

from agent.cli import _parser as agent_parser
from agent.config import Config
from agent.wire.settings import decode_toml
from collector.cli import COMMANDS
from collector.cli import _parser as collector_parser
from collector.config import parse_config
from collector.fleet import parse_fleet
from docs_blocks import PAGES, ROOT, blocks_of, indented_code_of

RUNNABLE = {"sh", "bash", "shell", "console", "python"}
TOML = {
    "agent.toml": lambda text, where: decode_toml(text, Config, where),
    "collector.toml": parse_config,
    "fleet.toml": parse_fleet,
}
NO_COMMANDS = {"text", "toml", "yaml", "json", "promql", "ini", "mermaid"}
COMMAND = re.compile(r"(lightfloor-(?:agent|collector))((?:[ \t]+[^\s`|;&#()]+)*)")


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_what_becomes_of_it(page):
    """```sh run is run by a test, ```sh not run: REASON is not; a block of another kind names its language."""
    for block in blocks_of(page):
        assert block.language in RUNNABLE | NO_COMMANDS, f"{block}: which language? {block.language!r}"
        if block.language in RUNNABLE:
            assert block.is_run or block.reason, f"{block}: mark it `run` or `not run: REASON`"
            assert block.language == "sh" or not block.is_run, f"{block}: only sh is run"
        if block.language == "toml":
            assert block.marking in TOML or block.reason, (
                f"{block}: toml is marked {', '.join(TOML)} or not run:"
            )
    assert indented_code_of(page) == [], "a fence can say whether it is run, indentation cannot"


@pytest.mark.parametrize("page", PAGES)
def test_configuration_in_the_text_is_right(page):
    """A block of TOML is taken by the program that it is for."""
    for block in blocks_of(page):
        if block.marking in TOML:
            tomllib.loads(block.text)
            TOML[block.marking](block.text, str(block))


@pytest.mark.parametrize("page", PAGES)
def test_every_command_in_the_text_exists_with_its_options(page):
    """Also one inside a sentence: no command or flag in the text is misspelt or gone."""
    for number, line in enumerate((ROOT / page).read_text().splitlines(), 1):
        for program, rest in COMMAND.findall(line):
            words = rest.split()
            if not words or not re.fullmatch(r"[a-z][a-z-]+", words[0]) or words[0].startswith("lightfloor"):
                continue
            where = f"{page}:{number}: {program} {words[0]}"
            assert (
                (words[0] in COMMANDS) if program.endswith("collector") else (words[0] in agent_commands())
            ), where
            known = options(program, words)
            for word in words[1:]:
                if re.match(r"--?[a-z]", word):
                    assert word.partition("=")[0].rstrip(".,:") in known, f"{where} has no {word}"


def subcommands(parser):
    return next(
        (action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)), {}
    )


def agent_commands():
    return subcommands(agent_parser())


def options(program, words):
    """Every flag that this command takes; of `probe` those of its kind, of all kinds where none is named."""
    parser = agent_parser() if program.endswith("agent") else collector_parser(words)
    parser = subcommands(parser)[words[0]]
    kinds = subcommands(parser)
    parsers = [parser]
    if kinds:
        parsers += [kinds[words[1]]] if len(words) > 1 and words[1] in kinds else kinds.values()
    return {flag for each in parsers for action in each._actions for flag in action.option_strings}
