"""The reference pages that are made from the code: `make golden` writes them, tests/test_docs.py holds them current."""

import asyncio
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec

from agent import exporter
from agent.advice.rules import RULES
from agent.config import Config
from agent.exposition import MESH_FAMILIES
from agent.facts import catalogue
from agent.host_exposition import FAMILIES
from agent.kernel_exposition import KERNEL_FAMILIES, OWN_GROUP_FAMILIES
from agent.probes import PROBES
from collector.advice import knowledge as fleet_words
from collector.config import CollectorConfig
from collector.fleet_file import FleetDocument
from collector_reference import COLLECTOR_KEYS, FLEET_KEYS, metrics_rows
from exporter_view import view_of_one_peer

ROOT = Path(__file__).resolve().parents[1]
GENERATED = "<!-- made by `make golden`, do not edit -->"

LABELS = {
    "lightfloor_probe_rtt_seconds": "destination, probe, family",
    "lightfloor_probe_outcomes": "destination, probe, family, outcome",
    "lightfloor_probe_over_limit": "destination, probe, family",
    "lightfloor_probe_judged": "destination, probe, family",
    "lightfloor_path_floor_seconds": "destination",
    "lightfloor_path_limit_seconds": "destination",
    "lightfloor_schedule_delay_seconds": "",
}

MEANINGS = {
    "node": "this node's name in the fleet file",
    "state_directory": "where the spool and the last assignment are kept",
    "window_seconds": "length of a window; a divisor of 60",
    "tick_seconds": "probes due within one tick go in one burst",
    "resolve_interval_seconds": "how often names are looked up again",
    "max_probes_per_second": "cap over all peers; above it each loses the same share, counted as skipped",
    "collector": "where windows go; without it the agent only exports",
    "collector.url": "base URL of the collector, http or https",
    "collector.token_file": "file with the bearer token, read anew for each request; a name alone is a credential of the systemd unit",
    "collector.ca_file": "PEM file of the only authority to trust; otherwise the system's",
    "collector.timeout_seconds": "of one request",
    "collector.assignment_interval_seconds": "how often to ask for a new assignment, ±20%",
    "exporter.listen_address": "[HOST]:PORT of /metrics; empty turns it off",
    "exporter.telemetry_path": "path of the metrics",
    "exporter.web_config_file": "TLS, passwords and headers, as Prometheus' exporters take them (docs/web.md); a name alone is a credential of the systemd unit",
    "responder.enabled": "whether peers can probe this node",
    "responder.listen_address": "[HOST]:PORT, TCP and UDP",
    "responder.connections_per_second": "per source address, an IPv6 /64 being one; above it connections are reset",
    "bandwidth.enabled": "whether this node takes part in the tests that its collector leases",
    "bandwidth.first_port": "first of the ports that a leased test's server may listen on",
    "bandwidth.last_port": "last of them",
    "responder.udp": "whom the STAMP reflector answers",
    "responder.udp_packets_per_second": "per source address; above it packets are not answered",
    "responder.udp_key_file": "file with a hexadecimal key: only signed requests are answered",
    "spool.max_bytes": "windows waiting for the collector; the oldest go first",
    "spool.max_age_hours": "older ones are given up",
    "log.level": "least level that is logged",
    "log.format": "form of a line",
    "peers": "what to probe beside the collector's assignment; an own peer wins over an assigned one of its name",
    "tracepoints": "count sendfile calls and retransmit events of the whole host; needs CAP_PERFMON, slows every system call by some 40 ns",
    "capture.enabled": "whether packets are captured when a path breaks its limit, or zero windows or timeouts grow",
    "capture.interface": "where: a name, also of a container's veth, or `pid:N` for the veth of process N's network namespace",
    "capture.seconds": "length of a capture",
    "capture.interval_seconds": "from the start of one capture to the next at the earliest",
    "capture.file_bytes": "size at which a capture ends",
    "capture.disk_bytes": "of all captures together; the oldest go first",
    "capture.packets_per_second": "kept at most; the others are counted",
    "capture.header_bytes": "kept of each packet, from its IP header on",
    "socket_groups": "TCP connections shown together on /metrics, beside the peers'",
    "socket_groups[].name": "value of the label group",
    "socket_groups[].networks": "remote addresses or networks (CIDR), both families; none: any",
    "socket_groups[].ports": "local or remote ports; none: any",
    "peers[].name": "the peer's name in the fleet file",
    "peers[].ipv4": "address or name; without one the family is not probed",
    "peers[].ipv6": "address or name; without one the family is not probed",
    "peers[].port": "of its responder",
    "peers[].floor_seconds": "round trip of light in fibre, shown on /metrics",
    "peers[].limit_seconds": "what the SLA allows; samples are counted as within or over it",
    "peers[].probes": "what to measure, each kind once",
    "peers[].probes[].kind": "one of the probes below",
    "peers[].probes[].interval_seconds": "0.2 at least",
    "peers[].probes[].timeout_seconds": "of each probe",
    "peers[].probes[].options": "the probe's own, see below",
}
"""Each key of agent.toml in a few words; tests/test_docs.py fails for a key without."""


