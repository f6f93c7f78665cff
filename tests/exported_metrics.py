"""Names of the metrics that agents and the collector export and that recording rules make, as rules and dashboards may use them."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
HISTOGRAM = ("_bucket", "_sum", "_count")


def exported():
    """Of agents by docs/metrics.md and the kernel's own counters, of the collector by its source."""
    names = set(re.findall(r"lightfloor_\w+", (ROOT / "docs/metrics.md").read_text()))
    for file in ROOT.glob("collector/**/*.py"):
        names |= _of_source(file.read_text())
    return names


def recorded():
    """Names of the recording rules."""
    document = yaml.safe_load((ROOT / "deploy/prometheus/rules/recording.yml").read_text())
    return {rule["record"] for group in document["groups"] for rule in group["rules"]}


def unknown(expressions):
    """Names in PromQL that nobody exports or records."""
    text = "\n".join(expressions)
    used = set(re.findall(r"(?<![\w:])lightfloor_\w+(?![\w:])", text))
    there = exported()
    there |= {f"{name}_total" for name in there} | {f"{name}{part}" for name in there for part in HISTOGRAM}
    rules = set(re.findall(r"\w+:lightfloor_\w+:\w+", text))
    return {name for name in used - there if not name.startswith("lightfloor_netstat_")} | (
        rules - recorded()
    )


def _of_source(source):
    names = set(re.findall(r"lightfloor_\w+", source))
    if "PATH_GAUGES" in source:
        names |= {f"lightfloor_sla_{suffix}" for suffix in re.findall(r'\(\s*"([a-z0-9_]+)",\s', source)}
    return names
