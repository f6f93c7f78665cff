"""Whether a path left its usual ways within one block of minutes. Pure. The rule in words: docs/incidents.md.

Every test is the same question: of n probes k did what few usually do; how small is the chance of that? The answer
is a score, −log10 of the chance, so that the scores of blocks in a row add up (episodes.py).
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from agent.wire.histogram import Histogram, bucket_index
from agent.wire.series import ANSWERED, LOST, Family
from collector.binomial import at_least
from collector.store.totals import SeriesTotals, Totals

FEWEST_PROBES = 5
"""Fewer in a block say nothing."""
FEWEST_USUAL = 30
"""Fewer samples before make nothing usual."""
SLOWER_RATIO, SLOWER_NS = 0.08, 1_000_000
"""A sample counts as slow from this far above the usual median."""
SPREADS = 4
"""… and from so many times the usual distance between median and upper quartile."""
LEAST_SLOW_RATIO, LEAST_HINT_RATIO, LEAST_LOSS_RATIO = 0.01, 0.05, 0.005
"""What is taken as usual at the least: of few samples before, none slow or lost proves little."""
SLOW_SHARE, OVER_SHARE, LOST_SHARE = 0.25, 0.05, 0.02
"""Smaller shares of a block are no breach, however improbable."""
GROSS_SHARE = 0.5
HINT_SCORE, LEAST_SCORE, MOST_SCORE, MOST_GROSS_SCORE = 1.5, 3.0, 4.5, 12.0
"""A block below the first is good, below the second a hint. Two bad minutes must not open an incident: a block counts at most the
third, or the fourth where half of its probes or more were hit."""
OWN_TEST = "own_test_seconds"


class Kind(StrEnum):
    """What went wrong."""

    LATENCY = "latency"
    LOSS = "loss"
    MTU = "mtu"


@dataclass(frozen=True, slots=True)
class Usual:
    """How one series does on other days. Times None without enough samples; over_ratio None where nothing was judged.

    slow_ns: from where a sample is slow; slow_ratio: the share of samples that usually are. hint_ns, hint_ratio: half-way.
    """

    median_ns: float | None
    slow_ns: float
    slow_ratio: float
    hint_ns: float
    hint_ratio: float
    min_ns: int | None
    over_ratio: float | None
    loss_ratio: float


@dataclass(frozen=True, slots=True)
class Cell:
    """What one path (source → destination, one family) measured in one block. series: by probe, timed ones only.

    path_mtu_bytes: the smallest found. lost_forward, lost_backward: packets by direction, as reflectors counted them.
    lossy_legs: source ports with loss of their own.
    """

    source: str
    destination: str
    family: Family
    series: dict[str, SeriesTotals]
    path_mtu_bytes: int | None = None
    lost_forward: int = 0
    lost_backward: int = 0
    lossy_legs: int = 0


class Breach(msgspec.Struct, frozen=True, omit_defaults=True):
    """One path out of its usual in one block. figure, usual: seconds (the median of the slow samples, of all usual ones),
    loss ratio or MTU bytes, by kind.

    hint: too little to accuse, enough to go on or to corroborate.
    hit, probes: how many of how many probes were slow or lost. over_limit: whether what was promised was broken too,
    None where nothing was. stepped: the fastest sample was slow as well, so the route is longer, not its queues fuller.
    flags: the figures are of minutes that the source itself spoiled, and how.
    """

    block_s: int
    source: str
    destination: str
    family: Family
    kind: Kind
    score: float
    probe: str
    figure: float
    usual: float | None
    hit: int = 0
    probes: int = 0
    hint: bool = False
    over_limit: bool | None = None
    stepped: bool = False
    lost_forward: int = 0
    lost_backward: int = 0
    lossy_legs: int = 0
    flags: dict[str, float] = {}


def usual_of(rtt: Histogram, judged: int, over_limit: int, lost: int, sent: int) -> Usual:
    """What these samples and counts make usual; without any, only the least loss that is taken as such."""
    median, upper = rtt.quantile_ns(0.5), rtt.quantile_ns(0.75)
    over = over_limit / judged if judged else None
    loss = lost / sent if sent else 0.0
    if median is None or upper is None or rtt.count < FEWEST_USUAL:
        return Usual(None, math.inf, 1.0, math.inf, 1.0, None, over, loss)
    slow_ns = median + max(SLOWER_RATIO * median + SLOWER_NS, SPREADS * (upper - median))
    hint_ns = (median + slow_ns) / 2
    ratios = [_above(rtt, bound_ns) / rtt.count for bound_ns in (slow_ns, hint_ns)]
    return Usual(median, slow_ns, ratios[0], hint_ns, ratios[1], rtt.min_ns, over, loss)


def breaches_of(
    cell: Cell,
    block_s: int,
    usual: Mapping[str, Usual],
    usual_mtu_bytes: int | None,
    objective: float,
) -> Iterator[Breach]:
    """At most one of each kind. usual: by probe; objective: share of samples promised to be within the limit.

    Minutes that the source spoiled are looked at where the clean ones show nothing; its own tests' never.
    """
    for find in (_latency, _loss):
        for part in ("clean", "spoiled"):
            totals = {probe: getattr(both, part) for probe, both in cell.series.items()}
            flags = _flags(totals.values())
            if OWN_TEST in flags:
                continue
            found = find(cell, block_s, totals, usual, objective)
            if found is not None:
                yield msgspec.structs.replace(found, flags=flags)
                break
    mtu = cell.path_mtu_bytes
    if mtu is not None and usual_mtu_bytes is not None and mtu < usual_mtu_bytes:
        yield Breach(
            block_s, cell.source, cell.destination, cell.family, Kind.MTU, MOST_GROSS_SCORE, "mtu",
            float(mtu), float(usual_mtu_bytes),
        )  # fmt: skip


def _latency(
    cell: Cell, block_s: int, totals: Mapping[str, Totals], usual: Mapping[str, Usual], objective: float
) -> Breach | None:
    """The probe that says most: slower than usual, or more often over the limit than usual."""
    best: Breach | None = None
    for probe, here in totals.items():
        before = usual.get(probe)
        if before is None or before.median_ns is None or here.rtt.count < FEWEST_PROBES:
            continue
        score, hit, probes, hint = _slowness(here, before, objective)
        if score < LEAST_SCORE or (best is not None and (best.hint, -best.score) <= (hint, -score)):
            continue
        of_the_slow = here.rtt.quantile_ns(1 - hit / probes / 2) or 0.0
        best = Breach(
            block_s, cell.source, cell.destination, cell.family, Kind.LATENCY, score, probe, of_the_slow / 1e9,
            before.median_ns / 1e9, hit, probes, hint=hint, stepped=_stepped(here.rtt, before),
            over_limit=here.over_limit / here.judged >= OVER_SHARE if here.judged else None,
        )  # fmt: skip
    return best


def _slowness(here: Totals, before: Usual, objective: float) -> tuple[float, int, int, bool]:
    """Score, slow samples, samples, and whether it is but a hint: against the usual and the limit, else half-way to slow."""
    rtt = here.rtt
    slow = _above(rtt, before.slow_ns)
    score = _score(slow, rtt.count, max(before.slow_ratio, LEAST_SLOW_RATIO), SLOW_SHARE)
    over_score = 0.0
    if before.over_ratio is not None and before.over_ratio < GROSS_SHARE:
        chance = max(1 - objective, before.over_ratio)
        over_score = _score(here.over_limit, here.judged, chance, OVER_SHARE)
    if over_score > score:
        score, slow = over_score, here.over_limit
    if score >= LEAST_SCORE:
        return score, slow, here.judged if over_score == score else rtt.count, False
    slow = _above(rtt, before.hint_ns)
    score = _score(slow, rtt.count, max(before.hint_ratio, LEAST_HINT_RATIO), GROSS_SHARE)
    return score, slow, rtt.count, True


def _stepped(rtt: Histogram, before: Usual) -> bool:
    """Whether the fastest sample is nearer to this block's median than to the usual minimum."""
    median = rtt.quantile_ns(0.5)
    if rtt.min_ns is None or before.min_ns is None or median is None:
        return False
    return rtt.min_ns - before.min_ns > (median - before.min_ns) / 2