def metrics_page() -> str:
    """docs/metrics.md: every family of the agent, in the order of the page."""
    lines = [
        "# Metrics of the agent",
        "",
        GENERATED,
        "",
        "Counters end in _total on the page. Series of a peer that left are dropped. Classic buckets end at powers of two;",
        "a Prometheus that asks for protobuf gets native histograms (schema 5) beside them.",
        "",
        "## The mesh",
        "",
        "| name | type | labels | meaning |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| `{shown(family.name, family.kind)}` | {family.kind} | {LABELS[family.name]} | {family.help} |"
        for family in MESH_FAMILIES
    ]
    lines += ["", "## What the kernel knows", ""]
    lines += [
        "Also every counter of /proc/net/netstat, snmp and snmp6 as `lightfloor_netstat_<group>_<counter>_total`",
        "in lower case; states of the moment as gauges.",
        "",
    ]
    lines += ["| name | type | meaning |", "| --- | --- | --- |"]
    lines += [
        f"| `{shown(family.name, family.kind)}` | {family.kind} | {family.help} |"
        for family in (*KERNEL_FAMILIES, *OWN_GROUP_FAMILIES.values())
    ]
    lines += ["", "## The host", "", "| name | type | meaning |", "| --- | --- | --- |"]
    lines += [
        f"| `{shown(family.name, family.kind)}` | {family.kind} | {family.help} |" for family, _ in FAMILIES
    ]
    for kind, probe in PROBES.items():
        if not probe.measures:
            continue
        lines += ["", f"## Probe {kind}", "", "Labels: destination, family.", ""]
        lines += ["| name | type | meaning |", "| --- | --- | --- |"]
        types = {"time": "histogram"}
        lines += [
            f"| `{measure.metric}` | {types.get(measure.kind, measure.kind)} | {measure.help} |"
            for measure in probe.measures
        ]
    lines += ["", "## The agent itself", ""]
    lines += ["Also `process_…` and `python_…`, as prometheus-client has them.", ""]
    lines += ["| name | type | labels | meaning |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{shown(name, kind)}` | {kind} | {labels} | {words} |"
        for name, kind, labels, words in own_families()
    ]
    return "\n".join(lines) + "\n"


def shown(name: str, kind: str) -> str:
    """The name as it stands on the page."""
    return {"counter": f"{name}_total", "info": f"{name}_info"}.get(kind, name)


def own_families() -> list[tuple[str, str, str, str]]:
    """Name, type, labels and help of what agent.exporter makes with every part there."""

    async def collect() -> list[tuple[str, str, str, str]]:
        with tempfile.TemporaryDirectory() as folder:
            view = view_of_one_peer(Path(folder))
            view.pusher.state.failures["http_503"] = 1
            found = [
                (
                    m.name,
                    m.type,
                    ", ".join(dict.fromkeys(k for s in m.samples for k in s.labels)),
                    m.documentation,
                )
                for m in exporter.AgentCollector(view).collect()
            ]
            view.responder.close()
            return found

    return asyncio.run(collect())


