"""Which nodes have spoken, and when."""

import sqlite3
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """last_batch_s: when a batch came; last_window_s: start of its latest minute; None before the first."""

    name: str
    last_batch_s: int | None
    last_window_s: int | None
    enrolled: bool


def node_statuses(connection: sqlite3.Connection) -> list[NodeStatus]:
    """Every node that ever enrolled or sent something, by name."""
    rows = connection.execute(
        "SELECT name, last_batch_s, last_window_s, EXISTS (SELECT 1 FROM token WHERE token.node = node.id)"
        " FROM node ORDER BY name"
    )
    return [NodeStatus(name, batch_s, window_s, bool(enrolled)) for name, batch_s, window_s, enrolled in rows]
