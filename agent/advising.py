"""`lightfloor-agent advise`: this host's or a captured tree's findings, without any collector."""

import argparse
import time
from pathlib import Path
from typing import Any

from agent.advice.advise import Advice, advise
from agent.advice.apply import files_to_apply
from agent.advice.text import as_text, undecided_as_json
from agent.own_evidence import own_evidence
from agent.wire.settings import ConfigError


def run(arguments: argparse.Namespace, spool: Path | None) -> Any:
    """What to print: a list for JSON, else text. Raises ConfigError for a root that is no folder."""
    root = Path(arguments.root)
    try:
        evidence = own_evidence(root, int(time.time()), spool)
    except NotADirectoryError as error:
        raise ConfigError(
            arguments.root, "", "is no folder; expected one with proc, sys and etc in it"
        ) from error
    advice = advise(evidence)
    if arguments.write is not None:
        write_files(advice, Path(arguments.write))
    if arguments.json:
        return [finding.as_json(arguments.lang) for finding in advice.findings] + (
            undecided_as_json(advice) if arguments.undecided else []
        )
    return as_text(advice, arguments.lang, undecided=arguments.undecided)


def write_files(advice: Advice, folder: Path) -> None:
    """The files to apply, into a folder that is made if need be. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files_to_apply(advice).items():
        aside = folder / f".{name}.tmp"
        aside.write_text(text)
        aside.chmod(0o755 if name.endswith(".sh") else 0o644)
        aside.replace(folder / name)
