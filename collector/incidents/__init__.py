"""Incidents: breaches of single paths joined over time and over the mesh, each with its one cause. docs/incidents.md."""
