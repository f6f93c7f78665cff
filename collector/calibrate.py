"""Before a contract is signed: how many paths would keep which limit. Pure: rows in, figures out.

Without counts the verdict is by the values alone: P99 at or under the limit passes.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from collector.floor import Coordinates, Floor
from collector.latency import Promise, Verdict, decide_by_values

CONTRACT_DEFAULT = (2.0, 0.0)
"""Multiplier and allowance in seconds of design's default class."""


@dataclass(frozen=True, slots=True)
class PairTimes:
    """One path with its floor and the values measured on it. from_place, to_place: as stated, None where not asked for."""

    source: str
    destination: str
    floor: Floor
    min_seconds: float
    p99_seconds: float
    from_place: Coordinates | None = None
    to_place: Coordinates | None = None


class Terms(msgspec.Struct, frozen=True):
    """One limit that a path could be held to."""

    multiplier: float
    allowance_seconds: float
    limit_seconds: float


class PairCalibration(msgspec.Struct, frozen=True, kw_only=True):
    """One path. verdict: at Calibration's judged_at. tightest: the smallest of the limits asked about that it keeps."""

    source: str
    destination: str
    distance_km: float
    floor_seconds: float
    min_seconds: float
    p99_seconds: float
    ratio_to_floor: float | None
    static_inflation: float | None
    dynamic_inflation: float | None
    verdict: Verdict
    tightest: Terms | None


class TermsSummary(msgspec.Struct, frozen=True, kw_only=True):
    """All paths held to one multiplier and allowance. verdicts: count by verdict, of those that occur."""

    multiplier: float
    allowance_seconds: float
    paths: int
    pass_ratio: float
    verdicts: dict[Verdict, int]


class JudgedAt(msgspec.Struct, frozen=True):
    """The terms of the verdict that stands beside each pair."""

    multiplier: float
    allowance_seconds: float


class Calibration(msgspec.Struct, frozen=True):
    """What `calibrate --json` prints."""

    judged_at: JudgedAt
    pairs: list[PairCalibration]
    summary: list[TermsSummary]


def calibrate(
    rows: Iterable[PairTimes], multipliers: Sequence[float], allowances_seconds: Sequence[float]
) -> Calibration:
    """Every path under every combination. The pairs' own verdict is at the contract's default where that was asked
    for, at the first combination otherwise. Raises ValueError without rows or without combinations.
    """
    combinations = list(itertools.product(multipliers, allowances_seconds))
    if not combinations:
        raise ValueError("at least one multiplier and one allowance are needed")
    judged_at = CONTRACT_DEFAULT if CONTRACT_DEFAULT in combinations else combinations[0]
    counts: dict[tuple[float, float], Counter[Verdict]] = {c: Counter() for c in combinations}
    pairs = []
    for row in rows:
        verdicts = {
            c: decide_by_values(Promise(row.floor, *c), row.min_seconds, row.p99_seconds)
            for c in combinations
        }
        for combination, verdict in verdicts.items():
            counts[combination][verdict] += 1
        pairs.append(_pair(row, verdicts, judged_at))
    if not pairs:
        raise ValueError("no pairs to calibrate on")
    return Calibration(
        judged_at=JudgedAt(*judged_at),
        pairs=pairs,
        summary=[
            TermsSummary(
                multiplier=multiplier,
                allowance_seconds=allowance,
                paths=len(pairs),
                pass_ratio=count[Verdict.PASS] / len(pairs),
                verdicts=dict(sorted(count.items())),
            )
            for (multiplier, allowance), count in counts.items()
        ],
    )


def _pair(
    row: PairTimes, verdicts: dict[tuple[float, float], Verdict], judged_at: tuple[float, float]
) -> PairCalibration:
    kept = [
        Terms(*combination, limit_seconds=Promise(row.floor, *combination).limit_seconds)
        for combination, verdict in verdicts.items()
        if verdict is Verdict.PASS
    ]
    floor_seconds = row.floor.floor_seconds
    return PairCalibration(
        source=row.source,
        destination=row.destination,
        distance_km=row.floor.distance_km,
        floor_seconds=floor_seconds,
        min_seconds=row.min_seconds,
        p99_seconds=row.p99_seconds,
        ratio_to_floor=row.p99_seconds / floor_seconds if floor_seconds else None,
        static_inflation=row.min_seconds / floor_seconds if floor_seconds else None,
        dynamic_inflation=row.p99_seconds / row.min_seconds if row.min_seconds else None,
        verdict=verdicts[judged_at],
        tightest=min(kept, key=lambda terms: terms.limit_seconds, default=None),
    )
