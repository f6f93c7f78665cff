"""What every rule is: an id, a check, and the words that the check fills with figures."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agent.advice.evidence import Evidence
from agent.advice.finding import Confidence, Finding, Observed, Severity, Step, Words


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What is known of one rule whatever the host: words with {placeholders} in both languages, and where it comes from.

    further: application-level reading that belongs to it, which no network agent can observe.
    """

    en: Words
    zh: Words
    source: str
    further: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """What a check saw, before words: figures fill the placeholders of its knowledge."""

    severity: Severity
    confidence: Confidence
    evidence: tuple[Observed, ...]
    figures: Mapping[str, object]
    steps: tuple[Step, ...] = ()
    subjects: tuple[str, ...] = ()
    figures_zh: Mapping[str, object] | None = None
    """Those figures that are words, in Chinese."""


Check = Callable[[Evidence], Found | None]
"""None where all is well. Raises NotKnown where the evidence does not tell."""


@dataclass(frozen=True, slots=True)
class Rule:
    """id as findings carry it. preference: an improvement, so that an administrator's own setting is not called wrong."""

    id: str
    check: Check
    knowledge: Knowledge
    preference: bool = False


def finding(node: str, rule: Rule, found: Found) -> Finding:
    """The finding in words. Raises KeyError when a check forgot a figure."""
    return worded(node, rule.id, rule.knowledge, found, preference=rule.preference)


def worded(
    node: str, rule_id: str, knowledge: Knowledge, found: Found, *, preference: bool = False
) -> Finding:
    """The same for a finding of no host's rule: what only the whole fleet shows. Raises KeyError likewise."""
    chinese = {**found.figures, **(found.figures_zh or {})}
    return Finding(
        id=rule_id,
        node=node,
        severity=found.severity,
        confidence=found.confidence,
        evidence=found.evidence,
        words={"en": _filled(knowledge.en, found.figures), "zh": _filled(knowledge.zh, chinese)},
        steps=found.steps,
        source=knowledge.source,
        further=knowledge.further,
        preference=preference,
        subjects=tuple(dict.fromkeys(found.subjects)),
    )


def _filled(words: Words, figures: Mapping[str, object]) -> Words:
    return Words(
        *(
            getattr(words, part).format_map(figures)
            for part in ("title", "what", "why", "effect", "risk", "unless")
        )
    )
