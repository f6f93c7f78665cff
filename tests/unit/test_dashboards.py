"""The committed dashboards are what the code builds, and keep the rules that Grafana's own linter has, and ours."""

import json
import re
from itertools import combinations, pairwise

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

import dashboards.__main__ as build
from exported_metrics import unknown
from grafana_view import FOLDER, documents, panels, queries, variables_in

DOCUMENTS = documents()
EACH = pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
UNITS = {
    "s",
    "bytes",
    "bps",
    "percentunit",
    "none",
    "short",
    "cps",
    "pps",
    "reqps",
    "bool_yes_no",
    "string",
    "suffix: B",
}
"""Grafana's ids of the units in use: seconds, IEC bytes, bits/s, 0.0-1.0, counts, packets and requests a second …"""
AS_COUNTED = {"lightfloor_bandwidth_tests_total"}
"""Counters shown as they are: a rate of a few tests a week says nothing."""


def test_the_committed_json_is_what_the_code_builds():
    """`make dashboards` would change nothing."""
    committed = {path.name: path.read_text() for path in FOLDER.glob("*.json")}
    assert committed == build.documents()


@EACH
def test_grafanas_own_model_takes_every_key(document):
    """Read by the SDK's model of the schema and written again, it is the same: no key is unknown or misspelt."""
    register_default_plugins()
    again = json.loads(json.dumps(Dashboard.from_json(document), cls=JSONEncoder))
    for link in again["links"]:
        del link["placement"]
    assert again == document


def test_dashboards_are_told_apart():
    """Every uid and title is there once, and every dashboard lists the others."""
    assert len({document["title"] for document in DOCUMENTS.values()}) == len(build.BOARDS) == len(DOCUMENTS)
    for uid, document in DOCUMENTS.items():
        assert re.fullmatch(r"[a-z0-9-]{1,40}", uid)
        assert document["tags"] == ["lightfloor"]
        assert document["links"][0] | {"type": "dashboards", "tags": ["lightfloor"]} == document["links"][0]


