"""`python -m dashboards`: build every dashboard into dashboards/json."""

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import agents, bandwidth, fleet, mtu, node, path, sla, tcp
from dashboards.board import Board, build_dashboard

BOARDS: tuple[Board, ...] = (
    fleet.BOARD,
    path.BOARD,
    node.BOARD,
    sla.BOARD,
    tcp.BOARD,
    mtu.BOARD,
    bandwidth.BOARD,
    agents.BOARD,
)
FOLDER = Path(__file__).parent / "json"


def documents() -> dict[str, str]:
    """File name → JSON text, as it is committed."""
    return {f"{board.uid}.json": _text(board) for board in BOARDS}


def _text(board: Board) -> str:
    document = json.loads(json.dumps(build_dashboard(board), cls=JSONEncoder))
    for link in document["links"]:
        del link["placement"]  # the SDK would have them in a menu that Grafana has since 12 only
    return json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    for name, text in documents().items():
        (FOLDER / name).write_text(text)