def _loss(
    cell: Cell, block_s: int, totals: Mapping[str, Totals], usual: Mapping[str, Usual], _objective: float
) -> Breach | None:
    """All probes together, but for those that are usually lost (a blocked protocol says nothing of the path)."""
    lost = sent = 0
    usually_lost = 0.0
    worst, worst_lost = "", -1
    for probe, here in totals.items():
        before = usual.get(probe)
        ratio = before.loss_ratio if before is not None else 0.0
        if ratio >= GROSS_SHARE:
            continue
        gone, asked = lost_and_sent(here)
        lost, sent, usually_lost = lost + gone, sent + asked, usually_lost + ratio * asked
        if gone > worst_lost:
            worst, worst_lost = probe, gone
    if not sent:
        return None
    score = _score(lost, sent, max(usually_lost / sent, LEAST_LOSS_RATIO), LOST_SHARE)
    if score < HINT_SCORE:
        return None
    return Breach(
        block_s, cell.source, cell.destination, cell.family, Kind.LOSS, score, worst, lost / sent,
        usually_lost / sent, lost, sent, lost_forward=cell.lost_forward, lost_backward=cell.lost_backward,
        lossy_legs=cell.lossy_legs, hint=score < LEAST_SCORE,
    )  # fmt: skip


def lost_and_sent(totals: Totals) -> tuple[int, int]:
    """Probes lost, and probes answered or lost."""
    lost = sum(totals.outcomes.get(outcome, 0) for outcome in LOST)
    return lost, lost + sum(totals.outcomes.get(outcome, 0) for outcome in ANSWERED)


def _score(hit: int, probes: int, chance: float, least_share: float) -> float:
    """−log10 P(X ≥ hit), X ~ Binomial(probes, chance), bounded; 0 for too few probes or too small a share."""
    if probes < FEWEST_PROBES or hit < least_share * probes or not hit:
        return 0.0
    most = MOST_GROSS_SCORE if hit >= GROSS_SHARE * probes else MOST_SCORE
    probability = at_least(hit, probes, min(chance, 1 - 1e-9))
    return min(most, -math.log10(probability)) if probability > 0 else most


def _above(rtt: Histogram, bound_ns: float) -> int:
    """Samples in buckets that lie wholly above the bound."""
    if not math.isfinite(bound_ns):
        return 0
    last = bucket_index(round(bound_ns))
    return sum(count for index, count in rtt.buckets.items() if index > last)


def _flags(totals: Iterable[Totals]) -> dict[str, float]:
    worst: dict[str, float] = {}
    for here in totals:
        for flag, (figure, _) in here.flags.items():
            if abs(figure) >= abs(worst.get(flag, 0.0)):
                worst[flag] = figure
    return worst
