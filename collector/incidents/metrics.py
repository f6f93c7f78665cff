"""What is wrong just now, on the collector's /metrics."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from collector.incidents.live import LiveIncidents


class IncidentMetrics:
    """For a CollectorRegistry. An incident's series goes with it; without any there is none."""

    def __init__(self, incidents: LiveIncidents) -> None:
        self._incidents = incidents

    def collect(self) -> Iterator[Metric]:
        """The families."""
        lasting = GaugeMetricFamily(
            "lightfloor_incidents_open",
            "Incidents that last, by what went wrong and what is to blame; announced work makes none.",
            labels=["kind", "cause", "name"],
        )
        counts = Counter(
            (incident.kind.value, incident.cause.kind.value, incident.cause.name)
            for incident in self._incidents.latest.incidents
            if incident.end_s is None
        )
        for labels, count in sorted(counts.items()):
            lasting.add_metric(labels, count)
        yield lasting
        if self._incidents.judged_until_s is not None:
            yield GaugeMetricFamily(
                "lightfloor_incidents_judged_until_timestamp_seconds",
                "End of the latest minutes in which incidents were looked for.",
                value=float(self._incidents.judged_until_s),
            )