FLEET_RULES = {
    "relay": (fleet_words.RELAY, "another node over which both legs together beat the direct path at P99 (collector/advice/relay.py)"),
    "hub-choice": (fleet_words.HUB, "the node that minimises the P99 over all spokes (collector/advice/relay.py)"),
    "overlay-cost": (fleet_words.OVERLAY_COST, "a server measured both over its overlay address and beside it (collector/advice/overlay_cost.py)"),
    "fleet-drift": (fleet_words.DRIFT, "facts in which a slow node differs from its healthy siblings (collector/advice/drift.py)"),
    "change-harmed": (fleet_words.CHANGE_HARMED, "a change after which paths are worse beyond noise and control paths (collector/advice/effect.py)"),
    "change-judged": (fleet_words.CHANGE_JUDGED, "a change whose effect is known, or when it will be (collector/advice/effect.py)"),
}  # fmt: skip


def rules_page() -> str:
    """docs/rules.md: what each rule of the advice looks at, when it speaks, what it says."""
    lines = [
        "# Rules of the advice",
        "",
        GENERATED,
        "",
        "Rules of one host run on the node (`lightfloor-agent advise`) and at the collector (`lightfloor-collector advise`) alike.",
        "Each ends in exactly one of three ways: a finding, nothing (all is well), or undecided, with what was missing",
        "(`--undecided`). {…} stands for a measured figure. Severities: critical (broken), warning (costs performance now), info.",
        "",
        "What keeps a change out of files to apply (`--write`): a container that shares the parameter with its host, a value that",
        "an administrator set on purpose in sysctl.d, another tuner at work (bpftune, tuned), or a finding that goes first.",
        "",
        "Sources A to E are the field's articles whose claims are tested here: container tuning (A), sockets and the TCP stack (B),",
        "container models (C), zero copy (D), a slow node in Hong Kong (E).",
    ]
    own = [(rule.id, rule.knowledge, (rule.check.__doc__ or "").strip()) for rule in RULES]
    fleet = [(name, knowledge, seen) for name, (knowledge, seen) in FLEET_RULES.items()]
    for head, rules in (("One host and its paths", own), ("The fleet", fleet)):
        lines += ["", f"## {head}"]
        for name, knowledge, seen in rules:
            lines += ["", f"### {name}", "", f"**{knowledge.en.title}**", ""]
            parts = {
                "Looks at": " ".join(seen.split()),
                "Says": knowledge.en.what,
                "Why": knowledge.en.why,
                "Effect": knowledge.en.effect,
                "Risk": knowledge.en.risk,
                "Not if": knowledge.en.unless,
                "Source": knowledge.source,
                "Further reading": "; ".join(knowledge.further),
            }
            lines += [f"* {label}: {text}" for label, text in parts.items() if text]
    return "\n".join(lines) + "\n"


def config_page() -> str:
    """docs/config.md: every key of agent.toml, and every option of every probe."""
    lines = [
        "# agent.toml",
        "",
        GENERATED,
        "",
        "Unknown keys are refused. `lightfloor-agent check-config FILE` says what is wrong, in one line with the key path.",
        "",
        "| key | type | default | meaning |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| `{key}` | {kind} | {default} | {MEANINGS[key]} |"
        for key, kind, default in keys_of(Config)
        if key in MEANINGS
    ]
    for name, probe in PROBES.items():
        lines += ["", f"## Probe {name}", "", probe.summary, ""]
        fields = list(keys_of(probe.options))
        if not fields:
            lines.append("No options.")
            continue
        lines += ["| option | type | default | meaning |", "| --- | --- | --- | --- |"]
        words = descriptions(probe.options)
        lines += [f"| `{key}` | {kind} | {default} | {words[key]} |" for key, kind, default in fields]
    return "\n".join(lines) + "\n"


