"""Which node measures which: groups of nodes and the shapes they form. Pure."""

from collections.abc import Iterable, Iterator
from typing import Annotated

import msgspec

from agent.wire.assignment import ProbeSpec
from agent.wire.series import Name

SHAPES = {
    "mesh": ({"nodes"}, set()),  # every node to every other
    "star": ({"hub", "nodes"}, {"hub"}),  # the hub to every other node, and back
    "disjoint": ({"a", "b"}, {"a", "b"}),  # every node of a to every node of b, and back
    "pairs": ({"pairs"}, {"pairs"}),  # just these, each [source, destination]
}
"""Shape → (keys it takes, keys it needs). Mesh and star take all nodes of the fleet where none are named."""

Nodes = Annotated[tuple[Name, ...], msgspec.Meta(min_length=1)]


class Group(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A shape over nodes, and what each of its directed pairs runs."""

    name: Name
    shape: str = "mesh"
    nodes: Nodes | None = None
    hub: Name | None = None
    a: Nodes | None = None
    b: Nodes | None = None
    pairs: Annotated[tuple[tuple[Name, Name], ...], msgspec.Meta(min_length=1)] | None = None
    probes: Annotated[tuple[ProbeSpec, ...], msgspec.Meta(min_length=1)] = (ProbeSpec("tcp"),)

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise ValueError(f"shape is one of {', '.join(SHAPES)}, not {self.shape!r}")
        takes, needs = SHAPES[self.shape]
        given = {key for key in ("nodes", "hub", "a", "b", "pairs") if getattr(self, key) is not None}
        if needs - given:
            raise ValueError(f"shape {self.shape} needs {' and '.join(sorted(needs - given))}")
        if given - takes:
            raise ValueError(f"shape {self.shape} takes no {' or '.join(sorted(given - takes))}")
        both = sorted(set(self.a or ()) & set(self.b or ()))
        if both:
            raise ValueError(f"a and b share no node; both hold {', '.join(both)}")
        for source, destination in self.pairs or ():
            if source == destination:
                raise ValueError(f"a node does not measure itself: {source}")

    def directed_pairs(self, fleet_nodes: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        """Each (source, destination) of the shape."""
        nodes = fleet_nodes if self.nodes is None else self.nodes
        match self.shape:
            case "mesh":
                return ((x, y) for x in nodes for y in nodes if x != y)
            case "star":
                hub = self.hub or ""
                return (pair for n in nodes if n != hub for pair in ((hub, n), (n, hub)))
            case "disjoint":
                return (pair for x in self.a or () for y in self.b or () for pair in ((x, y), (y, x)))
            case _:
                return iter(self.pairs or ())

    def named_nodes(self) -> Iterator[tuple[str, str]]:
        """(key, node name) for each place in the group that names a node."""
        if self.hub is not None:
            yield "hub", self.hub
        for key in ("nodes", "a", "b"):
            for i, name in enumerate(getattr(self, key) or ()):
                yield f"{key}[{i}]", name
        for i, pair in enumerate(self.pairs or ()):
            for j, name in enumerate(pair):
                yield f"pairs[{i}][{j}]", name


def probes_by_pair(
    groups: Iterable[Group], fleet_nodes: tuple[str, ...]
) -> dict[tuple[str, str], tuple[ProbeSpec, ...]]:
    """What each directed pair runs. Where two groups give a pair the same kind, the shorter interval wins."""
    chosen: dict[tuple[str, str], dict[str, ProbeSpec]] = {}
    for group in groups:
        for pair in group.directed_pairs(fleet_nodes):
            kinds = chosen.setdefault(pair, {})
            for spec in group.probes:
                known = kinds.get(spec.kind)
                if known is None or spec.interval_seconds < known.interval_seconds:
                    kinds[spec.kind] = spec
    return {pair: tuple(kinds.values()) for pair, kinds in chosen.items()}
