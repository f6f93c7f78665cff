"""Relays, hubs, drift and effects as findings beside those of one host's rules. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agent.advice.finding import (
    Confidence,
    Finding,
    Measurement,
    Observed,
    Request,
    Severity,
    Stanza,
    Step,
    Sysctl,
)
from agent.advice.rule import Found, worded
from agent.advice.units import milliseconds, percent
from collector.advice.drift import Comparison, Difference
from collector.advice.effect import SCALES, Effect, Outcome
from collector.advice.knowledge import (
    CHANGE_HARMED,
    CHANGE_JUDGED,
    DRIFT,
    HUB,
    OUTCOMES_ZH,
    RELAY,
    SYMPTOMS_ZH,
)
from collector.advice.relay import LEAST_GAIN_RATIO, LEAST_GAIN_SECONDS, Hub, Relay

MOST_SHOWN = 5
LIKELY_SCORE = 0.3
"""Below, a difference is listed by `advise --compare` only."""
PROVEN_SCORE = 0.6
PLAIN_KEY = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)+")
PLAIN_VALUE = re.compile(r"[A-Za-z0-9_.-]+( [A-Za-z0-9_.-]+)*")
"""What may stand in a script or a playbook: values of facts come from the node, and the operator runs the files."""


def relay_findings(
    relays: Iterable[Relay], prices: Mapping[str, str], addresses: Mapping[str, str]
) -> list[Finding]:
    """One for each source, with its best relays.

    prices: node → what its provider takes for a gigabyte, where stated. addresses: node → as a URL would have it.
    """
    by_source: dict[str, list[Relay]] = {}
    for relay in relays:
        by_source.setdefault(relay.source, []).append(relay)
    return [_relay_finding(source, found, prices, addresses) for source, found in sorted(by_source.items())]


def _relay_finding(
    source: str, found: Sequence[Relay], prices: Mapping[str, str], addresses: Mapping[str, str]
) -> Finding:
    best = found[0]
    price = prices.get(best.via)
    figures = {
        "destination": best.destination,
        "via": best.via,
        "direct": _ms(best.direct_seconds),
        "total": _ms(best.p99_seconds),
        "first": _ms(best.legs_seconds[0]),
        "second": _ms(best.legs_seconds[1]),
        "forwarding": _ms(best.forwarding_seconds),
        "gain": _ms(best.gain_seconds),
        "ratio": percent(best.gain_ratio),
        "count": len(found),
        "price": "" if price is None else f" ({price})",
    }
    observed = tuple(
        Observed(f"relay.{relay.destination}.over.{relay.via}.p99_seconds", round(relay.p99_seconds, 6),
                 f"direct {_ms(relay.direct_seconds)}")
        for relay in found[:MOST_SHOWN]
    )  # fmt: skip
    steps: tuple[Step, ...] = (
        Measurement(
            f"lightfloor-collector sla --json  # both legs, {source} to {best.via} and {best.via} to {best.destination}, over a week"
        ),
        Stanza(
            f"nginx.conf on {best.via}",
            f"stream {{\n  server {{\n    listen 443;\n    proxy_pass {addresses.get(best.destination, best.destination)}:443;\n  }}\n}}",
        ),
    )
    return worded(
        source, "relay", RELAY,
        Found(Severity.INFO, Confidence.MEDIUM, observed, figures, steps, tuple(r.destination for r in found)),
    )  # fmt: skip


def hub_finding(ranked: Sequence[Hub], present: str | None) -> Finding | None:
    """The best hub of a star. present: the hub it has; None where it has none yet. None where that one is good enough.

    A hub that was not measured to every spoke is not recommended.
    """
    if not ranked or ranked[0].unmeasured:
        return None
    best = ranked[0]
    now = next((hub for hub in ranked if hub.node == present), None)
    if now is not None:
        gain = now.worst_seconds - best.worst_seconds
        if gain < LEAST_GAIN_SECONDS or gain < LEAST_GAIN_RATIO * now.worst_seconds:
            return None
    figures = {
        "node": best.node,
        "worst": _ms(best.worst_seconds),
        "mean": _ms(best.mean_seconds),
        "farthest": best.farthest,
        "spokes": len(ranked) - 1,
        "compared": ""
        if now is None
        else f" {now.node} now: {_ms(now.worst_seconds)}, farthest {now.farthest}.",
    }
    chinese = {
        "compared": "" if now is None else f"当前 {now.node}：{_ms(now.worst_seconds)}，最远 {now.farthest}。"
    }
    observed = tuple(
        Observed(f"hub.{hub.node}.worst_p99_seconds", round(hub.worst_seconds, 6), f"farthest {hub.farthest}")
        for hub in ranked[:MOST_SHOWN]
    )
    subjects = (best.node,) if now is None else (best.node, now.node)
    return worded(
        best.node if now is None else now.node, "hub-choice", HUB,
        Found(Severity.INFO, Confidence.MEDIUM, observed, figures, (), subjects, chinese),
    )  # fmt: skip


def drift_finding(found: Comparison) -> Finding | None:
    """None where the node has no symptom, or no difference is likely to explain it."""
    likely = [difference for difference in found.differences if difference.score >= LIKELY_SCORE]
    if not found.symptoms or not likely:
        return None
    first = likely[0]
    figures: dict[str, Any] = {
        "node": found.node,
        "symptoms": ", ".join(found.symptoms),
        "count": len(found.siblings),
        "basis": found.basis,
        "differences": len(found.differences),
        "list": "; ".join(_shown(difference) for difference in likely[:MOST_SHOWN]),
        "first": _shown(first),
        "reason": first.why_en,
    }
    chinese = {
        "symptoms": "、".join(SYMPTOMS_ZH[symptom] for symptom in found.symptoms),
        "reason": first.why_zh,
    }
    observed = tuple(
        Observed(d.fact, d.here, f"{d.like_there} of {d.siblings} siblings have {d.there!r}")
        for d in likely[:MOST_SHOWN]
    )
    confidence = Confidence.MEDIUM if first.score >= PROVEN_SCORE else Confidence.LOW
    step = Measurement(f"lightfloor-collector advise --compare {found.node}")
    return worded(
        found.node, "fleet-drift", DRIFT,
        Found(
            Severity.WARNING, confidence, observed, figures, (step,), tuple(d.fact for d in likely[:MOST_SHOWN]), chinese
        ),
    )  # fmt: skip


def _shown(difference: Difference) -> str:
    return f"{difference.fact} = {difference.here} ≠ {difference.there}"


def effect_finding(
    node: str, at: str, outcome: Outcome, changed: Sequence[tuple[str, Any, Any]], effects: Sequence[Effect]
) -> Finding | None:
    """Harm with what undoes it; help or no effect for the record. None while nobody can tell.

    changed: (fact, before, after).
    """
    if outcome is Outcome.CANNOT_TELL:
        return None
    told = [effect for effect in effects if effect.change is not None and effect.outcome is outcome]
    figures: dict[str, Any] = {
        "time": at,
        "changed": "; ".join(f"{name} {before} → {after}" for name, before, after in changed) or "?",
        "figures": ", ".join(f"{effect.figure} {_change(effect)}" for effect in told),
        "touched": max((effect.touched_paths for effect in told), default=0),
        "controls": max((effect.control_paths for effect in told), default=0),
        "before": ", ".join(f"{effect.figure} {effect.before:.4g}" for effect in told),
        "outcome": outcome.value,
    }
    observed = tuple(
        Observed(
            f"effect.{effect.figure}",
            effect.change,
            f"{percent(effect.confidence or 0)} interval {_interval(effect)}",
        )
        for effect in told
    )
    subjects = tuple(name for name, _, _ in changed)
    if outcome is Outcome.HARMED:
        steps = tuple(_undo(name, before, after) for name, before, after in changed)
        found = Found(Severity.WARNING, Confidence.HIGH, observed, figures, steps, subjects)
        return worded(node, "change-harmed", CHANGE_HARMED, found)
    found = Found(
        Severity.INFO, Confidence.HIGH, observed, figures, (), subjects, {"outcome": OUTCOMES_ZH[outcome]}
    )
    return worded(node, "change-judged", CHANGE_JUDGED, found)


def _undo(name: str, before: Any, after: Any) -> Step:
    """A parameter with plain values as a step that files can hold; all else, also what a stranger made up, in words."""
    key, wanted, present = name.removeprefix("sysctl."), _sysctl_text(before), _sysctl_text(after)
    if key != name and PLAIN_KEY.fullmatch(key) and PLAIN_VALUE.fullmatch(wanted):
        return Sysctl(key, wanted, present if PLAIN_VALUE.fullmatch(present) else None)
    return Request(f"Set {name} back from {after} to {before}.", f"将 {name} 由 {after} 恢复为 {before}。")


def _sysctl_text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _change(effect: Effect) -> str:
    unit = "%" if SCALES[effect.figure].relative else " percentage points"
    return f"{100 * (effect.change or 0):+.2g}{unit}"


def _interval(effect: Effect) -> str:
    return f"{100 * (effect.low or 0):+.2g} … {100 * (effect.high or 0):+.2g}"


def _ms(seconds: float) -> str:
    return milliseconds(seconds * 1e9)
