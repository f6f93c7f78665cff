"""The choices at the top of a dashboard. Each narrows the next: provider, region, node, destination.

Only `node` and `destination` stand in queries: what a provider and a region leave is what they list. That is why they
have no custom "all" value: "All" then means all that are listed, and not all that there are.
"""

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard
from grafana_foundation_sdk.models.common import DataSourceRef

DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
COLLECTOR_URL = "http://127.0.0.1:10990"
"""Where the collector's pages are for whoever looks; docs/grafana.md says how to set another."""

Variable = build.DatasourceVariable | build.QueryVariable | build.CustomVariable | build.TextBoxVariable


def datasource() -> Variable:
    """Which Prometheus."""
    return build.DatasourceVariable("datasource").label("Data source").type("prometheus")


def collector() -> Variable:
    """Base URL of the collector's pages, for links."""
    return (
        build.TextBoxVariable("collector")
        .label("Collector page")
        .description("Where the links to the collector's pages lead")
        .default_value(COLLECTOR_URL)
    )


def provider() -> Variable:
    """Providers of the fleet file."""
    return _several("provider", "Provider", "label_values(lightfloor_node_info, provider)").all_value(".*")


def region() -> Variable:
    """Regions of those providers. All includes sites without a region."""
    query = 'label_values(lightfloor_node_info{provider=~"$provider"}, region)'
    return _several("region", "Region", query).all_value(".*")


def nodes(label: str = "Node") -> Variable:
    """Any number of nodes of those providers and regions."""
    query = 'label_values(lightfloor_node_info{provider=~"$provider",region=~"$region"}, node)'
    return _several("node", label, query)


def one_node(label: str = "Node") -> Variable:
    """One node of those providers and regions."""
    query = 'label_values(lightfloor_node_info{provider=~"$provider",region=~"$region"}, node)'
    return _query("node", label, query)


def one_destination() -> Variable:
    """One of the nodes that the chosen one probes."""
    query = 'label_values(lightfloor_probe_outcomes_total{node="$node"}, destination)'
    return _query("destination", "Destination", query)


def destinations() -> Variable:
    """Any number of the nodes that the chosen ones probe."""
    query = 'label_values(lightfloor_probe_outcomes_total{node=~"$node"}, destination)'
    return _several("destination", "Destination", query)


def probe() -> Variable:
    """One kind of probe, of those whose round trips the collector judges."""
    return _query("probe", "Probe", "label_values(lightfloor_sla_p99_seconds, probe)").current(_option("tcp"))


def family() -> Variable:
    """One address family."""
    return _query("family", "Family", "label_values(lightfloor_sla_p99_seconds, family)").current(
        _option("ipv4")
    )


def budget_period() -> Variable:
    """What a budget is of: the last 30 days, or the calendar month so far."""
    return (
        build.CustomVariable("period")
        .label("Budget of")
        .values("30d,month")
        .current(_option("30d"))
        .options([_option("30d"), dashboard.VariableOption(selected=False, text="month", value="month")])
    )


def _option(value: str) -> dashboard.VariableOption:
    return dashboard.VariableOption(selected=True, text=value, value=value)


def _query(name: str, label: str, query: str) -> build.QueryVariable:
    return (
        build.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query({"query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"})
        .definition(query)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.NATURAL_ASC)
    )


def _several(name: str, label: str, query: str) -> build.QueryVariable:
    everything = dashboard.VariableOption(selected=True, text="All", value="$__all")
    return _query(name, label, query).multi(True).include_all(True).current(everything)
