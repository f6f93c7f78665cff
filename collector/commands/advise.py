"""`advise`: what is wrong on the fleet's nodes and paths, what to change, and why. Reads the store only."""

import argparse
import sqlite3
import time
from pathlib import Path

import msgspec

from agent.advice.advise import Advice
from agent.advice.apply import files_to_apply
from agent.advice.finding import LANGUAGES, Finding, Language, Severity
from agent.advice.text import as_text, undecided_as_json
from collector.advice.causes import named
from collector.advice.diagnosis import Story
from collector.advice.drift import Comparison
from collector.advice.fleet import comparison_of, findings_of, remarks_of
from collector.advising import FleetAdvice, advice_of_period, findings_on_changes
from collector.commands import CommandError, add_config_argument
from collector.commands.sla import add_period_arguments
from collector.config import read_config
from collector.fleet import Fleet, read_fleet
from collector.node_evidence import evidence_of_nodes
from collector.period import parse_period, utc
from collector.store.schema import DAY_S, StoreError, open_reader
from collector.store.tiers import Period
from collector.text_table import aligned

MOST_DIFFERENCES_SHOWN = 20
MOST_CAUSES_SHOWN = 5
MOST_NODES_SHOWN = 5
LATENT = {"en": "nothing measured yet, a setting", "zh": "尚未测得影响，仅为配置"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("--node", metavar="NODE", help="of this node only, in full")
    parser.add_argument(
        "--write",
        type=Path,
        metavar="DIR",
        help="with --node: write a sysctl.d file, a shell script and an Ansible playbook there",
    )
    parser.add_argument(
        "--compare", metavar="NODE", help="in which facts this node differs from its healthy siblings"
    )
    parser.add_argument(
        "--diagnose",
        action="store_true",
        help="the stories that findings tell together: likely causes, what speaks for and against each",
    )
    parser.add_argument(
        "--lang", dest="language", choices=LANGUAGES, default="en", help="default %(default)s"
    )
    add_period_arguments(parser, days=1)
    parser.add_argument(
        "--undecided", action="store_true", help="with --json: also the rules that could not be decided"
    )
    parser.add_argument("--json", action="store_true", help="a list of findings; with --compare one object")
    add_config_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints findings, gravest first. Raises ConfigError, CommandError."""
    now_s = int(time.time())
    try:
        period = parse_period(arguments.start, arguments.end, now_s, DAY_S)
    except ValueError as error:
        raise CommandError(str(error)) from error
    if arguments.write is not None and arguments.node is None:
        raise CommandError("--write needs --node NODE: the files are of one node")
    config = read_config(arguments.config)
    fleet = read_fleet(Path(config.fleet.path))
    for option in ("node", "compare"):
        name = getattr(arguments, option)
        if name is not None and name not in fleet.nodes:
            raise CommandError(f"--{option} {name}: no node of {config.fleet.path} has this name")
    try:
        connection = open_reader(Path(config.store.path))
        _answer(arguments, connection, fleet, period, now_s)
        connection.close()
    except (StoreError, sqlite3.Error, OSError) as error:
        raise CommandError(str(error)) from error
    return 0


def _answer(
    arguments: argparse.Namespace, connection: sqlite3.Connection, fleet: Fleet, period: Period, now_s: int
) -> None:
    language: Language = arguments.language
    if arguments.compare is not None:
        found = comparison_of(fleet, evidence_of_nodes(connection, fleet, period), arguments.compare)
        print(msgspec.json.encode(found).decode() if arguments.json else _comparison(found, language))
        return
    effects = list(findings_on_changes(connection, fleet, now_s))
    advice = advice_of_period(connection, fleet, period, effects)
    if arguments.write is not None:
        _write(advice, arguments.node, arguments.write)
    if arguments.diagnose:
        stories = [story for story in advice.stories if arguments.node in (None, story.node)]
        print(msgspec.json.encode(stories).decode() if arguments.json else _stories(stories, language))
        return
    findings = [finding for finding in findings_of(advice.nodes) if arguments.node in (None, finding.node)]
    if arguments.json:
        rows = [finding.as_json(language) for finding in findings]
        asked = (
            [own for own in advice.nodes if arguments.node in (None, own.node)] if arguments.undecided else []
        )
        rows += [row for own in asked for row in undecided_as_json(own)]
        print(msgspec.json.encode(rows).decode())
    elif arguments.node is None:
        print(_overview(advice, findings, language))
    else:
        print(_in_full(advice, arguments.node, language))


def _overview(advice: FleetAdvice, findings: list[Finding], language: Language) -> str:
    said = f"{utc(advice.period.start_s)} to {utc(advice.period.end_s)}, {len(advice.nodes)} nodes"
    if not advice.nodes:
        return f"{said}: no node has sent anything"
    if not findings:
        return f"{said}: nothing found"
    grave = [each for each in findings if each.severity is not Severity.INFO]
    rows = [(each.severity.value, each.node, each.id, each.words[language].title) for each in grave]
    parts = (
        [said, aligned(("severity", "node", "rule", "finding"), rows)] if rows else [f"{said}: no warning"]
    )
    parts += [
        f"remark {rule}: {', '.join(nodes[:MOST_NODES_SHOWN])}{_more(nodes)}"
        for rule, nodes in remarks_of(findings).items()
    ]
    parts.append(
        "--node NODE shows one in full; after a change, `effect --node NODE --at TIME` tells whether it helped"
    )
    return "\n".join(parts)


def _more(nodes: list[str]) -> str:
    left = len(nodes) - MOST_NODES_SHOWN
    return f" and {left} more" if left > 0 else ""


def _in_full(advice: FleetAdvice, node: str, language: Language) -> str:
    own = next((each for each in advice.nodes if each.node == node), None)
    return f"{node}: it has sent nothing" if own is None else as_text(own, language, undecided=True)


def _stories(stories: list[Story], language: Language) -> str:
    return "\n\n".join(_story(story, language) for story in stories) or "nothing to explain"


def _story(story: Story, language: Language) -> str:
    complaints = ", ".join(named(complaint, language) for complaint in story.complaints)
    lines = [f"{story.node}: {complaints or LATENT[language]}"]
    for number, cause in enumerate(story.causes[:MOST_CAUSES_SHOWN], 1):
        lines.append(f"  {number}. {cause.cause} ({cause.score:.1f}): {getattr(cause.title, language)}")
        for mark, sentences in (("+", cause.supporting), ("-", cause.opposing), ("?", cause.unknown)):
            lines += [f"     {mark} {getattr(sentence, language)}" for sentence in sentences]
    if story.next_measurement is not None:
        lines.append(f"  next: {story.next_measurement}")
    return "\n".join(lines)


def _write(advice: FleetAdvice, node: str, folder: Path) -> None:
    """The files to apply, into a folder that is made if need be. Raises OSError."""
    own = next((each for each in advice.nodes if each.node == node), Advice(node, (), ()))
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files_to_apply(own).items():
        aside = folder / f".{name}.tmp"
        aside.write_text(text)
        aside.chmod(0o755 if name.endswith(".sh") else 0o644)
        aside.replace(folder / name)


def _comparison(found: Comparison, language: Language) -> str:
    if found.reason is not None:
        return f"{found.node}: {found.reason}"
    symptoms = ", ".join(found.symptoms) or "no symptom measured"
    said = f"{found.node} ({symptoms}) against {len(found.siblings)} siblings of {found.basis}: {', '.join(found.siblings)}"
    lines = [said]
    if found.differences:
        rows = [
            (
                each.score,
                each.fact,
                each.here,
                f"{each.there} ({each.like_there}/{each.siblings})",
                getattr(each, f"why_{language}"),
            )
            for each in found.differences[:MOST_DIFFERENCES_SHOWN]
        ]
        lines.append(aligned(("score", "fact", "here", "siblings", "why"), rows))
        more = len(found.differences) - MOST_DIFFERENCES_SHOWN
        lines += [f"and {more} more; --json lists all"] if more > 0 else []
    else:
        lines.append("it differs in nothing that both know")
    if found.unknown:
        lines.append(f"not readable here: {', '.join(found.unknown)}")
    return "\n".join(lines)
