"""All rules over one node's evidence: findings, gravest first, and what could not be decided."""

from collections.abc import Iterable
from dataclasses import dataclass

from agent.advice.conflicts import settle
from agent.advice.evidence import Evidence, NotKnown
from agent.advice.finding import WORST_FIRST, Finding
from agent.advice.guards import guard
from agent.advice.rule import Rule, finding
from agent.advice.rules import RULES


@dataclass(frozen=True, slots=True)
class Undecided:
    """A rule that the evidence could not decide, and what was missing."""

    rule: str
    missing: str


@dataclass(frozen=True, slots=True)
class Advice:
    """What all rules say of one node. A rule in neither list found all well."""

    node: str
    findings: tuple[Finding, ...]
    undecided: tuple[Undecided, ...]


def advise(evidence: Evidence, rules: Iterable[Rule] = RULES, also: Iterable[Finding] = ()) -> Advice:
    """Every rule's outcome on this evidence, guarded and settled. Pure: the same evidence gives the same advice.

    also: findings on the node that come from elsewhere (the fleet's view), settled with the rules'; of equally grave ones
    their values stand.
    """
    findings = [guard(each, evidence) for each in also]
    undecided: list[Undecided] = []
    for rule in rules:
        try:
            found = rule.check(evidence)
        except NotKnown as error:
            undecided.append(Undecided(rule.id, str(error)))
            continue
        if found is not None:
            findings.append(guard(finding(evidence.node, rule, found), evidence))
    settled = sorted(settle(findings), key=lambda each: WORST_FIRST.index(each.severity))
    return Advice(evidence.node, tuple(settled), tuple(undecided))
