"""`lightfloor-agent advise`: this host's or a captured tree's findings, without any collector."""

import argparse
import time
from pathlib import Path
from typing import Any

from agent.advice.advise import Advice, advise
from agent.advice.apply import files_to_apply
from agent.advice.finding import Finding, Language
from agent.own_evidence import own_evidence
from agent.wire.settings import ConfigError

LABELS: dict[Language, dict[str, str]] = {
    "en": {
        "evidence": "seen", "why": "why", "change": "change", "persistent": "persist", "undo": "undo",
        "expected_effect": "effect", "risk": "risk", "do_not_apply_if": "not if", "notes": "note", "source": "source",
        "none": "Nothing found.", "undecided": "Could not be decided", "details": "--undecided lists them",
    },
    "zh": {
        "evidence": "依据", "why": "原因", "change": "修改", "persistent": "持久化", "undo": "撤销",
        "expected_effect": "效果", "risk": "风险", "do_not_apply_if": "不适用", "notes": "备注", "source": "来源",
        "none": "未发现问题。", "undecided": "无法判断的规则", "details": "用 --undecided 列出",
    },
}  # fmt: skip


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


def undecided_as_json(advice: Advice) -> list[dict[str, Any]]:
    """Rules that could not be decided, in the shape of findings of severity "unknown"."""
    return [
        {"id": each.rule, "severity": "unknown", "node": advice.node, "title": each.missing, "evidence": [],
         "change": None, "undo": None, "source": None}
        for each in advice.undecided
    ]  # fmt: skip


def write_files(advice: Advice, folder: Path) -> None:
    """The files to apply, into a folder that is made if need be. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files_to_apply(advice).items():
        aside = folder / f".{name}.tmp"
        aside.write_text(text)
        aside.chmod(0o755 if name.endswith(".sh") else 0o644)
        aside.replace(folder / name)


def as_text(advice: Advice, language: Language, *, undecided: bool = False) -> str:
    """For people: each finding with everything it carries, gravest first."""
    labels = LABELS[language]
    blocks = [_block(finding, language) for finding in advice.findings] or [labels["none"]]
    if advice.undecided:
        head = f"{labels['undecided']}: {len(advice.undecided)}"
        lines = [f"  {each.rule}: {each.missing}" for each in advice.undecided]
        blocks.append("\n".join([head, *lines]) if undecided else f"{head} ({labels['details']})")
    return "\n\n".join(blocks)


def _block(finding: Finding, language: Language) -> str:
    shown, labels = finding.as_json(language), LABELS[language]
    lines = [f"{finding.severity.upper()}  {finding.id}  {shown['title']}"]
    lines += [f"  {labels['evidence']}: {o.name} = {o.value}  ({o.source})" for o in finding.evidence[:8]]
    for key in ("why", "change", "persistent", "undo", "expected_effect", "risk", "do_not_apply_if"):
        lines += _labelled(labels[key], shown[key])
    for note in shown["notes"]:
        lines += _labelled(labels["notes"], note)
    lines += _labelled(labels["source"], shown["source"])
    return "\n".join(lines)


def _labelled(label: str, text: str | None) -> list[str]:
    return [f"  {label}: {line}" for line in (text or "").splitlines()]
