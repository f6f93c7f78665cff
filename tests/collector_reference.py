"""The collector's part of the generated reference: its metrics, and the keys of collector.toml and fleet.toml."""

import asyncio
import tempfile
import time
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from collector import app
from tests.batches import MS, batch, window
from tests.small_fleet import configured, fill

PATH = ("source", "destination", "probe", "family")
LABELS = {
    "lightfloor_build_info": ("version",),
    "lightfloor_node_info": ("node", "provider", "site", "region"),
    "lightfloor_ingest_requests": ("status",),
    "lightfloor_ingest_batches": ("result",),
    "lightfloor_bandwidth_tests": ("outcome",),
    "lightfloor_bandwidth_budget_used_bytes": ("node", "period"),
    "lightfloor_bandwidth_budget_limit_bytes": ("node", "period"),
    "lightfloor_node_last_batch_timestamp_seconds": ("node",),
    "lightfloor_finding_active": ("node", "rule", "severity"),
    "lightfloor_incidents_open": ("kind", "cause", "name"),
    "lightfloor_sla_verdict": (*PATH, "verdict"),
    "lightfloor_sla_budget_remaining_ratio": (*PATH, "period"),
    "lightfloor_sla_burn_rate": (*PATH, "window"),
    "lightfloor_sla_burning": (*PATH, "window"),
    "lightfloor_sla_state": (*PATH, "state"),
}
"""Of families that are not of a path alone, and not without any."""
UNLABELLED_SLA = {"period_seconds", "computed_timestamp_seconds", "computing_seconds"}

COLLECTOR_KEYS = {
    "server.address": "where to listen; empty: everywhere, then bring TLS",
    "server.port": "of the pages, the API, `/metrics` and the agents",
    "server.tls_cert": "PEM, the server's certificate first",
    "server.tls_key": "PEM, unencrypted; with tls_cert or not at all",
    "server.web_config_file": "TLS, passwords and headers instead of the two above: web.md",
    "store.path": "the SQLite file, made at the first start",
    "store.retention_days.minute": "how long minutes are kept",
    "store.retention_days.hour": "hours",
    "store.retention_days.day": "days",
    "fleet.path": "the inventory; read again at SIGHUP and `POST /-/reload`",
    "enroll.url": "where agents reach this collector; https for a line that joins by itself",
    "enroll.ca_file": "the only authority that agents are to trust for it; none: the system's",
    "enroll.packages": "directory with the agent's .deb files, for servers that have none yet",
    "limits.body_bytes": "of a posted batch as it arrives",
    "limits.decompressed_bytes": "and after decompression",
    "budget.time_zone": "IANA name; of the calendar month on pages and `/metrics`",
    "reports.directory": "where the folders are that `report` made, for `/v1/reports`",
    "log.level": "debug, info, warning or error",
    "log.format": "logfmt or json",
}

