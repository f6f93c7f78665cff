"""GET /v1/nodes: every server of the fleet and every one that has spoken, and what is known of it."""

from typing import Any

import msgspec

from agent.wire.series import Name
from collector.api.operation import Operation, Paging, get
from collector.fleet import Fleet
from collector.live import LiveFleet
from collector.period import utc
from collector.problem import ProblemError
from collector.questions import Questions
from collector.store.evidence import StoredFact, load_facts
from collector.store.nodes import NodeStatus, node_statuses


class NodeState(msgspec.Struct, frozen=True, kw_only=True):
    """One node. in_fleet: the fleet file has it now; what only that file tells is null without. last_batch: when the
    agent last sent something, last_window: start of the latest minute that it sent; null before the first.
    """

    name: Name
    in_fleet: bool
    enrolled: bool
    last_batch: str | None
    last_window: str | None
    provider: str | None = None
    site: str | None = None
    region: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    ipv4: str | None = None
    ipv6: str | None = None
    role: str | None = None
    image: str | None = None
    tags: tuple[str, ...] = ()


class NodeFact(msgspec.Struct, frozen=True):
    """One fact of a host. value null: it could not be read, for this reason. changed, seen: since and until when."""

    name: Name
    value: Any
    source: str
    reason: str | None
    changed: str
    seen: str


class NodesParameters(Paging, frozen=True, kw_only=True):
    """Of all nodes, or of one provider's in the fleet file."""

    provider: Name | None = None


class FactsParameters(Paging, frozen=True, kw_only=True):
    """GET /v1/nodes/{node}/facts."""

    node: Name


class NodesApi:
    """Answers from the store and the fleet file in force."""

    def __init__(self, questions: Questions, fleet: LiveFleet) -> None:
        self._questions = questions
        self._fleet = fleet

    def operations(self) -> list[Operation]:
        """For the API."""
        unknown = {404: "the node is not in the fleet file and never spoke"}
        return [
            get(
                "/v1/nodes", "Every node and when it last spoke", NodesParameters, list[NodeState], self.nodes
            ),
            get(
                "/v1/nodes/{node}/facts",
                "What a node's agent found of its host",
                FactsParameters,
                list[NodeFact],
                self.facts,
                unknown,
            ),
        ]

    async def nodes(self, asked: NodesParameters) -> list[NodeState]:
        """In order of name."""
        found = states_of(self._fleet.current, await self._questions.ask(node_statuses))
        return [each for each in found if asked.provider in (None, each.provider)]

    async def facts(self, asked: FactsParameters) -> list[NodeFact]:
        """In order of name. Raises ProblemError."""
        fleet, name = self._fleet.current, asked.node
        statuses, facts = await self._questions.ask(
            lambda connection: (node_statuses(connection), list(load_facts(connection, name)))
        )
        if name not in fleet.nodes and name not in {status.name for status in statuses}:
            raise ProblemError(404, f"no node is called {name}; GET /v1/nodes lists them")
        return [_shown(each) for each in facts]


def states_of(fleet: Fleet, statuses: list[NodeStatus]) -> list[NodeState]:
    """Both sides joined by name, in its order."""
    spoken = {status.name: status for status in statuses}
    return [_state(fleet, name, spoken.get(name)) for name in sorted(fleet.nodes.keys() | spoken.keys())]


def _state(fleet: Fleet, name: str, status: NodeStatus | None) -> NodeState:
    heard: dict[str, Any] = {
        "enrolled": status is not None and status.enrolled,
        "last_batch": None if status is None else _time(status.last_batch_s),
        "last_window": None if status is None else _time(status.last_window_s),
    }
    node = fleet.nodes.get(name)
    if node is None:
        return NodeState(name=name, in_fleet=False, **heard)
    place = fleet.coordinates[node.site]
    return NodeState(
        name=name,
        in_fleet=True,
        provider=node.provider,
        site=node.site,
        region=fleet.sites[node.site].region,
        latitude=None if place is None else place.latitude,
        longitude=None if place is None else place.longitude,
        ipv4=node.ipv4,
        ipv6=node.ipv6,
        role=node.role,
        image=node.image,
        tags=node.tags,
        **heard,
    )


def _shown(stored: StoredFact) -> NodeFact:
    fact = stored.fact
    return NodeFact(fact.name, fact.value, fact.source, fact.reason, utc(fact.time_s), utc(stored.seen_s))


def _time(time_s: int | None) -> str | None:
    return None if time_s is None else utc(time_s)
