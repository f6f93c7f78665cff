"""Advice as text for people and as the objects of `advise --json`. Pure."""

from typing import Any

from agent.advice.advise import Advice
from agent.advice.finding import Finding, Language

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


def undecided_as_json(advice: Advice) -> list[dict[str, Any]]:
    """Rules that could not be decided, in the shape of findings of severity "unknown"."""
    return [
        {"id": each.rule, "severity": "unknown", "node": advice.node, "title": each.missing, "evidence": [],
         "change": None, "undo": None, "source": None}
        for each in advice.undecided
    ]  # fmt: skip


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
