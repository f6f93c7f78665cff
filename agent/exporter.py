"""The agent's own state as metric families, and what all of /metrics is made from."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

from agent import __version__
from agent.captures import Captures
from agent.exposition import Exposition
from agent.ledger import Ledger
from agent.minutes import Minutes
from agent.net.reflect import StampReflector
from agent.net.respond import Responder
from agent.net.tracepoints import HostEvents
from agent.passive import Passive
from agent.push import Pusher
from agent.runner import Runner
from agent.spool import Spool
from agent.web.guard import Guard
from agent.wire.assignment import Assignment


@dataclass(slots=True)
class View:
    """What the exporter shows. The app fills it; nothing here changes it."""

    assignment: Assignment
    ledger: Ledger
    runner: Runner
    minutes: Minutes
    spool: Spool | None = None
    pusher: Pusher | None = None
    responder: Responder | None = None
    reflector: StampReflector | None = None
    passive: Passive | None = None
    captures: Captures | None = None
    guard: Guard | None = None
    reload_ok: bool = True
    reload_wall_s: float = 0.0
    exposition: Exposition = field(default_factory=Exposition)

    @property
    def ready(self) -> bool:
        """Whether there is a first result, or nothing to wait for."""
        return not self.assignment.peers or any(tally.outcomes for tally in self.ledger.totals.values())


class AgentCollector:
    """The agent's own state as metric families, read when scraped."""

    def __init__(self, view: View) -> None:
        self._view = view

    def collect(self) -> Iterator[Metric]:
        """Every family of the agent itself; without samples where the part is not configured."""
        view = self._view
        yield InfoMetricFamily("lightfloor_build", "Version of the agent.", value={"version": __version__})
        yield from _config_families(view)
        yield GaugeMetricFamily(
            "lightfloor_peers", "Peers that this node probes.", len(view.assignment.peers)
        )
        yield CounterMetricFamily(
            "lightfloor_windows_closed",
            "Windows closed and, with a collector, durable on disk.",
            view.minutes.closed_windows,
        )
        yield GaugeMetricFamily(
            "lightfloor_window_storable",
            "0 while the disk takes no closed windows.",
            not view.minutes.spool_error,
        )
        flags = GaugeMetricFamily(
            "lightfloor_quality_flag",
            "What this host did to the last closed window; no sample when clean.",
            labels=["flag"],
        )
        for flag, figure in view.minutes.last_quality.items():
            flags.add_metric([flag], figure)
        yield flags
        unavailable = GaugeMetricFamily(
            "lightfloor_probe_unavailable",
            "1 for a probe that this host cannot run; no sample when it can.",
            labels=["probe", "family", "reason"],
        )
        for (probe, family), reason in view.runner.unavailable.items():
            unavailable.add_metric([probe, family, reason], 1)
        yield unavailable
        yield from _spool_families(view.spool, view.minutes)
        yield from _push_families(view.pusher)
        yield from _responder_families(view.responder)
        yield from _reflector_families(view.reflector)
        yield from _capture_families(view.captures)
        yield from _tracepoint_families(None if view.passive is None else view.passive.tracepoints)


def _config_families(view: View) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "lightfloor_config_last_reload_successful",
        "1 if the running configuration is the one on disk, the web configuration with it.",
        view.reload_ok and (view.guard is None or view.guard.problem is None),
    )
    yield GaugeMetricFamily(
        "lightfloor_config_last_reload_success_timestamp_seconds",
        "When the running configuration was read.",
        view.reload_wall_s,
    )
    if view.guard is not None:
        expiry = GaugeMetricFamily(
            "lightfloor_web_certificate_expiry_timestamp_seconds",
            "When the certificate that this page is served with expires; no sample without TLS.",
        )
        if view.guard.certificate_expires_s is not None:
            expiry.add_metric([], view.guard.certificate_expires_s)
        yield expiry


def _capture_families(captures: Captures | None) -> Iterator[Metric]:
    if captures is None:
        return
    taken = CounterMetricFamily(
        "lightfloor_captures", "Packet captures by how they ended.", labels=["result"]
    )
    for result, count in sorted(captures.results.items()):
        taken.add_metric([result], count)
    yield taken
    yield GaugeMetricFamily("lightfloor_capture_disk_bytes", "Captures on disk.", captures.disk_bytes())
    yield GaugeMetricFamily(
        "lightfloor_capture_disk_limit_bytes",
        "What they may take; the oldest go first.",
        captures.disk_limit_bytes,
    )


def _tracepoint_families(events: HostEvents | None) -> Iterator[Metric]:
    if events is None:
        return
    counted = CounterMetricFamily(
        "lightfloor_host_events", "Kernel tracepoints of the whole host.", labels=["event"]
    )
    for name, count in events.read().items():
        counted.add_metric([name], count)
    yield counted
    lacking = GaugeMetricFamily(
        "lightfloor_host_events_unavailable",
        "1 for a tracepoint that this host does not let us count.",
        labels=["event"],
    )
    for name in events.unavailable:
        lacking.add_metric([name], 1)
    yield lacking


def _spool_families(spool: Spool | None, minutes: Minutes) -> Iterator[Metric]:
    if spool is None:
        return
    yield GaugeMetricFamily(
        "lightfloor_spool_batches", "Batches on disk that the collector does not have yet.", len(spool)
    )
    yield GaugeMetricFamily("lightfloor_spool_bytes", "Their size on disk.", spool.size_bytes)
    lost = CounterMetricFamily(
        "lightfloor_windows_lost", "Closed windows given up, by reason.", labels=["reason"]
    )
    for reason, count in {**spool.lost_windows, "disk": minutes.lost_windows}.items():
        lost.add_metric([reason], count)
    yield lost


def _push_families(pusher: Pusher | None) -> Iterator[Metric]:
    if pusher is None:
        return
    state = pusher.state
    yield CounterMetricFamily(
        "lightfloor_push_batches", "Batches that the collector has acknowledged.", state.sent_batches
    )
    yield CounterMetricFamily(
        "lightfloor_push_windows", "Windows that the collector has acknowledged.", state.sent_windows
    )
    failures = CounterMetricFamily(
        "lightfloor_push_failures", "Attempts that failed, by reason.", labels=["reason"]
    )
    for reason, count in state.failures.items():
        failures.add_metric([reason], count)
    yield failures
    last = GaugeMetricFamily(
        "lightfloor_push_last_success_timestamp_seconds", "When a batch was last acknowledged."
    )
    if state.last_success_wall_s is not None:
        last.add_metric([], state.last_success_wall_s)
    yield last


def _responder_families(responder: Responder | None) -> Iterator[Metric]:
    if responder is None:
        return
    family = CounterMetricFamily(
        "lightfloor_responder_connections", "Connections accepted, by what became of them.", labels=["result"]
    )
    family.add_metric(["closed"], responder.closed)
    family.add_metric(["limited"], responder.limited)
    yield family


def _reflector_families(reflector: StampReflector | None) -> Iterator[Metric]:
    if reflector is None:
        return
    family = CounterMetricFamily(
        "lightfloor_reflector_packets",
        "Requests to the UDP responder (STAMP, path MTU, NAT), by what became of them.",
        labels=["result"],
    )
    for result, count in reflector.packets.items():
        family.add_metric([result], count)
    yield family