FLEET_KEYS = {
    "max_probes_per_second": "per node, whatever the groups ask for",
    "providers": "who rents out the servers",
    "providers[].name": "as nodes and classes refer to it",
    "providers[].contact": "where a report goes",
    "providers[].price_per_gigabyte": "of 10⁹ bytes sent; what `plan` calculates with",
    "providers[].currency": "ISO 4217",
    "sites": "places",
    "sites[].name": "as nodes refer to it",
    "sites[].region": "for classes, the page and dashboards",
    "sites[].latitude": "degrees; uncertain by 1 km",
    "sites[].longitude": "degrees; with latitude or not at all",
    "sites[].iata": "an airport's code in place of coordinates; 40 km",
    "sites[].city": "`City` or `City, CC` in place of coordinates; 25 km",
    "sites[].uncertainty_km": "in place of 1, 40 or 25",
    "nodes": "rented servers",
    "nodes[].name": "as it was enrolled",
    "nodes[].provider": "of providers",
    "nodes[].site": "of sites",
    "nodes[].ipv4": "address or name, as the other nodes reach it",
    "nodes[].ipv6": "likewise; one of the two at least",
    "nodes[].port": "of its responder",
    "nodes[].metrics_port": "of its `/metrics`, for `/v1/sd/prometheus`",
    "nodes[].tags": "for Prometheus",
    "nodes[].role": "nodes of one role are compared with each other",
    "nodes[].image": "likewise, where there is no role",
    "nodes[].overlay_of": "this entry is the overlay address of that node: it is measured and measures nothing, and has no agent",
    "nodes[].transfer_allowance_bytes": "per month; without it the node is in no bandwidth test",
    "classes": "what was promised",
    "classes[].name": "several tables of one name are versions of one contract",
    "classes[].multiplier": "limit = multiplier × floor + allowance",
    "classes[].allowance_ms": "limit = multiplier × floor + allowance",
    "classes[].objective": "share of samples within the limit",
    "classes[].loss_ratio_max": "of probes answered or lost",
    "classes[].availability_min": "minutes with an answer / minutes probed",
    "classes[].path_mtu_bytes_min": "smallest path MTU",
    "classes[].retransmit_ratio_max": "of TCP segments between the nodes",
    "classes[].valid_from": "from then on; none: always",
    "classes[].valid_until": "until just before; none: for ever",
    "applications": "which class where; the most specific one in force wins: verdicts.md",
    "applications[].class": "of classes",
    "applications[].provider": "of either end",
    "applications[].providers": "of the two ends, in either order",
    "applications[].regions": "of the two ends, in either order",
    "applications[].nodes": "the two ends, in either order",
    "overrides": "what is known better about a pair, in both directions",
    "overrides[].nodes": "two nodes",
    "overrides[].sites": "or all nodes at two sites",
    "overrides[].length_km": "of the fibre, one way, in place of the geodesic",
    "overrides[].refractive_index": "of that fibre, in place of 1.468",
    "overrides[].multiplier": "in place of the class's",
    "groups": "which node measures which",
    "groups[].name": "for messages",
    "groups[].shape": "mesh, star, disjoint or pairs",
    "groups[].nodes": "mesh and star: these; none: all",
    "groups[].hub": "star: to each of the others and back",
    "groups[].a": "disjoint: each of a to each of b and back",
    "groups[].b": "see a",
    "groups[].pairs": "pairs: just these, each `[source, destination]`",
    "groups[].probes": "kinds, intervals and options as `peers[].probes` of agent.toml: config.md",
    "maintenance": "announced work, which does not count",
    "maintenance[].start": "from then",
    "maintenance[].end": "until just before",
    "maintenance[].reason": "as the report shows it",
    "maintenance[].providers": "scope; no scope at all: the whole fleet",
    "maintenance[].sites": "scope",
    "maintenance[].nodes": "scope",
    "bandwidth": "tests that the collector leases: bandwidth.md; none: there are none",
    "bandwidth.kinds": "iperf3, qperf",
    "bandwidth.interval_hours": "between two tests of a path and kind",
    "bandwidth.duration_seconds": "of a test",
    "bandwidth.bits_per_second": "the most a test sends",
    "bandwidth.budget_ratio": "share of each node's allowance that tests may use",
}


def collector_families() -> list[tuple[str, str, str, tuple[str, ...]]]:
    """(name, type, help, labels that its samples have) of a collector that has judged a small fleet."""
    return asyncio.run(_scraped())


async def _scraped() -> list[tuple[str, str, str, tuple[str, ...]]]:
    minute_s = int(time.time()) // 60 * 60
    windows = [
        window(start_s=minute_s - 60 * n, values_ns=[7 * MS] * 6, limit_ns=12 * MS) for n in range(1, 60)
    ]
    with tempfile.TemporaryDirectory() as folder:
        config = configured(Path(folder))
        fill(config.store.path, [batch(windows)], minute_s)
        async with app.running(config) as (_, addresses), aiohttp.ClientSession() as session:
            text = ""
            async with asyncio.timeout(30):
                while "lightfloor_sla_state" not in text or "lightfloor_finding_active" not in text:
                    await asyncio.sleep(0.05)
                    async with session.get(f"http://{addresses[0]}/metrics") as answer:
                        text = await answer.text()
    return [
        (
            family.name,
            family.type,
            family.documentation,
            tuple(dict.fromkeys(name for sample in family.samples for name in sample.labels)),
        )
        for family in text_string_to_metric_families(text)
        if family.name.startswith("lightfloor_")
    ]


def labels_of(name: str) -> tuple[str, ...]:
    """What the page says of a family, also of one that has no sample now."""
    of_a_path = (
        name.startswith("lightfloor_sla_") and name.removeprefix("lightfloor_sla_") not in UNLABELLED_SLA
    )
    return LABELS.get(name, PATH if of_a_path else ())


def metrics_rows() -> list[str]:
    """A row for each family, in the order of the page."""
    rows = []
    for name, kind, words, _ in collector_families():
        shown = f"{name}_total" if kind == "counter" else name
        rows.append(f"| `{shown}` | {kind} | {', '.join(labels_of(name))} | {words} |")
    return rows
