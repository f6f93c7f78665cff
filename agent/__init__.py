"""The agent that runs on every node: probes, reads its kernel, exports, and hands windows to the collector."""

__version__ = "0.1.0"
