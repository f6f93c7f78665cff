"""Default routes and every route that carries its own MTU or MSS."""

from typing import Any

from agent.facts.interfaces import Interface
from agent.facts.notebook import Missing, Notebook, asked
from agent.kernel.route import IPV6_SOURCE, SOURCE, Route, parse_ipv6_route, parse_route
from agent.net.livehost import LiveHost

MAX_ROUTES = 64
"""Routes with an own MTU are few; a fact is no routing table."""


def note_routes(notebook: Notebook, live: LiveHost | None, interfaces: tuple[Interface, ...]) -> str | None:
    """route.ipv4.default, route.ipv6.default, route.with_mtu. Returns the interface of the best IPv4 default route.

    Files do not tell a route's MTU: there route.with_mtu holds only those with an MSS.
    """
    if live is not None:
        names = {interface.index: interface.name for interface in interfaces if interface.index is not None}
        answer = asked(lambda: live.routes(names))
        if not isinstance(answer, Missing):
            main = tuple(route for route in answer if route.table == "main")
            return _note(notebook, main, main, ("rtnetlink", "rtnetlink"))
    ipv4 = notebook.parsed(SOURCE, parse_route)
    ipv6 = notebook.parsed(IPV6_SOURCE, parse_ipv6_route)
    return _note(notebook, ipv4, ipv6, (SOURCE, IPV6_SOURCE))


def _note(
    notebook: Notebook,
    ipv4: tuple[Route, ...] | Missing,
    ipv6: tuple[Route, ...] | Missing,
    sources: tuple[str, str],
) -> str | None:
    best: str | None = None
    for version, routes, source in ((4, ipv4, sources[0]), (6, ipv6, sources[1])):
        if isinstance(routes, Missing):
            notebook.note(f"route.ipv{version}.default", routes, source)
            continue
        defaults = sorted(
            (route for route in routes if route.is_default and route.destination.version == version),
            key=lambda route: route.metric or 0,
        )
        notebook.note(f"route.ipv{version}.default", [_plain(route) for route in defaults], source)
        if version == 4 and defaults:
            best = defaults[0].interface
    if not isinstance(ipv4, Missing):
        own = [route for route in ipv4 if route.mtu is not None or route.mss_bytes is not None]
        notebook.note("route.with_mtu", [_plain(route) for route in own[:MAX_ROUTES]], sources[0])
    return best


def _plain(route: Route) -> dict[str, Any]:
    fields = {
        "destination": str(route.destination),
        "interface": route.interface,
        "gateway": str(route.gateway) if route.gateway else None,
        "metric": route.metric,
        "mtu": route.mtu,
        "mtu_locked": route.mtu_locked or None,
        "mss_bytes": route.mss_bytes,
    }
    return {name: value for name, value in fields.items() if value is not None}
