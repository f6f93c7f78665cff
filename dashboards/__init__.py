"""Grafana dashboards as code. `python -m dashboards` builds dashboards/json, which Grafana provisions (docs/grafana.md)."""
