"""Expressions that several dashboards use.

A Prometheus that scrapes native histograms has no series named _bucket, _sum and _count; one that does not has no
others. What reads a histogram asks for both forms, of which one is there.
"""

LOST = "timeout|unreachable|syn_retransmitted"
"""Outcomes that say that a probe was lost, as in the recording rules."""
UNSENT = "skipped|unavailable|unresolved|failed"
"""Outcomes that say nothing about the path."""

VERDICTS = {
    "PASS": ("pass", "green"),
    "FAIL": ("fail", "red"),
    "NOT_PROVEN": ("not proven", "yellow"),
    "NO_DATA": ("no data", "text"),
    "UNACHIEVABLE": ("unachievable", "dark-red"),
    "TOO_CLOSE": ("too close", "blue"),
    "IMPLAUSIBLE": ("implausible", "purple"),
}
"""Verdict → (words, colour), as on the collector's page."""

ROUGH = " Within 1.1% where Prometheus scrapes native histograms; otherwise only the octave is certain."
"""What a panel with rough_quantile() has to say."""


def quantile(share: float, histogram: str, matchers: str, by: str = "") -> str:
    """A quantile of a native histogram's recent values, within 1.1%; nothing where Prometheus scrapes none.

    Classic buckets end at powers of two: of what is close to a limit they would tell the wrong side.
    by: labels to keep, comma-separated.
    """
    return f"histogram_quantile({share}, sum by ({by}) (rate({histogram}{{{matchers}}}[$__rate_interval])))"


def rough_quantile(share: float, histogram: str, matchers: str, by: str = "") -> str:
    """The same, or of the classic buckets where there is no native histogram."""
    labels = f"{by}, le" if by else "le"
    classic = f"sum by ({labels}) (rate({histogram}_bucket{{{matchers}}}[$__rate_interval]))"
    return f"{quantile(share, histogram, matchers, by)} or histogram_quantile({share}, {classic})"


def mean(histogram: str, matchers: str, by: str) -> str:
    """The mean of a histogram's recent values: exact, whatever its buckets."""
    native = f"sum by ({by}) (rate({histogram}{{{matchers}}}[$__rate_interval]))"
    total = f"sum by ({by}) (rate({histogram}_sum{{{matchers}}}[$__rate_interval]))"
    count = f"sum by ({by}) (rate({histogram}_count{{{matchers}}}[$__rate_interval]))"
    return f"histogram_sum({native}) / (histogram_count({native}) > 0) or {total} / ({count} > 0)"


def distribution(histogram: str, matchers: str) -> str:
    """A histogram's recent values per second, for a heat map."""
    native = f"sum(rate({histogram}{{{matchers}}}[$__rate_interval]))"
    return f"{native} or sum by (le) (rate({histogram}_bucket{{{matchers}}}[$__rate_interval]))"


def loss(matchers: str, by: str) -> str:
    """Share of probes that were lost; 0 where some were sent and none was lost, nothing where none was sent."""
    counter = "lightfloor_probe_outcomes_total"
    sent = f'sum by ({by}) (rate({counter}{{{matchers},outcome!~"{UNSENT}"}}[$__rate_interval]))'
    lost = f'sum by ({by}) (rate({counter}{{{matchers},outcome=~"{LOST}"}}[$__rate_interval]))'
    return f"({lost} or 0 * {sent}) / ({sent} > 0)"


def with_provider(expr: str, by: str = "provider") -> str:
    """A figure of the collector with what the fleet file says of its source: provider or region."""
    about = f'max by (source, {by}) (label_replace(lightfloor_node_info, "source", "$1", "node", "(.*)"))'
    return f"({expr}) * on (source) group_left ({by}) {about}"


def highest(expr: str) -> str:
    """The twenty highest of many series: a mesh of 50 nodes has 2,450 paths, and nobody reads as many lines."""
    return f"topk(20, {expr})"
