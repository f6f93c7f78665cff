"""Ping and traceroute results of RIPE Atlas probes, one JSON object per line, firmware 0 (numbers as strings) to 5xxx.

They become the same values as what ping and traceroute print. https://atlas.ripe.net/docs/apis/result-format/
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from agent.kernel.json_values import JsonReader
from agent.kernel.parse_error import ParseError
from agent.kernel.ping import Echo, Ping
from agent.kernel.traceroute import Hop, Reply, Route, as_address, build_hop, has_answered

SOURCE = "ripe-atlas"
_READ = JsonReader(SOURCE)
_MS_PER_SECOND = 1000


@dataclass(frozen=True, slots=True)
class AtlasResult:
    """One measurement of one probe: a ping or a route. error: why the probe could not measure."""

    measurement: int | None
    probe: int | None
    unix_seconds: int | None
    ping: Ping | None
    route: Route | None
    error: str | None


def parse_results(data: bytes) -> tuple[AtlasResult, ...]:
    """Every line's result. Raises ParseError for a line that is none, or of another kind of measurement."""
    lines = data.decode("utf-8", "replace").splitlines()
    results = tuple(_result(line, f"line {n}") for n, line in enumerate(lines, 1) if line.strip())
    if not results:
        raise ParseError(SOURCE, "line 1", "no result")
    return results


def inspect(data: bytes) -> list[dict[str, Any]]:
    """parse_results as plain values."""
    return [asdict(result) for result in parse_results(data)]


def _result(line: str, where: str) -> AtlasResult:
    record = _READ.document(line, where)
    kind = record.get("type")
    if kind not in ("ping", "traceroute"):
        raise ParseError(SOURCE, f"{where}.type", "ping or traceroute was expected", str(kind))
    entries = _READ.sections(record, "result", where)
    errors = [error for entry in entries if (error := _READ.text(entry, "error"))]
    return AtlasResult(
        measurement=_READ.count(record, "msm_id", where),
        probe=_READ.count(record, "prb_id", where),
        unix_seconds=_READ.count(record, "timestamp", where),
        ping=_ping(record, entries, where) if kind == "ping" else None,
        route=_route(record, entries, where) if kind == "traceroute" else None,
        error=errors[0] if errors else None,
    )


def _seconds(record: Mapping[str, Any], key: str, where: str) -> float | None:
    value = _READ.number(record, key, where)
    return None if value is None or value < 0 else value / _MS_PER_SECOND  # -1 stands for no answer


def _target(record: Mapping[str, Any], where: str) -> tuple[str, str | None]:
    address = _READ.text(record, "dst_addr") or _READ.text(record, "addr")
    name = _READ.text(record, "dst_name") or _READ.text(record, "name") or address
    if name is None:
        raise ParseError(SOURCE, f"{where}.dst_name", "missing, and so is dst_addr")
    return name, as_address(address) if address is not None else None


def _ping(record: Mapping[str, Any], entries: list[Mapping[str, Any]], where: str) -> Ping:
    target, address = _target(record, where)
    sent, received = _READ.count(record, "sent", where), _READ.count(record, "rcvd", where)
    if sent is not None and received is not None and received > sent:
        raise ParseError(SOURCE, f"{where}.rcvd", f"{received} of {sent} packets received")
    echoes = tuple(
        Echo(
            sequence=number,
            rtt_seconds=_seconds(entry, "rtt", f"{where}.result"),
            ttl=_READ.count(entry, "ttl", f"{where}.result"),
            duplicate=bool(_READ.count(entry, "dup", f"{where}.result")),
            error=_READ.text(entry, "error"),
        )
        for number, entry in enumerate(entries)
    )
    return Ping(
        target=target,
        address=address,
        data_bytes=_READ.count(record, "size", where),
        sent=sent,
        received=received,
        duplicates=_READ.count(record, "dup", where),
        errors=sum(echo.error is not None for echo in echoes),
        loss_ratio=1 - received / sent if sent and received is not None else None,
        rtt_min_seconds=_seconds(record, "min", where),
        rtt_mean_seconds=_seconds(record, "avg", where),
        rtt_max_seconds=_seconds(record, "max", where),
        rtt_mdev_seconds=None,
        echoes=echoes,
    )


def _route(record: Mapping[str, Any], entries: list[Mapping[str, Any]], where: str) -> Route:
    target, address = _target(record, where)
    hops = tuple(_hop(entry, f"{where}.result") for entry in entries if "error" not in entry)
    return Route(
        target=target,
        address=address,
        source=_READ.text(record, "src_addr"),
        max_hops=None,
        packet_bytes=_READ.count(record, "size", where),
        hops=hops,
        reached=has_answered(address, hops[-1] if hops else None),
    )


def _hop(entry: Mapping[str, Any], where: str) -> Hop:
    """Late answers belong to an earlier probe and are left out."""
    number = _READ.count(entry, "hop", where)
    if number is None or not 0 < number <= 255:
        raise ParseError(SOURCE, f"{where}.hop", "a TTL from 1 to 255 was expected", str(entry.get("hop")))
    replies = [
        _reply(reply, where) for reply in _READ.sections(entry, "result", where) if "late" not in reply
    ]
    return build_hop(number, replies)


def _reply(reply: Mapping[str, Any], where: str) -> Reply:
    address = _READ.text(reply, "from")
    if address is None:
        return Reply()
    parsed = as_address(address)
    if parsed is None:
        raise ParseError(SOURCE, f"{where}.from", "an IP address was expected", address)
    error = reply.get("err")
    return Reply(parsed, None, _seconds(reply, "rtt", where), None, () if error is None else (f"!{error}",))
