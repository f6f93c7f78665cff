"""How both programs serve HTTP: TLS, authentication and headers by Prometheus' web configuration file (docs/adr/0009)."""
