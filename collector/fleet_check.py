"""What one table of fleet.toml says about another: names that must exist, exist once, and not contradict. Pure."""

import difflib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import get_args

from agent.wire.lease import Kind
from agent.wire.series import PROBE_CLOCKS
from agent.wire.settings import ConfigError
from collector.contract import overlapping_versions
from collector.fleet_file import FleetDocument
from collector.groups import probes_by_pair

MIN_INTERVAL_SECONDS = 0.2
"""Shorter ones measure the sender's queue, and look like a flood to the receiver."""

Reference = tuple[str, str, str]
"""(key path, kind of the thing named: a key of FleetDocument, name)"""


def check(document: FleetDocument, where: str) -> None:
    """Raises ConfigError for the first contradiction between the file's tables."""
    _check_unique(document, where)
    for key, kind, name in _references(document):
        known = [item.name for item in getattr(document, kind)] or (["default"] if kind == "classes" else [])
        if name not in known:
            raise ConfigError(where, key, f"no {SINGULAR[kind]} is called {name}{hint(name, known)}")
    _check_overlays(document, where)
    _check_regions(document, where)
    _check_classes(document, where)
    _check_probes(document, where)
    _check_rates(document, where)


SINGULAR = {"providers": "provider", "sites": "site", "nodes": "node", "classes": "class", "groups": "group"}
"""A table of the fleet file → one of its entries in words."""


def hint(name: str, known: Iterable[str]) -> str:
    """What was meant by a name that is not known, or what is known; to be put behind a message."""
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; known: {', '.join(names[:10])}" if names else "; none is defined"


def _check_unique(document: FleetDocument, where: str) -> None:
    for kind in ("providers", "sites", "nodes", "groups"):
        first_at: dict[str, int] = {}
        for i, item in enumerate(getattr(document, kind)):
            if item.name in first_at:
                problem = f"{item.name} is already the name of {kind}[{first_at[item.name]}]"
                raise ConfigError(where, f"{kind}[{i}].name", problem)
            first_at[item.name] = i


def _references(document: FleetDocument) -> Iterator[Reference]:
    for i, node in enumerate(document.nodes):
        yield f"nodes[{i}].provider", "providers", node.provider
        yield f"nodes[{i}].site", "sites", node.site
        if node.overlay_of is not None:
            yield f"nodes[{i}].overlay_of", "nodes", node.overlay_of
    for i, group in enumerate(document.groups):
        for key, name in group.named_nodes():
            yield f"groups[{i}].{key}", "nodes", name
    for i, application in enumerate(document.applications):
        yield f"applications[{i}].class", "classes", application.sla_class
        if application.provider is not None:
            yield f"applications[{i}].provider", "providers", application.provider
        yield from _in_lists(application, f"applications[{i}]", ("providers", "nodes"))
    for i, override in enumerate(document.overrides):
        yield from _in_lists(override, f"overrides[{i}]", ("nodes", "sites"))
    for i, window in enumerate(document.maintenance):
        yield from _in_lists(window, f"maintenance[{i}]", ("providers", "sites", "nodes"))


def _in_lists(item: object, key: str, kinds: Iterable[str]) -> Iterator[Reference]:
    for kind in kinds:
        for j, name in enumerate(getattr(item, kind) or ()):
            yield f"{key}.{kind}[{j}]", kind, name


def _check_overlays(document: FleetDocument, where: str) -> None:
    nodes = {node.name: node for node in document.nodes}
    for i, node in enumerate(document.nodes):
        if node.overlay_of is None:
            continue
        host, key = nodes[node.overlay_of], f"nodes[{i}].overlay_of"
        if host.overlay_of is not None:
            raise ConfigError(where, key, f"{host.name} is an overlay address itself; name the server")
        if (host.provider, host.site) != (node.provider, node.site):
            raise ConfigError(
                where, key, f"{host.name} has another provider or site; an overlay stands where it does"
            )


def _check_regions(document: FleetDocument, where: str) -> None:
    regions = {site.region for site in document.sites if site.region is not None}
    for i, application in enumerate(document.applications):
        for j, region in enumerate(application.regions or ()):
            if region not in regions:
                problem = f"no site is in region {region}{hint(region, regions)}"
                raise ConfigError(where, f"applications[{i}].regions[{j}]", problem)


def _check_classes(document: FleetDocument, where: str) -> None:
    for _, later in overlapping_versions(document.classes):
        key = f"classes[{_position(document.classes, later)}]"
        raise ConfigError(where, key, f"another version of class {later.name} is in force at the same time")
    for kind in ("applications", "overrides"):
        selectors = [item.selector for item in getattr(document, kind)]
        for i, selector in enumerate(selectors):
            if selector in selectors[:i]:
                problem = f"selects the same paths as {kind}[{selectors.index(selector)}]"
                raise ConfigError(where, f"{kind}[{i}]", problem)


def _position(items: Iterable[object], wanted: object) -> int:
    return next(i for i, item in enumerate(items) if item is wanted)


def _check_probes(document: FleetDocument, where: str) -> None:
    for i, group in enumerate(document.groups):
        for j, spec in enumerate(group.probes):
            if spec.interval_seconds < MIN_INTERVAL_SECONDS:
                problem = f"at least {MIN_INTERVAL_SECONDS:g} s, not {spec.interval_seconds:g}"
                raise ConfigError(where, f"groups[{i}].probes[{j}].interval_seconds", problem)
            if spec.kind not in PROBE_CLOCKS:
                problem = f"no probe is called {spec.kind}{hint(spec.kind, PROBE_CLOCKS)}"
                raise ConfigError(where, f"groups[{i}].probes[{j}].kind", problem)
            if spec.kind in get_args(Kind):
                problem = (
                    f"{spec.kind} runs by lease, never two tests on a node; name it in [bandwidth] kinds"
                )
                raise ConfigError(where, f"groups[{i}].probes[{j}].kind", problem)
            if spec.kind in [earlier.kind for earlier in group.probes[:j]]:
                raise ConfigError(
                    where, f"groups[{i}].probes[{j}].kind", f"{spec.kind} stands twice in this group"
                )


def _check_rates(document: FleetDocument, where: str) -> None:
    """A node that were asked for more than the cap would skip probes for ever."""
    families = {node.name: node.families for node in document.nodes}
    rates: defaultdict[str, float] = defaultdict(float)
    for (source, destination), specs in probes_by_pair(document.groups, tuple(families)).items():
        shared = len(families[source] & families[destination])
        rates[source] += shared * sum(1 / spec.interval_seconds for spec in specs)
    for source, rate in rates.items():
        if rate > document.max_probes_per_second:
            cap = document.max_probes_per_second
            problem = f"node {source} would send {rate:.1f} probes/s, more than max_probes_per_second {cap:g}"
            raise ConfigError(where, "groups", f"{problem}; lengthen intervals or split the groups")
