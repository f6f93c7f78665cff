"""One path's verdict for one period, with every figure it rests on. Pure. Formulas: docs/verdicts.md."""

import msgspec

from agent.wire.histogram import Histogram
from agent.wire.series import Family, SeriesKey, TimeSource
from collector.binomial import quantile_ranks, wilson_interval
from collector.contract import SlaClass
from collector.floor import Floor
from collector.latency import Promise, Proof, Verdict, binomial_verdict, decide_by_counts, proof
from collector.measured import Measured, loss_design_effect

Interval = tuple[float | None, float | None]
"""Two-sided 95 %; None where open on that side."""

PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}


class Criterion(msgspec.Struct, frozen=True):
    """One thing the class promises, and how it stands. value: None where it was not measured."""

    name: str
    value: float | None
    limit: float | None
    verdict: Verdict
    reason: str


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One version of the contract within a row's period, judged by itself; fields as in PathVerdict."""

    period_start: str
    period_end: str
    sla_class: SlaClass | None
    verdict: Verdict
    reason: str
    criteria: tuple[Criterion, ...]
    samples: int
    over_limit: int | None
    p99_seconds: float | None
    limit_seconds: float | None
    proof: Proof


class PathVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `sla --json`. Times in seconds, ratios as fractions; None where unknown, never 0.

    samples: RTTs in the histogram; over_limit: of those compared with the limit (proof.samples), the ones above it.
    verdict: of the whole class; reason: of the criterion that decided; criteria: each of the class's promises.
    intervals: "p50", "p90", "p99", "p999" → what order statistics enclose the true percentile. loss_interval: Wilson's
    score of lost of sent probes, both divided by loss_design_effect. availability: minutes with an answer / minutes probed.
    versions: empty unless the contract changed within the period; limit_seconds and sla_class are then those of the last
    one, and the verdict is by_versions'. limit_how: what the limit was made of, as floor.how; None without a limit.
    """

    source: str
    destination: str
    probe: str
    family: Family
    samples: int
    over_limit: int | None
    p50_seconds: float | None
    p99_seconds: float | None
    floor_seconds: float | None
    limit_seconds: float | None
    ratio_to_floor: float | None
    static_inflation: float | None
    dynamic_inflation: float | None
    loss_ratio: float | None
    verdict: Verdict
    reason: str
    criteria: tuple[Criterion, ...]
    time_source: TimeSource
    sla_class: SlaClass | None
    floor: Floor | None
    min_seconds: float | None
    max_seconds: float | None
    p90_seconds: float | None
    p999_seconds: float | None
    intervals: dict[str, Interval]
    proof: Proof
    answered: int
    lost: int
    loss_interval: Interval | None
    loss_design_effect: float
    availability: float | None
    versions: tuple[Version, ...] = ()
    limit_how: str | None = None


def judge(series: SeriesKey, measured: Measured, floor: Floor | None, sla: SlaClass | None) -> PathVerdict:
    """The verdict on one series over one period.

    floor: None where an end's coordinates are unknown; sla: None where no class was in force. Without either there
    is no limit, and the latency verdict of measured data is NOT_PROVEN.
    """
    promise = Promise(floor, sla.multiplier, sla.allowance_ms / 1000) if floor and sla else None
    counts = proof(measured, promise.limit_seconds if promise else None)
    criteria = (_latency(measured, promise, counts, sla), *_other_criteria(measured, sla))
    deciding = overall(criteria)
    rtt, lost = measured.rtt, _loss_counts(measured)
    sent = lost.samples
    quantiles = {name: _quantile_seconds(rtt, q) for name, q in PERCENTILES.items()}
    min_seconds = _seconds(rtt.min_ns)
    floor_seconds = floor.floor_seconds if floor else None
    return PathVerdict(
        source=series.source,
        destination=series.destination,
        probe=series.probe,
        family=series.family,
        samples=rtt.count,
        over_limit=counts.over_limit if counts.samples else None,
        p50_seconds=quantiles["p50"],
        p99_seconds=quantiles["p99"],
        floor_seconds=floor_seconds,
        limit_seconds=promise.limit_seconds if promise else None,
        ratio_to_floor=_ratio(quantiles["p99"], floor_seconds),
        static_inflation=_ratio(min_seconds, floor_seconds),
        dynamic_inflation=_ratio(quantiles["p99"], min_seconds),
        loss_ratio=_ratio(measured.lost, sent),
        verdict=deciding.verdict,
        reason=deciding.reason,
        criteria=criteria,
        time_source=series.time_source,
        sla_class=sla,
        floor=floor,
        min_seconds=min_seconds,
        max_seconds=_seconds(rtt.max_ns),
        p90_seconds=quantiles["p90"],
        p999_seconds=quantiles["p999"],
        intervals={name: _interval_seconds(rtt, q, counts) for name, q in PERCENTILES.items()},
        proof=counts,
        answered=measured.answered,
        lost=measured.lost,
        loss_interval=wilson_interval(lost.over_limit / lost.design_effect, sent / lost.design_effect),
        loss_design_effect=lost.design_effect,
        availability=_availability(measured),
        limit_how=f"{sla.multiplier:g} × floor + {sla.allowance_ms:g} ms, class {sla.name}"
        if floor and sla
        else None,
    )


def overall(criteria: tuple[Criterion, ...]) -> Criterion:
    """The criterion that decides: a proven breach of any promise, else latency unless it passes, else the first
    promise that is not kept for certain, else latency's PASS.
    """
    latency = criteria[0]
    breached = next((c for c in criteria if c.verdict is Verdict.FAIL), None)
    if breached:
        return breached
    if latency.verdict is not Verdict.PASS:
        return latency
    open_promise = next((c for c in criteria if c.verdict is not Verdict.PASS), None)
    if open_promise is None:
        return latency
    return msgspec.structs.replace(open_promise, verdict=Verdict.NOT_PROVEN)


def _latency(measured: Measured, promise: Promise | None, counts: Proof, sla: SlaClass | None) -> Criterion:
    p99 = _quantile_seconds(measured.rtt, 0.99)
    limit = promise.limit_seconds if promise else None
    if not measured.rtt.count:
        asked = measured.answered + measured.lost
        why = f"none of {asked} probes brought a time" if asked else "nothing was measured"
        return Criterion("latency", None, limit, Verdict.NO_DATA, why)
    if sla is None:
        return Criterion("latency", p99, None, Verdict.NOT_PROVEN, "no SLA class was in force")
    if promise is None:
        why = "no limit: the coordinates of an end are unknown"
        return Criterion("latency", p99, None, Verdict.NOT_PROVEN, why)
    verdict = decide_by_counts(promise, measured, counts, sla.objective)
    return Criterion(
        "latency", p99, limit, verdict, _latency_reason(verdict, promise, counts, sla, measured.rtt)
    )


def _latency_reason(verdict: Verdict, promise: Promise, counts: Proof, sla: SlaClass, rtt: Histogram) -> str:
    best_ms = (rtt.min_ns or 0) / 1e6
    floor_ms, unsure_ms = promise.floor.floor_seconds * 1e3, promise.floor.uncertainty_seconds * 1e3
    over = f"{counts.over_limit:,} of {counts.samples:,} samples over {promise.limit_seconds * 1e3:.3f} ms"
    allowed = f"{100 * (1 - sla.objective):.4g} %"
    match verdict:
        case Verdict.PASS:
            return f"{over}: at most {allowed} proven at 95 %"
        case Verdict.FAIL:
            return f"{over}: more than {allowed} proven at 95 %"
        case Verdict.UNACHIEVABLE:
            return f"even the best sample, {best_ms:.3f} ms, breaks the limit of {promise.limit_seconds * 1e3:.3f} ms"
        case Verdict.IMPLAUSIBLE:
            return f"{best_ms:.3f} ms is faster than light in fibre ({floor_ms:.3f} ms): a stated location is wrong"
        case Verdict.TOO_CLOSE:
            return f"the coordinates leave the floor of {floor_ms:.3f} ms uncertain by {unsure_ms:.3f} ms, which decides"
        case _:
            return f"{over}: neither at most nor more than {allowed} is proven at 95 %"


def _other_criteria(measured: Measured, sla: SlaClass | None) -> list[Criterion]:
    """What the class promises besides latency, in the order of its fields; nothing for what it does not promise."""
    if sla is None:
        return []
    found = []
    if sla.loss_ratio_max is not None:
        found.append(_loss(measured, sla.loss_ratio_max))
    if sla.availability_min is not None:
        found.append(_compared("availability", _availability(measured), sla.availability_min, at_least=True))
    if sla.path_mtu_bytes_min is not None:
        found.append(
            _compared("path_mtu_bytes", measured.path_mtu_bytes, sla.path_mtu_bytes_min, at_least=True)
        )
    if sla.retransmit_ratio_max is not None:
        limit = sla.retransmit_ratio_max
        found.append(_compared("retransmit_ratio", measured.retransmit_ratio, limit, at_least=False))
    return found


def _loss(measured: Measured, limit: float) -> Criterion:
    counts = _loss_counts(measured)
    if not counts.samples:
        return Criterion("loss_ratio", None, limit, Verdict.NO_DATA, "no probe was answered or lost")
    verdict = binomial_verdict(counts.over_limit, counts.over_limit, counts, limit)
    proven = {Verdict.PASS: "at most {} proven at 95 %", Verdict.FAIL: "more than {} proven at 95 %"}
    words = proven.get(verdict, "neither at most nor more than {} is proven at 95 %").format(f"{limit:g}")
    why = f"{counts.over_limit:,} of {counts.samples:,} probes lost: {words}; {counts.basis}"
    return Criterion("loss_ratio", counts.over_limit / counts.samples, limit, verdict, why)


def _loss_counts(measured: Measured) -> Proof:
    """Lost probes of those answered or lost, with how far they cluster by minute."""
    sent = measured.answered + measured.lost
    effect = loss_design_effect(sent, measured.lost, measured.minutes)
    if effect is None:
        basis = "probes taken as independent: no minute counts"
    elif effect > 1:
        basis = f"probes divided by {effect:.2f}: losses cluster within minutes"
    else:
        basis = "losses do not cluster within minutes"
    return Proof(sent, measured.lost, True, effect or 1.0, basis)


def _compared(name: str, value: float | None, limit: float, *, at_least: bool) -> Criterion:
    """A figure that is a plain fact of the period, no sample of something larger."""
    bound = f"{'at least' if at_least else 'at most'} {limit:g}"
    if value is None:
        return Criterion(name, None, limit, Verdict.NO_DATA, f"{name} was not measured; {bound} is promised")
    kept = value >= limit if at_least else value <= limit
    verdict = Verdict.PASS if kept else Verdict.FAIL
    return Criterion(name, value, limit, verdict, f"{name} is {value:.6g}; {bound} is promised")


def _availability(measured: Measured) -> float | None:
    return _ratio(measured.minutes.available, measured.minutes.measured) if measured.minutes else None


def _ratio(value: float | None, of: float | None) -> float | None:
    return value / of if value is not None and of else None


def _seconds(value_ns: float | None) -> float | None:
    return None if value_ns is None else value_ns / 1e9


def _quantile_seconds(rtt: Histogram, q: float) -> float | None:
    return _seconds(rtt.quantile_ns(q))


def _interval_seconds(rtt: Histogram, q: float, counts: Proof) -> Interval:
    """Order statistics that enclose the true quantile, were there count / design_effect independent samples."""
    n = max(1, int(rtt.count / counts.design_effect))
    low, high = quantile_ranks(n, q)
    return (
        None if low is None else _quantile_seconds(rtt, low / n),
        None if high is None else _quantile_seconds(rtt, high / n),
    )
