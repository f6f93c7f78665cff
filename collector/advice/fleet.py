"""All advice for a fleet: every node's own rules, and what only the whole fleet shows, settled together. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from agent.advice.advise import Advice, advise
from agent.advice.evidence import Evidence, PathEvidence
from agent.advice.finding import WORST_FIRST, Finding, Severity
from collector.advice.drift import Comparison, Member, compare, siblings_of
from collector.advice.fleet_findings import drift_finding, hub_finding, relay_findings
from collector.advice.health import best_rate, slower_than, symptoms_of
from collector.advice.likelihood import Symptom
from collector.advice.overlay_cost import overlay_findings
from collector.advice.relay import hubs, matrix_of, relays
from collector.fleet import Fleet

LEAST_P99_SAMPLES = 100
"""Of fewer the P99 is the largest."""
LEAST_STAR_NODES = 4


def advise_fleet(
    fleet: Fleet, evidence: Mapping[str, Evidence], effects: Iterable[Finding] = ()
) -> list[Advice]:
    """Advice for each node that has sent anything, in order of name. effects: findings on changes of the past."""
    own: dict[str, list[Finding]] = {}
    for finding in (*effects, *_fleet_findings(fleet, evidence)):
        own.setdefault(finding.node, []).append(finding)
    advices = []
    for node, known in sorted(evidence.items()):
        if known.facts or known.paths or known.kernel or node in own:
            advices.append(advise(known, also=own.get(node, ())))
    return advices


def findings_of(advices: Iterable[Advice]) -> list[Finding]:
    """All findings of all nodes, gravest first."""
    found = [finding for advice in advices for finding in advice.findings]
    return sorted(found, key=lambda each: (WORST_FIRST.index(each.severity), each.node, each.id))


def remarks_of(findings: Iterable[Finding]) -> dict[str, list[str]]:
    """Rule → the nodes that it has a mere remark on, in order of rule and node."""
    found: dict[str, list[str]] = {}
    for finding in findings:
        if finding.severity is Severity.INFO:
            found.setdefault(finding.id, []).append(finding.node)
    return {rule: sorted(nodes) for rule, nodes in sorted(found.items())}


def comparison_of(fleet: Fleet, evidence: Mapping[str, Evidence], node: str) -> Comparison:
    """A node against its siblings by the symptoms that were measured. Raises KeyError for an unknown node."""
    members = members_of(fleet, evidence)
    return compare(node, members, _symptoms(node, members, evidence))


def members_of(fleet: Fleet, evidence: Mapping[str, Evidence]) -> list[Member]:
    """Every node as drift compares it; its measured figures count as facts of it."""
    members = []
    for name, node in fleet.nodes.items():
        own = evidence[name]
        symptoms = symptoms_of(own)
        facts = {fact.name: fact.value for fact in own.facts.values()}
        members.append(
            Member(
                name,
                node.provider,
                node.role,
                node.image,
                facts | _measured_facts(own) if facts else {},
                None if symptoms is None else not symptoms,
            )
        )
    return members


def _measured_facts(own: Evidence) -> dict[str, object]:
    """What was measured that explains as a fact does: stolen time in tenths, the narrowest path."""
    found: dict[str, object] = {}
    if own.kernel is not None and "steal_ratio" in own.kernel.gauges:
        found["measured.steal_ratio"] = round(own.kernel.gauges["steal_ratio"], 1)
    mtus = [path.path_mtu_bytes for path in own.paths if path.path_mtu_bytes is not None]
    if mtus:
        found["measured.path_mtu_bytes"] = max(mtus)
    holes = [path.black_hole for path in own.paths if path.black_hole is not None]
    if holes:
        found["measured.black_hole"] = all(holes)
    return found


def _symptoms(node: str, members: Iterable[Member], evidence: Mapping[str, Evidence]) -> frozenset[Symptom]:
    found = symptoms_of(evidence[node]) or frozenset()
    if best_rate(evidence[node]) is None:
        return found
    by_name = {member.node: member for member in members}
    own = by_name.pop(node)
    _, siblings = siblings_of(own, by_name.values())
    if slower_than(evidence[node], (evidence[sibling.node] for sibling in siblings)):
        return found | {Symptom.THROUGHPUT}
    return found


def _fleet_findings(fleet: Fleet, evidence: Mapping[str, Evidence]) -> list[Finding]:
    overlay_of = {name: node.overlay_of for name, node in fleet.nodes.items() if node.overlay_of is not None}
    return [
        *_drift_findings(fleet, evidence),
        *_way_findings(fleet, evidence),
        *overlay_findings(evidence.values(), overlay_of),
    ]


def _drift_findings(fleet: Fleet, evidence: Mapping[str, Evidence]) -> list[Finding]:
    """Of nodes with a symptom that their siblings do not have."""
    members = members_of(fleet, evidence)
    found = []
    for member in members:
        symptoms = _symptoms(member.node, members, evidence)
        if not symptoms:
            continue
        others = [replace(other, facts={}) if other.healthy is False else other for other in members]
        mine = [member if other.node == member.node else other for other in others]
        found.append(drift_finding(compare(member.node, mine, symptoms)))
    return [finding for finding in found if finding is not None]


def _way_findings(fleet: Fleet, evidence: Mapping[str, Evidence]) -> list[Finding]:
    """Relays of every path, and the hub of every star; of a mesh the hub that it would have. Between servers only."""
    servers = set(fleet.agents)
    matrix = matrix_of(
        {
            pair: path.p99_ns / 1e9
            for pair, path in paths_of(evidence.values()).items()
            if path.p99_ns is not None and path.samples >= LEAST_P99_SAMPLES and set(pair) <= servers
        }
    )
    found = relay_findings(relays(matrix), _prices(fleet), _addresses(fleet))
    stars = [group for group in fleet.document.groups if group.shape == "star"]
    for star in stars:
        spokes = [node for node in star.nodes or tuple(fleet.nodes) if node in matrix.nodes]
        found += _present(hub_finding(hubs(matrix, spokes), star.hub))
    if not stars and len(matrix.nodes) >= LEAST_STAR_NODES:
        found += _present(hub_finding(hubs(matrix), None))
    return found


def _present(finding: Finding | None) -> list[Finding]:
    return [] if finding is None else [finding]


def _prices(fleet: Fleet) -> dict[str, str]:
    """What a gigabyte sent costs at each node, where its provider states a price."""
    return {
        name: f"{provider.price_per_gigabyte:g} {provider.currency}/GB"
        for name, node in fleet.nodes.items()
        if (provider := fleet.providers[node.provider]).price_per_gigabyte is not None
    }


def _addresses(fleet: Fleet) -> dict[str, str]:
    return {name: node.ipv4 or f"[{node.ipv6}]" for name, node in fleet.nodes.items()}


def paths_of(evidence: Iterable[Evidence]) -> dict[tuple[str, str], PathEvidence]:
    """(source, destination) → the family that has most samples."""
    found: dict[tuple[str, str], PathEvidence] = {}
    for own in evidence:
        for path in own.paths:
            pair = (own.node, path.destination)
            if pair not in found or path.samples > found[pair].samples:
                found[pair] = path
    return found
