"""A period in which the contract changed: each version judged over its own time, and one verdict of them all. Pure."""

from collections.abc import Sequence

import msgspec

from collector.latency import Proof, Verdict
from collector.sla import PathVerdict, Version

WORST_FIRST = (
    Verdict.FAIL,
    Verdict.UNACHIEVABLE,
    Verdict.IMPLAUSIBLE,
    Verdict.TOO_CLOSE,
    Verdict.NOT_PROVEN,
    Verdict.NO_DATA,
    Verdict.PASS,
)


def version_of(judged: PathVerdict, start: str, end: str) -> Version:
    """What a verdict over one version's time contributes to the row."""
    return Version(
        period_start=start,
        period_end=end,
        sla_class=judged.sla_class,
        verdict=judged.verdict,
        reason=judged.reason,
        criteria=judged.criteria,
        samples=judged.samples,
        over_limit=judged.over_limit,
        p99_seconds=judged.p99_seconds,
        limit_seconds=judged.limit_seconds,
        proof=judged.proof,
    )


def by_versions(whole: PathVerdict, versions: Sequence[Version]) -> PathVerdict:
    """The row of a whole period, judged version by version: the worst verdict stands, in order of WORST_FIRST.

    Time without a class in force was promised nothing and decides nothing. A version without data beside others that
    pass leaves the row NOT_PROVEN: nobody knows whether its terms were kept. criteria: of the version that decides;
    over_limit and proof: of all versions together, each sample against the limit of its own time.
    """
    promised = [version for version in versions if version.sla_class is not None]
    replace = msgspec.structs.replace
    if not promised:
        return replace(whole, versions=tuple(versions))
    deciding = min(promised, key=lambda version: WORST_FIRST.index(version.verdict))
    verdict = deciding.verdict
    if verdict is Verdict.NO_DATA and any(version.verdict is Verdict.PASS for version in promised):
        verdict = Verdict.NOT_PROVEN
    together = _together([version.proof for version in promised])
    return replace(
        whole,
        verdict=verdict,
        reason=f"{deciding.period_start} to {deciding.period_end}: {deciding.reason}",
        criteria=deciding.criteria,
        over_limit=together.over_limit if together.samples else None,
        proof=together,
        versions=tuple(versions),
    )


def _together(proofs: Sequence[Proof]) -> Proof:
    samples = sum(proof.samples for proof in proofs)
    effective = sum(proof.samples / proof.design_effect for proof in proofs)
    return Proof(
        samples,
        sum(proof.over_limit for proof in proofs),
        all(proof.exact for proof in proofs),
        samples / effective if effective else 1.0,
        "each version of the contract by itself",
    )
