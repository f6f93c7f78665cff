"""Whether a node's paths are as they should be, and what is wrong with them: what makes a sibling healthy. Pure."""

from collections.abc import Callable, Iterable
from statistics import median

from agent.advice.evidence import Evidence, PathEvidence
from collector.advice.likelihood import Symptom

MOST_PATHS = 0.5
"""What is wrong on more than half of a node's judged paths is the node's, not its peers'."""
ENOUGH_SAMPLES = 299
"""The least number of samples of which none above a limit proves P99 below it at 95%."""
LOSSY_RATIO, RETRANSMITTING_RATIO = 0.01, 0.05
SLOW_SHARE = 0.5
"""Of its siblings' median rate."""


def symptoms_of(own: Evidence) -> frozenset[Symptom] | None:
    """What is wrong on more than half of the paths from this node; empty: nothing; None: nothing could be judged."""
    found, judged = set(), False
    for symptom, is_wrong in _CHECKS:
        answers = [answer for path in own.paths if (answer := is_wrong(path)) is not None]
        judged = judged or bool(answers)
        if answers and sum(answers) > MOST_PATHS * len(answers):
            found.add(symptom)
    return frozenset(found) if judged else None


def slower_than(own: Evidence, siblings: Iterable[Evidence]) -> bool:
    """Whether this node's best known rate is less than half of its siblings' median."""
    theirs = [rate for sibling in siblings if (rate := best_rate(sibling)) is not None]
    mine = best_rate(own)
    return mine is not None and bool(theirs) and mine < SLOW_SHARE * median(theirs)


def best_rate(evidence: Evidence) -> float | None:
    """Of any path from the node, by bandwidth tests only: what the kernel saw is whatever traffic there was."""
    rates = [path.throughput_bits_per_second for path in evidence.paths if path.throughput_bits_per_second]
    return max(rates, default=None)


def _is_delayed(path: PathEvidence) -> bool | None:
    if path.limit_ns is None or path.p99_ns is None or path.samples < ENOUGH_SAMPLES:
        return None
    return path.p99_ns > path.limit_ns


def _is_lossy(path: PathEvidence) -> bool | None:
    ratios = ((path.loss_ratio, LOSSY_RATIO), (path.retransmit_ratio, RETRANSMITTING_RATIO))
    known = [ratio > limit for ratio, limit in ratios if ratio is not None]
    return any(known) if known else None


def _is_narrow(path: PathEvidence) -> bool | None:
    if path.black_hole:
        return True
    if path.path_mtu_bytes is None or path.interface_mtu_bytes is None:
        return None
    return path.path_mtu_bytes < path.interface_mtu_bytes


_CHECKS: tuple[tuple[Symptom, Callable[[PathEvidence], bool | None]], ...] = (
    (Symptom.DELAY, _is_delayed),
    (Symptom.LOSS, _is_lossy),
    (Symptom.MTU, _is_narrow),
)
