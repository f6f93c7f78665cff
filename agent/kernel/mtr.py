"""What `mtr --json` prints (0.87, with every number a string, to 0.95)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from agent.kernel.json_values import JsonReader
from agent.kernel.parse_error import ParseError

SOURCE = "mtr"
_READ = JsonReader(SOURCE)
_MS_PER_SECOND = 1000
_UNKNOWN = frozenset({"???", "AS???"})


@dataclass(frozen=True, slots=True)
class MtrHop:
    """One TTL. host None and no times: nobody answered; mtr prints zeros then. deviation: standard deviation."""

    number: int
    host: str | None
    as_number: str | None
    sent: int | None
    loss_ratio: float | None
    rtt_last_seconds: float | None
    rtt_min_seconds: float | None
    rtt_mean_seconds: float | None
    rtt_max_seconds: float | None
    rtt_deviation_seconds: float | None


@dataclass(frozen=True, slots=True)
class MtrReport:
    """One report. None: not printed by this version."""

    source: str | None
    destination: str | None
    tests: int | None
    packet_bytes: int | None
    hops: tuple[MtrHop, ...]


def parse_mtr(data: bytes) -> MtrReport:
    """The report in data. Raises ParseError where there is none."""
    text = data.decode("utf-8", "replace")
    if not text.lstrip().startswith("{"):
        raise ParseError(SOURCE, "line 1", "no JSON; run mtr --json", text.strip())
    report = _READ.section(_READ.document(text), "report", "document")
    head = _READ.section(report, "mtr", "report")
    hubs = _READ.sections(report, "hubs", "report")
    if not hubs:
        raise ParseError(SOURCE, "report.hubs", "no hop: not a report of mtr, or it was stopped at once")
    size = head.get("psize")
    return MtrReport(
        source=_READ.text(head, "src"),
        destination=_READ.text(head, "dst"),
        tests=_READ.count(head, "tests", "report.mtr"),
        packet_bytes=None if size == "rand" else _READ.count(head, "psize", "report.mtr"),
        hops=tuple(_hop(hub, f"report.hubs[{index}]") for index, hub in enumerate(hubs)),
    )


def inspect(data: bytes) -> dict[str, Any]:
    """parse_mtr as plain values."""
    return asdict(parse_mtr(data))


def _hop(hub: Mapping[str, Any], where: str) -> MtrHop:
    number = _READ.count(hub, "count", where)
    loss = _READ.number(hub, "Loss%", where)
    if number is None or not 0 < number <= 255:
        raise ParseError(SOURCE, f"{where}.count", "a TTL from 1 to 255 was expected", str(hub.get("count")))
    if loss is not None and not 0 <= loss <= 100:
        raise ParseError(SOURCE, f"{where}.Loss%", "a percentage was expected", str(loss))
    host, as_number = _READ.text(hub, "host"), _READ.text(hub, "ASN")
    silent = host in _UNKNOWN or loss == 100

    def seconds(key: str) -> float | None:
        value = _READ.number(hub, key, where)
        return None if value is None or silent else value / _MS_PER_SECOND

    return MtrHop(
        number=number,
        host=None if host in _UNKNOWN else host,
        as_number=None if as_number in _UNKNOWN else as_number,
        sent=_READ.count(hub, "Snt", where),
        loss_ratio=None if loss is None else loss / 100,
        rtt_last_seconds=seconds("Last"),
        rtt_min_seconds=seconds("Best"),
        rtt_mean_seconds=seconds("Avg"),
        rtt_max_seconds=seconds("Wrst"),
        rtt_deviation_seconds=seconds("StDev"),
    )
