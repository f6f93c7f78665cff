"""GET /v1/sd/prometheus: every agent's /metrics as Prometheus' http_sd_config wants it, with the fleet file's labels."""

from typing import TypedDict

from collector.api.operation import Operation, Parameters, get
from collector.fleet import Fleet
from collector.live import LiveFleet


class TargetGroup(TypedDict):
    """One element of the answer (prometheus.io/docs/prometheus/latest/http_sd)."""

    targets: list[str]
    labels: dict[str, str]


def target_groups(fleet: Fleet) -> list[TargetGroup]:
    """One group for each node: its IPv4 address, or else its IPv6 one, at its metrics_port.

    Labels: node, provider, site; region, role and image where the fleet file states them; tags as `,tag,tag,`.
    """
    groups: list[TargetGroup] = []
    for name in sorted(fleet.agents):
        node = fleet.nodes[name]
        region = fleet.sites[node.site].region
        labels = {"node": name, "provider": node.provider, "site": node.site}
        labels |= {
            key: text
            for key, text in (("region", region), ("role", node.role), ("image", node.image))
            if text
        }
        if node.tags:
            labels["tags"] = f",{','.join(node.tags)},"
        host = node.ipv4 or f"[{node.ipv6}]"
        groups.append({"targets": [f"{host}:{node.metrics_port}"], "labels": labels})
    return groups


class Discovery:
    """Answers from the fleet file in force."""

    def __init__(self, fleet: LiveFleet) -> None:
        self._fleet = fleet

    def operations(self) -> list[Operation]:
        """For the API."""
        return [
            get(
                "/v1/sd/prometheus",
                "Every agent's /metrics, for Prometheus' http_sd_config",
                Parameters,
                list[TargetGroup],
                self.targets,
            )
        ]

    async def targets(self, _asked: Parameters) -> list[TargetGroup]:
        """Prometheus asks again at its refresh_interval."""
        return target_groups(self._fleet.current)
