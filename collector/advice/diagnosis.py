"""One cause that shows in several findings is one story: what is wrong, the likely causes, and what would decide. Pure.

A cause's score is how grave and sure its finding is, plus how well it explains each complaint that was measured, plus
what the signs say. The cause with the highest score tells the first story, with every other cause of the same complaints
as its rivals; what is left unexplained goes to the next.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from agent.advice.evidence import Evidence
from agent.advice.finding import Confidence, Finding, Severity
from collector.advice.causes import CAUSES, COMPLAINTS, WORDS_OF_THE_WAY, Cause, Complaint

GRAVITY = {Severity.CRITICAL: 3.0, Severity.WARNING: 2.0, Severity.INFO: 0.5}
SURENESS = {Confidence.HIGH: 1.0, Confidence.MEDIUM: 0.8, Confidence.LOW: 0.5}
EXPLAINING = 1.5
"""What explaining one complaint fully adds: less than a step of gravity and more than a sign."""
LEAST_LINK = 0.3
"""A weaker link between cause and complaint is no explanation."""
CLEAR_LEAD = 1.0
"""A first cause that leads by so much needs no further measurement."""


class Sentence(msgspec.Struct, frozen=True):
    """One clause in both languages."""

    en: str
    zh: str


class Suspect(msgspec.Struct, frozen=True):
    """One cause of a story. supporting, opposing: signs that speak for and against it; unknown: not measured.

    measurement: what would confirm or clear it.
    """

    cause: str
    score: float
    title: Sentence
    explains: tuple[Complaint, ...]
    supporting: tuple[Sentence, ...]
    opposing: tuple[Sentence, ...]
    unknown: tuple[Sentence, ...]
    measurement: str


class Story(msgspec.Struct, frozen=True):
    """What is wrong on a node (complaints; empty: nothing measured yet, but a setting is), and the causes, likeliest first.

    findings: the ids of all findings that this one story explains. next_measurement: the one that decides between
    the first two causes; None where the first leads clearly or has no rival.
    """

    node: str
    complaints: tuple[Complaint, ...]
    causes: tuple[Suspect, ...]
    findings: tuple[str, ...]
    next_measurement: str | None


def diagnose(own: Evidence, findings: Sequence[Finding]) -> list[Story]:
    """The stories of one node, the gravest first; [] where nothing is wrong."""
    by_id = {finding.id: finding for finding in findings}
    complaints = complaints_of(by_id)
    ranked = suspects_of(own, by_id, complaints)
    stories: list[Story] = []
    left, told = set(complaints), set[str]()
    for suspect in ranked:
        explained = left & set(suspect.explains)
        finding = by_id.get(suspect.cause)
        latent = finding is not None and finding.severity is not Severity.INFO and suspect.cause not in told
        if not explained and not latent:
            continue
        rivals = [other for other in ranked if explained & set(other.explains)] if explained else [suspect]
        story = _story(own.node, explained, suspect, rivals, by_id)
        stories.append(story)
        left -= explained
        told |= {each.cause for each in story.causes}
    return stories


def complaints_of(findings: Mapping[str, Finding]) -> frozenset[Complaint]:
    """What the findings that are warnings or worse show to be wrong."""
    return frozenset(
        COMPLAINTS[each.id]
        for each in findings.values()
        if each.id in COMPLAINTS and each.severity is not Severity.INFO
    )


def suspects_of(
    own: Evidence, findings: Mapping[str, Finding], complaints: Iterable[Complaint]
) -> list[Suspect]:
    """Every cause that has its finding, or a yes to its question, the likeliest first."""
    wanted = frozenset(complaints)
    found = [
        suspect
        for cause in CAUSES
        if (suspect := _suspect(own, cause, findings.get(cause.id), wanted)) is not None
    ]
    return sorted(found, key=lambda suspect: (-suspect.score, suspect.cause))


def _suspect(
    own: Evidence, cause: Cause, finding: Finding | None, complaints: frozenset[Complaint]
) -> Suspect | None:
    explained = {complaint: link for complaint, link in cause.explains.items() if complaint in complaints}
    if finding is not None:
        base = GRAVITY[finding.severity] * SURENESS[finding.confidence]
        title = Sentence(finding.words["en"].title, finding.words["zh"].title)
    elif cause.question is not None and explained and cause.question(own):
        base, title = cause.base, Sentence(*WORDS_OF_THE_WAY[cause.id])
    else:
        return None
    supporting: list[Sentence] = []
    opposing: list[Sentence] = []
    unknown: list[Sentence] = []
    weight = 0.0
    for sign in (sign for sign in cause.signs if sign.about & explained.keys()):
        sentence, answer = Sentence(sign.en, sign.zh), sign.question(own)
        if answer is None:
            unknown.append(sentence)
        elif answer:
            (supporting if sign.weight > 0 else opposing).append(sentence)
            weight += sign.weight
    score = base + EXPLAINING * sum(explained.values()) + weight
    return Suspect(
        cause.id,
        round(score, 3),
        title,
        tuple(sorted(complaint for complaint, link in explained.items() if link >= LEAST_LINK)),
        tuple(supporting),
        tuple(opposing),
        tuple(unknown),
        _measurement(own, cause, finding),
    )


def _measurement(own: Evidence, cause: Cause, finding: Finding | None) -> str:
    """With the node's and the first concerned peer's names in it."""
    peers = {path.destination: path.address or path.destination for path in own.paths}
    concerned = [peers[name] for name in (finding.subjects if finding else ()) if name in peers]
    interface = next((name for name in (finding.subjects if finding else ()) if name not in peers), "eth0")
    peer = (concerned or list(peers.values()) or ["PEER"])[0]
    return cause.measurement.format(node=own.node, peer=peer, interface=interface)


def _story(
    node: str,
    explained: set[Complaint],
    first: Suspect,
    rivals: Sequence[Suspect],
    findings: Mapping[str, Finding],
) -> Story:
    causes = (first, *(rival for rival in rivals if rival.cause != first.cause))
    concerned = {
        each.id
        for each in findings.values()
        if COMPLAINTS.get(each.id) in explained or each.id in {cause.cause for cause in causes}
    }
    open_question = len(causes) > 1 and first.score - causes[1].score < CLEAR_LEAD
    deciding = next((cause for cause in causes[:2] if cause.unknown), first)
    return Story(
        node,
        tuple(sorted(explained)),
        causes,
        tuple(sorted(concerned)),
        deciding.measurement if open_question else None,
    )
