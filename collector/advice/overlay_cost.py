"""What an overlay costs, measured: the path to a server's overlay address against the path to the server itself. Pure.

Header arithmetic is all that a single host can state (rule overlay-kind); a difference in time, loss or throughput is
claimed only here, where both ways to the same server were measured by the same probe.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from agent.advice.evidence import Evidence, PathEvidence
from agent.advice.finding import Confidence, Finding, Measurement, Observed, Severity
from agent.advice.rule import Found, worded
from agent.advice.units import milliseconds, percent
from collector.advice.knowledge import OVERLAY_COST

LEAST_SAMPLES = 299
"""The least number of samples of which none above a limit proves P99 below it at 95%."""
COSTLY_RATIO, COSTLY_NS = 0.10, 5_000_000
"""At P99, both: the same that a relay must win by."""
COSTLY_LOSS = 0.005
COSTLY_THROUGHPUT = 0.8
MOST_SHOWN = 5


@dataclass(frozen=True, slots=True)
class OverlayPair:
    """One server measured both ways from source. Both have a P50, a P99 and a loss ratio."""

    source: str
    direct: PathEvidence
    overlay: PathEvidence

    @property
    def added_p50_ns(self) -> float:
        """What the overlay adds to the median; below 0 it takes a better route."""
        return (self.overlay.p50_ns or 0) - (self.direct.p50_ns or 0)

    @property
    def added_p99_ns(self) -> float:
        """The same at P99."""
        return (self.overlay.p99_ns or 0) - (self.direct.p99_ns or 0)

    @property
    def added_loss_ratio(self) -> float:
        """Loss over the overlay less loss beside it."""
        return (self.overlay.loss_ratio or 0) - (self.direct.loss_ratio or 0)

    @property
    def throughput_share(self) -> float | None:
        """Throughput over the overlay ÷ beside it, where bandwidth tests measured both."""
        over, beside = self.overlay.throughput_bits_per_second, self.direct.throughput_bits_per_second
        return over / beside if over is not None and beside else None

    @property
    def is_costly(self) -> bool:
        """Whether it costs enough to look for another overlay, or its fault."""
        slow = self.added_p99_ns >= max(COSTLY_NS, COSTLY_RATIO * (self.direct.p99_ns or 0))
        share = self.throughput_share
        return (
            slow or self.added_loss_ratio >= COSTLY_LOSS or (share is not None and share < COSTLY_THROUGHPUT)
        )


def overlay_findings(evidence: Iterable[Evidence], overlay_of: Mapping[str, str]) -> list[Finding]:
    """One for each node that measured a server both ways. overlay_of: overlay address's name → its server's."""
    return [_finding(own.node, pairs) for own in evidence if (pairs := list(overlay_pairs(own, overlay_of)))]


def overlay_pairs(own: Evidence, overlay_of: Mapping[str, str]) -> Iterator[OverlayPair]:
    """Every overlay path of this node with the path to the same server, of the same probe, both well measured."""
    measured = [path for path in own.paths if path.samples >= LEAST_SAMPLES and path.loss_ratio is not None]
    direct = {(path.destination, path.probe): path for path in measured if path.destination not in overlay_of}
    for path in measured:
        server = overlay_of.get(path.destination)
        if server is not None and (server, path.probe) in direct:
            yield OverlayPair(own.node, direct[server, path.probe], path)


def _finding(node: str, pairs: list[OverlayPair]) -> Finding:
    worst = max(pairs, key=lambda pair: (pair.is_costly, pair.added_p99_ns))
    share = worst.throughput_share
    rate, rate_zh = "", ""
    if share is not None:
        rate, rate_zh = f", throughput {percent(share)} of it", f"，吞吐为其 {percent(share)}"
    figures = {
        "overlay": worst.overlay.destination,
        "server": worst.direct.destination,
        "p50": _signed_ms(worst.added_p50_ns),
        "p99": _signed_ms(worst.added_p99_ns),
        "loss": f"{100 * worst.added_loss_ratio:+.2f}",
        "rate": rate,
        "count": len(pairs),
        "costly": sum(pair.is_costly for pair in pairs),
    }
    observed = tuple(
        Observed(f"overlay.{pair.overlay.destination}.added_p99_ns", pair.added_p99_ns,
                 f"{pair.overlay.probe}, beside {pair.direct.destination}", pair.overlay.end_s)
        for pair in pairs[:MOST_SHOWN]
    )  # fmt: skip
    severity = Severity.WARNING if worst.is_costly else Severity.INFO
    step = Measurement(f"lightfloor-agent probe mtu {worst.overlay.address or worst.overlay.destination}")
    subjects = tuple(pair.overlay.destination for pair in pairs)
    found = Found(severity, Confidence.HIGH, observed, figures, (step,), subjects, {"rate": rate_zh})
    return worded(node, "overlay-cost", OVERLAY_COST, found)


def _signed_ms(ns: float) -> str:
    return f"{'+' if ns >= 0 else '-'}{milliseconds(abs(ns))}"