def keys_of(model: type, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Key path, type and default of every field, tables before what is in them."""
    for field in msgspec.structs.fields(model):
        key = prefix + field.encode_name
        inside = struct_in(field.type)
        required = field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT
        many = "tuple" in str(field.type)
        if inside is None:
            yield key, type_words(field.type), "required" if required else value_words(field)
        else:
            if many or field.default is None:
                yield (
                    key,
                    "array of tables" if many else "table",
                    value_words(field) if field.default else "none",
                )
            yield from keys_of(inside, f"{key}[]." if many else f"{key}.")


def struct_in(hint: object) -> type | None:
    for each in (hint, *getattr(hint, "__args__", ())):
        if isinstance(each, type) and issubclass(each, msgspec.Struct):
            return each
    return None


def value_words(field: msgspec.structs.FieldInfo) -> str:
    if field.default is None:
        return "none"
    if field.default is msgspec.NODEFAULT:
        return "empty"
    if field.default == "":
        return "empty"
    return f"`{msgspec.json.encode(field.default).decode()}`"


def type_words(hint: object) -> str:
    """The type in TOML's words, with its bounds or choices."""
    schema = msgspec.json.schema(hint)
    schema = next((s for s in schema.get("anyOf", ()) if s.get("type") != "null"), schema)
    if "$ref" in schema:
        return "string"
    if schema.get("format") == "date-time":
        return "time with its offset"
    if "enum" in schema:
        return " · ".join(f"`{choice}`" for choice in schema["enum"] if choice is not None)
    kind = {
        "number": "number",
        "integer": "integer",
        "boolean": "boolean",
        "object": "table",
        "array": "array",
    }
    words = kind.get(schema.get("type", ""), "string")
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    if low is not None:
        above = "> " if "exclusiveMinimum" in schema else "≥ "
        words += f", {above}{low:.12g}"
    if "maximum" in schema:
        words += f", ≤ {schema['maximum']:.12g}"
    return words


def descriptions(options: type) -> dict[str, str]:
    """Each option's own description, as its command-line flag shows it."""
    from agent.flags import probe_flags

    return {flag.name: flag.help for flag in probe_flags(options)}


def collector_metrics_page() -> str:
    """docs/collector-metrics.md: every family of the collector."""
    lines = [
        "# Metrics of the collector",
        "",
        GENERATED,
        "",
        "`lightfloor_sla_…` cover the last 24 hours and are made anew each minute; a figure that nobody knows has no sample.",
        "",
        "| name | type | labels | meaning |",
        "| --- | --- | --- | --- |",
        *metrics_rows(),
    ]
    return "\n".join(lines) + "\n"


def collector_config_page() -> str:
    """docs/collector-config.md: every key of collector.toml and of fleet.toml."""
    lines = ["# collector.toml and fleet.toml", "", GENERATED, ""]
    lines += [
        "Unknown keys are refused. `lightfloor-collector check-config FILE` says what is wrong, in one line with the"
    ]
    lines += [
        "key path. Relative paths start at the file's own directory. Examples: `deploy/*.example.toml`."
    ]
    for title, model, meanings in (
        ("collector.toml", CollectorConfig, COLLECTOR_KEYS),
        ("fleet.toml", FleetDocument, FLEET_KEYS),
    ):
        lines += ["", f"## {title}", "", "| key | type | default | meaning |", "| --- | --- | --- | --- |"]
        lines += [
            f"| `{key}` | {kind} | {default} | {meanings[key]} |"
            for key, kind, default in keys_of(model)
            if key in meanings
        ]
    return "\n".join(lines) + "\n"


@cache
def pages() -> dict[str, str]:
    """Every generated page by its path in the repository."""
    return {
        "docs/metrics.md": metrics_page(),
        "docs/config.md": config_page(),
        "docs/collector-config.md": collector_config_page(),
        "docs/collector-metrics.md": collector_metrics_page(),
        "docs/facts.md": catalogue.facts_page(),
        "docs/rules.md": rules_page(),
    }


if __name__ == "__main__":
    for name, text in pages().items():
        (ROOT / name).write_text(text)
