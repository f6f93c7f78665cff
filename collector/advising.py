"""Advice from the store: evidence of every node, effects of recent changes, and all rules over them.

The command `advise`, the API, the page and /metrics all show what advice_of_period returns.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from agent.advice.advise import Advice
from agent.advice.finding import Finding
from collector.advice.diagnosis import Story, diagnose
from collector.advice.effect import LEAST_HOURS_AFTER
from collector.advice.fleet import advise_fleet
from collector.advice.fleet_findings import effect_finding
from collector.effects import AFTER_SECONDS, effect_of_change, recent_changes
from collector.fleet import Fleet
from collector.node_evidence import evidence_of_nodes
from collector.store.schema import HOUR_S
from collector.store.tiers import Period

MOST_CHANGES = 20
"""Latest changes whose effect is looked at: each reads hours of a hundred paths."""


@dataclass(frozen=True, slots=True)
class FleetAdvice:
    """Every node's advice over a period, and the stories that its findings tell together, the gravest first."""

    period: Period
    nodes: tuple[Advice, ...]
    stories: tuple[Story, ...]


def advice_of_period(
    connection: sqlite3.Connection, fleet: Fleet, period: Period, effects: Iterable[Finding]
) -> FleetAdvice:
    """Everything that is advised now by what was measured in the period. effects: of findings_on_changes.

    Raises sqlite3.Error.
    """
    evidence = evidence_of_nodes(connection, fleet, period)
    nodes = tuple(advise_fleet(fleet, evidence, effects))
    stories = [story for each in nodes for story in diagnose(evidence[each.node], each.findings)]
    stories.sort(key=lambda story: -story.causes[0].score)
    return FleetAdvice(period, nodes, tuple(stories))


def findings_on_changes(connection: sqlite3.Connection, fleet: Fleet, now_s: int) -> Iterator[Finding]:
    """Changes of facts that are old enough to be judged and young enough to be undone; of each node the latest.

    An earlier change of the same node is what the later one is judged against. Raises sqlite3.Error.
    """
    window = Period(max(0, now_s - AFTER_SECONDS), now_s - LEAST_HOURS_AFTER * HOUR_S)
    if window.start_s >= window.end_s:
        return
    latest = {node: at_s for node, at_s in recent_changes(connection, window) if node in fleet.nodes}
    newest = sorted(latest.items(), key=lambda change: change[1], reverse=True)
    for node, at_s in newest[:MOST_CHANGES]:
        found = effect_of_change(connection, fleet, node, at_s, now_s)
        changed = [(fact.name, fact.before, fact.after) for fact in found.changed]
        finding = effect_finding(node, found.at, found.outcome, changed, found.effects)
        if finding is not None:
            yield finding
