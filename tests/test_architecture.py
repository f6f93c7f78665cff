"""The import rules, held by a machine: what may not be imported where, and what the running agent never loads."""

import ast
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WORLD = (
    "socket",
    "select",
    "asyncio",
    "subprocess",
    "time",
    "os",
    "random",
    "sqlite3",
    "aiohttp",
    "prometheus_client",
)


@dataclass(frozen=True)
class Rule:
    """Modules below `where` import none of `forbidden`, except those of `but`. A name stands for all below it."""

    name: str
    where: tuple[str, ...]
    forbidden: tuple[str, ...]
    but: tuple[str, ...] = ()
    why: str = ""


RULES = (
    Rule("the agent looks up to nobody", ("agent",), ("collector",), why="two packages, one direction"),
    Rule(
        "the collector takes the contract and the advice only",
        ("collector",),
        ("agent",),
        but=("agent.wire", "agent.advice", "agent.web", "agent.kernel.parse_error", "agent.__version__"),
        why="its image must not grow an import of the agent's IO",
    ),
    Rule(
        "pure modules have no world",
        (
            "agent.kernel", "agent.wire", "agent.advice", "agent.facts", "agent.stamp", "agent.ledger", "agent.schedule",
            "agent.quality", "agent.exposition", "agent.protobuf", "agent.hostcounters", "collector.floor", "collector.sla",
            "collector.advice", "collector.versions", "collector.maintenance", "collector.ical", "collector.recurrence",
            "collector.budget", "collector.budget_exposition",
            "collector.incidents.attribution", "collector.incidents.breach", "collector.incidents.building",
            "collector.incidents.episodes", "collector.incidents.finding", "collector.incidents.incident",
            "collector.incidents.joining", "collector.incidents.listing", "collector.incidents.recurrence",
            "collector.incidents.words",
        ),
        WORLD,
        why="time, randomness, files and packets come as arguments, so that they can be tested without any",
    ),
    Rule("the web server knows the wire and itself", ("agent.web",), ("agent",), but=("agent.web", "agent.wire", "agent.kernel.x509", "agent.kernel.parse_error")),
    Rule("kernel parsers know no other part", ("agent.kernel",), ("agent",), but=("agent.kernel", "agent.wire")),
    Rule("the wire knows no other part", ("agent.wire",), ("agent",), but=("agent.wire",)),
    Rule(
        "probes touch the world through the network handed to them",
        ("agent.probes",),
        ("socket", "select", "subprocess", "os", "sqlite3", "aiohttp", "prometheus_client", "ctypes", "scapy"),
    ),
    Rule(
        "probes know neither the runner nor the collector",
        ("agent.probes",),
        ("agent.runner", "agent.app", "agent.config", "agent.push", "agent.spool", "agent.exporter", "agent.ledger"),
    ),
    Rule(
        "net knows nothing of what runs on it",
        ("agent.net",),
        (
            "agent.runner", "agent.app", "agent.config", "agent.push", "agent.spool", "agent.exporter", "agent.ledger",
            "agent.probes", "agent.minutes", "agent.cli",
        ),
    ),
)  # fmt: skip

HOMES = {
    "subprocess": ("agent.net.process",),
    "aiohttp": (
        "agent.net.collector", "agent.assignment", "agent.push", "agent.pages", "agent.web", "agent.app", "agent.leases", "agent.selftest.link",
        "collector.api", "collector.problem", "collector.ingest", "collector.bearer", "collector.leasing", "collector.web", "collector.incident_pages", "collector.joining.routes", "collector.exporter", "collector.app", "collector.logs",
    ),
    "prometheus_client": ("agent.exporter", "agent.pages", "agent.app", "collector.exporter", "collector.app", "collector.incidents.metrics"),
    "socket": ("agent.net", "agent.web", "collector.systemd", "collector.app"),
    "select": ("agent.net",),
    "ctypes": ("agent.net",),
    "fcntl": ("agent.net",),
    "sqlite3": ("collector",),
    "icalendar": ("collector.ical",),
    "dateutil": ("collector.recurrence",),
    "numpy": ("collector",),
    "scapy": ("agent.net",),
    "grafana_foundation_sdk": (),
    "dashboards": (),
    "bcrypt": ("agent.web",),
}  # fmt: skip
"""Who alone may import these, anywhere in a module."""

NEVER_LOADED = (
    "scapy",
    "numpy",
    "yaml",
    "bcrypt",
    "jinja2",
    "sqlite3",
    "zstandard",
    "geographiclib",
    "collector",
)


def imports_of(path):
    """Every module that a file imports, also inside functions; not those for type checking only."""
    tree = ast.parse(path.read_text())
    checking = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in checking:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_name(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {
    module_name(path): frozenset(imports_of(path))
    for package in ("agent", "collector")
    for path in (ROOT / package).rglob("*.py")
}


def below(name, *places):
    return any(name == place or name.startswith(f"{place}.") for place in places)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_rule(rule):
    """No module breaks this rule."""
    broken = [
        f"{module} imports {name}"
        for module, names in MODULES.items()
        if below(module, *rule.where)
        for name in names
        if below(name, *rule.forbidden) and not below(name, *rule.but)
    ]
    assert not broken, rule.why


@pytest.mark.parametrize("foreign", HOMES)
def test_home(foreign):
    """What touches the world has few homes, known by name."""
    elsewhere = [
        f"{module} imports {name}"
        for module, names in MODULES.items()
        for name in names
        if below(name, foreign) and not below(module, *HOMES[foreign])
    ]
    assert not elsewhere


def test_the_rules_speak_of_modules_that_are_there():
    """A renamed module does not escape its rule."""
    packages = {*MODULES, *(name.rpartition(".")[0] for name in MODULES)}
    for place in {place for rule in RULES for place in (*rule.where, *rule.but)} - {"agent.__version__"}:
        assert place in packages, place
    for place in {place for homes in HOMES.values() for place in homes}:
        assert place in packages, place


def test_every_module_says_what_it_is_for():
    """Its first line; an empty __init__ has nothing to say."""
    silent = [
        module
        for package in ("agent", "collector", "dashboards")
        for path in (ROOT / package).rglob("*.py")
        if (text := path.read_text()).strip() and not ast.get_docstring(ast.parse(text))
        for module in [module_name(path)]
    ]
    assert not silent


def test_no_module_is_longer_than_four_hundred_lines_and_no_function_than_fifty_five():
    """What does not fit in a head is two things."""
    long = []
    for package in ("agent", "collector", "dashboards"):
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text()
            if len(text.splitlines()) > 400:
                long.append(f"{path}: {len(text.splitlines())} lines")
            long += [
                f"{path}: {node.name} has {node.end_lineno - node.lineno + 1} lines"
                for node in ast.walk(ast.parse(text))
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                and node.end_lineno - node.lineno >= 55
            ]
    assert not long


def test_the_running_agent_loads_nothing_heavy():
    """Importing all of it, in a fresh process, loads no packet crafting, arrays, templates or database."""
    code = f"import sys, agent.app; print([m for m in {NEVER_LOADED!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