@EACH
def test_panels_have_a_place_and_an_id_of_their_own(document):
    """Ids are unique, nothing overlaps, nothing leaves the grid of 24 columns."""
    ids = [panel["id"] for panel in document["panels"]]
    assert len(set(ids)) == len(ids)
    places = [(panel["title"], panel["gridPos"]) for panel in document["panels"]]
    for title, at in places:
        assert 0 <= at["x"] <= at["x"] + at["w"] <= 24, title
        assert at["w"] > 0 < at["h"], title
    for (one, a), (other, b) in combinations(places, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        above = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert beside or above, (one, other)


@EACH
def test_every_panel_says_what_it_shows(document):
    """A title of its own, and a description in sentences."""
    titles = [panel["title"] for panel in panels(document)]
    assert sorted(set(titles)) == sorted(titles)
    for panel in panels(document):
        assert panel["title"]
        assert re.fullmatch(r"[A-Z0-9].{15,}\.", panel["description"]), panel["title"]


@EACH
def test_everything_asks_the_chosen_data_source(document):
    """Panels, queries, variables and annotations take it from the variable; the file names none."""
    for panel, target in queries(document):
        assert panel["datasource"] == target["datasource"] == DATASOURCE, panel["title"]
    first, *others = document["templating"]["list"]
    assert (first["name"], first["type"], first["query"]) == ("datasource", "datasource", "prometheus")
    for variable in others:
        assert variable["type"] != "query" or variable["datasource"] == DATASOURCE
    assert [annotation["datasource"] for annotation in document["annotations"]["list"]] == [DATASOURCE] * 2


@EACH
def test_every_number_has_its_unit(document):
    """The panel's, or each column's of a table; only ids that Grafana knows."""
    for panel in panels(document):
        units = [panel["fieldConfig"]["defaults"].get("unit")]
        if panel["type"] == "table" and units == [None]:
            of_column = {
                override["matcher"]["options"]: found["value"]
                for override in panel["fieldConfig"]["overrides"]
                for found in override["properties"]
                if found["id"] == "unit"
            }
            units = [of_column.get(name) for name in value_columns(panel)]
            assert units, panel["title"]
        assert set(units) <= UNITS, (panel["title"], units)


def value_columns(panel):
    """Headings of a table's columns that hold a query's value."""
    (names,) = (
        step["options"]["renameByName"] for step in panel["transformations"] if step["id"] == "organize"
    )
    return [shown for name, shown in names.items() if name.startswith("Value")]


@EACH
def test_rates_follow_the_scrape_interval_and_counters_are_rates(document):
    """No range is written out; each counter and histogram is read through rate or increase, no gauge is."""
    for panel, target in queries(document):
        expression = target["expr"]
        for function, selector, window in re.findall(r"(\w+)\((\w+)(?:\{[^}]*\})?\[([^\]]*)\]", expression):
            assert window == "$__rate_interval" or (
                window == "$__range" and function in {"increase", "changes"}
            ), (panel["title"], function, window)
            if function in {"rate", "increase"}:
                assert counts(selector), (panel["title"], selector)
        assert len(re.findall(r"\[", expression)) == len(re.findall(r"\w+\(\w+(?:\{[^}]*\})?\[", expression))
        for name, after in re.findall(r"\b(lightfloor_\w+)(?:\{[^}]*\})?(\[?)", expression):
            assert not name.endswith("_total") or after or name in AS_COUNTED, (panel["title"], name)


def counts(name):
    """Whether a series of this name only grows; histograms without a suffix are native ones."""
    return name.endswith(("_total", "_bucket", "_sum", "_count")) or name in {
        "lightfloor_probe_rtt_seconds",
        "lightfloor_schedule_delay_seconds",
        "lightfloor_udp_variation_forward_seconds",
        "lightfloor_udp_variation_backward_seconds",
        "lightfloor_udp_delay_forward_seconds",
        "lightfloor_udp_delay_backward_seconds",
    }


@EACH
def test_each_variable_is_used_and_each_used_one_is_there(document):
    """Neither orphans nor what Grafana would leave standing as text; variables use only those before them."""
    defined, used = [], set()
    for variable in document["templating"]["list"]:
        inside = {name for name in variables_in(json.dumps(variable)) if not name.startswith("__")}
        assert inside <= set(defined), variable["name"]
        used |= inside
        defined.append(variable["name"])
    assert len(set(defined)) == len(defined)
    used |= variables_in(json.dumps([document["panels"], document["links"], document["annotations"]]))
    assert {name for name in used if not name.startswith("__")} == set(defined)


@EACH
def test_links_lead_to_dashboards_and_variables_that_exist(document):
    """Each link of a panel names a dashboard of ours and only variables that it has."""
    for uid, query in re.findall(r'/d/([\w-]+)\?([^"]*)', json.dumps(document)):
        there = {variable["name"] for variable in DOCUMENTS[uid]["templating"]["list"]}
        assert "${__url_time_range}" in query
        assert set(re.findall(r"var-(\w+)=", query)) <= there, (uid, query)


@EACH
def test_queries_name_metrics_that_exist(document):
    """Agents, the collector or a recording rule make every metric that a panel, a variable or an annotation asks for."""
    expressions = [target["expr"] for _, target in queries(document)]
    expressions += [variable.get("definition", "") for variable in document["templating"]["list"]]
    expressions += [annotation["expr"] for annotation in document["annotations"]["list"]]
    assert unknown(expressions) == set()


@EACH
def test_queries_of_a_panel_are_told_apart(document):
    """Their ids are A, B, C …; thresholds ascend from minus infinity."""
    for panel in panels(document):
        ids = [target["refId"] for target in panel["targets"]]
        assert ids == [chr(ord("A") + index) for index in range(len(ids))]
        steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
        assert [step["value"] for step in steps[:1]] in ([], [None])
        assert all(one["value"] < other["value"] for one, other in pairwise(steps[1:])), panel["title"]


def test_provisioning_finds_the_dashboards_and_names_the_scrape_interval():
    """Grafana's two provisioning files: a folder of ours, read only, and a Prometheus whose interval is the shipped one."""
    folder = FOLDER.parents[1] / "deploy/grafana/provisioning"
    (provider,) = yaml.safe_load((folder / "dashboards/lightfloor.yaml").read_text())["providers"]
    assert provider["allowUiUpdates"] is False
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards/lightfloor"
    (source,) = yaml.safe_load((folder / "datasources/lightfloor.yaml").read_text())["datasources"]
    shipped = yaml.safe_load((FOLDER.parents[1] / "deploy/prometheus/prometheus.example.yml").read_text())
    assert source["type"] == DATASOURCE["type"]
    assert source["jsonData"]["timeInterval"] == shipped["global"]["scrape_interval"]
    assert source["jsonData"]["httpMethod"] == "POST"
