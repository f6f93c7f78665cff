"""A dashboard's JSON as Grafana reads it: its panels, its variables resolved by a Prometheus, its queries ready to ask.

Follows Grafana's documentation of variables: `label_values(selector, label)`, All of a variable without an own value
for it is a regular expression of its options, and options depend on the variables before.
"""

import json
import re
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "dashboards/json"
VARIABLE = re.compile(r"\$\{(\w+)(?:[:.][^}]*)?\}|\$(\w*[A-Za-z_]\w*)")
LABEL_VALUES = re.compile(r"label_values\((.+), (\w+)\)")


def documents():
    """uid → every committed dashboard."""
    found = [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]
    return {document["uid"]: document for document in found}


def panels(document):
    """Without the headings."""
    return [panel for panel in document["panels"] if panel["type"] != "row"]


def queries(document):
    """(panel, target) of all panels."""
    return [(panel, target) for panel in panels(document) for target in panel["targets"]]


def variables_in(text):
    """Names of the variables that a text uses."""
    return {first or second for first, second in VARIABLE.findall(text)}


def filled(text, values):
    """The text with the values of the variables in place of them; what has none stays."""
    return VARIABLE.sub(lambda found: str(values.get(found[1] or found[2], found[0])), text)


class View:
    """A dashboard opened on a Prometheus: what is not chosen is what Grafana would choose at first."""

    def __init__(self, document, prometheus, rate_interval="10s", span="1m", **chosen):
        self._prometheus = prometheus
        self.values = {"__rate_interval": rate_interval, "__range": span, **chosen}
        self.options = {}
        for variable in document["templating"]["list"]:
            if variable["type"] == "query":
                self._resolve(variable)
            elif variable["type"] == "custom":
                self.values.setdefault(variable["name"], variable["current"]["value"])

    def _resolve(self, variable):
        selector, label = LABEL_VALUES.fullmatch(variable["query"]["query"]).groups()
        found = self._prometheus.get(f"label/{label}/values", **{"match[]": self.filled(selector)})
        name, current = variable["name"], variable.get("current", {}).get("value")
        self.options[name] = found
        if name in self.values:
            return
        if variable["includeAll"]:
            self.values[name] = variable.get("allValue") or f"({'|'.join(found)})"
        elif found:
            self.values[name] = current if current in found else found[0]

    def filled(self, text):
        """The text with this view's values."""
        return filled(text, self.values)

    def ask(self, target):
        """Label sets of the series that have a number: of the moment, or in the last minute."""
        expression = self.filled(target["expr"])
        if target["instant"]:
            answer = self._prometheus.get("query", query=expression)["result"]
            return [series["metric"] for series in answer if series["value"][1] != "NaN"]
        now = time.time()
        answer = self._prometheus.get("query_range", query=expression, start=now - 60, end=now, step=5)[
            "result"
        ]
        return [
            series["metric"]
            for series in answer
            if "histograms" in series or any(value != "NaN" for _, value in series["values"])
        ]
