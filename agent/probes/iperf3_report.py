"""One finished iperf3 run, from its JSON (iperf 3.0 to 3.22, client or server side).

A direction's throughput is what its receiver counted, where this output has it; the sender's count is the fallback,
because the sender also counts what still sat in its socket buffer or was lost. `measured_by` says which.
A server's output holds zeros for what only its client knows (iperf_print_results); they are unknown here, not zero.
RTT, its variance, congestion window and path MTU are TCP_INFO of the sending socket, so they are known
only in directions that the reporting host sent; iperf3 prints its receiving sockets' values there otherwise.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from agent.kernel.json_values import JsonReader
from agent.kernel.parse_error import ParseError
from agent.probes.iperf3_json import SOURCE, read_document

READ = JsonReader(SOURCE)
US_PER_SECOND = 1_000_000
MS_PER_SECOND = 1_000


@dataclass(frozen=True, slots=True)
class Counted:
    """What one end counted in one direction, all streams together."""

    bytes: int
    duration_seconds: float | None
    bits_per_second: float | None


@dataclass(frozen=True, slots=True)
class Interval:
    """One reporting interval of one direction, all streams together. omitted: within -O, not part of the totals.

    rtt_seconds: mean over the streams; cwnd_bytes: their sum, what the sender may have in flight.
    """

    start_seconds: float | None
    end_seconds: float | None
    bytes: int | None
    bits_per_second: float | None
    retransmits: int | None
    rtt_seconds: float | None
    cwnd_bytes: int | None
    packets: int | None
    lost_packets: int | None
    jitter_seconds: float | None
    omitted: bool


@dataclass(frozen=True, slots=True)
class Direction:
    """One direction of the run. None is unknown: not printed by this version, or not counted at this end.

    bits_per_second, bytes, duration_seconds: by the end named in measured_by; bits_per_second is None where that end
    counted no byte, which is no throughput. rtt_*_seconds: over all streams, min of mins, mean of means, max of maxes.
    loss_ratio: lost_packets / packets, of datagrams. pmtu_bytes: the smallest seen.
    """

    measured_by: Literal["receiver", "sender"]
    bits_per_second: float | None
    bytes: int
    duration_seconds: float | None
    sender: Counted | None
    receiver: Counted | None
    retransmits: int | None
    cwnd_max_bytes: int | None
    rtt_min_seconds: float | None
    rtt_mean_seconds: float | None
    rtt_max_seconds: float | None
    rttvar_mean_seconds: float | None
    pmtu_bytes: int | None
    congestion_algorithm: str | None
    jitter_seconds: float | None
    lost_packets: int | None
    packets: int | None
    loss_ratio: float | None
    out_of_order: int | None
    intervals: tuple[Interval, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """One run. forward: client to server; reverse: server to client; both in a --bidir run.

    role: which end printed it. mss_bytes: of the control connection, or as set by -M; not proof of the path's MSS.
    cpu_*_ratio: of one core; remote is the other end's, None in a server's output.
    """

    version: str | None
    role: Literal["client", "server"]
    protocol: str
    parallel_streams: int | None
    started_unix_seconds: int | None
    omitted_seconds: float | None
    target_bits_per_second: float | None
    mss_bytes: int | None
    cpu_local_ratio: float | None
    cpu_remote_ratio: float | None
    forward: Direction | None
    reverse: Direction | None


def parse_report(data: bytes) -> Report:
    """The report in data. Raises ParseError, with iperf3's own reason where it gave one, for any unfinished run."""
    document = read_document(data)
    start, end = document["start"], document["end"]
    test = READ.section(start, "test_start", "start")
    role: Literal["client", "server"] = "server" if "accepted_connection" in start else "client"
    protocol = _protocol(test, end)
    bidirectional = any(key.endswith("_bidir_reverse") for key in end)
    backwards = bool(READ.number(test, "reverse", "start.test_start"))
    names = ("forward", "reverse") if bidirectional else ("reverse",) if backwards else ("forward",)
    directions = {name: _direction(document, role, protocol, name, bidirectional) for name in names}
    if not any(each and each.bytes for way in directions.values() for each in (way.sender, way.receiver)):
        raise ParseError(SOURCE, "end", "neither end counted a byte: nothing was transferred")
    cpu = READ.section(end, "cpu_utilization_percent", "end")
    mss = READ.count(start, "tcp_mss", "start") or READ.count(start, "tcp_mss_default", "start")
    return Report(
        version=READ.text(start, "version"),
        role=role,
        protocol=protocol,
        parallel_streams=READ.count(test, "num_streams", "start.test_start"),
        started_unix_seconds=READ.count(
            READ.section(start, "timestamp", "start"), "timesecs", "start.timestamp"
        ),
        omitted_seconds=READ.number(test, "omit", "start.test_start"),
        target_bits_per_second=READ.number(test, "target_bitrate", "start.test_start") or None,
        mss_bytes=mss or None,
        cpu_local_ratio=_percent(cpu, "host_total"),
        cpu_remote_ratio=_percent(cpu, "remote_total") if role == "client" else None,
        forward=directions.get("forward"),
        reverse=directions.get("reverse"),
    )


def inspect(data: bytes) -> dict[str, Any]:
    """parse_report as plain values."""
    return asdict(parse_report(data))


def _protocol(test: Mapping[str, Any], end: Mapping[str, Any]) -> str:
    named = test.get("protocol")
    if isinstance(named, str):
        return named.lower()
    streams = READ.sections(end, "streams", "end")
    if not streams:
        raise ParseError(SOURCE, "end.streams", "missing: the run did not finish")
    return "udp" if any("udp" in stream for stream in streams) else "tcp"


def _direction(
    document: Mapping[str, Any], role: str, protocol: str, name: str, bidirectional: bool
) -> Direction:
    end = document["end"]
    suffix = "_bidir_reverse" if bidirectional and name == "reverse" else ""
    sends = (role == "client") == (name == "forward")
    sender, receiver = _counts(end, suffix, role, sends)
    shown = receiver or sender
    if shown is None:
        raise ParseError(
            SOURCE, f"end.sum_received{suffix}", "missing, and so is the sender's: the run did not finish"
        )
    streams = [s for s in READ.sections(end, "streams", "end") if not bidirectional or _sent(s) == sends]
    raw_intervals = READ.sections(document, "intervals", "report")
    samples = _samples(raw_intervals, bidirectional, sends)
    sent_sum = READ.section(end, f"sum_sent{suffix}", "end")
    told = role == "client" or not sends
    return Direction(
        measured_by="receiver" if receiver else "sender",
        bits_per_second=shown.bits_per_second,
        bytes=shown.bytes,
        duration_seconds=shown.duration_seconds,
        sender=sender,
        receiver=receiver,
        retransmits=READ.count(sent_sum, "retransmits", "end.sum_sent"),
        congestion_algorithm=READ.text(end, "sender_tcp_congestion") if sends or role == "client" else None,
        intervals=tuple(_interval(raw, bool(suffix), sends, bidirectional) for raw in raw_intervals),
        **_sender_tcp(streams if sends else [], samples if sends else []),
        **_datagrams(end, suffix, streams if told and protocol == "udp" else []),
    )


def _counts(
    end: Mapping[str, Any], suffix: str, role: str, sends: bool
) -> tuple[Counted | None, Counted | None]:
    """(sender's, receiver's) totals. Only a client is told the other end's; what nobody told is None."""
    sent, received = _counted(end, f"sum_sent{suffix}"), _counted(end, f"sum_received{suffix}")
    if sent is None and received is None:
        sent = _counted(end, f"sum{suffix}")  # UDP before 3.12: one sum, with the sender's bytes
    if role == "server":
        return (sent, None) if sends else (None, received or sent)
    return sent, received


def _counted(end: Mapping[str, Any], key: str) -> Counted | None:
    total = READ.section(end, key, "end")
    size = READ.count(total, "bytes", f"end.{key}")
    if size is None:
        return None
    rate = READ.number(total, "bits_per_second", f"end.{key}")
    return Counted(size, READ.number(total, "seconds", f"end.{key}"), rate if size and rate else None)


def _sent(stream: Mapping[str, Any]) -> bool:
    """Whether the reporting host sent this stream of a --bidir run (each stream then says so, since 3.7)."""
    return any(part.get("sender") is True for part in stream.values() if isinstance(part, dict))


def _samples(
    intervals: Iterable[Mapping[str, Any]], bidirectional: bool, sends: bool
) -> list[Mapping[str, Any]]:
    """Every counted (not omitted) stream record of the intervals that belongs to the direction."""
    return [
        stream
        for interval in intervals
        for stream in READ.sections(interval, "streams", "intervals")
        if stream.get("omitted") is not True and (not bidirectional or stream.get("sender") is sends)
    ]


def _sender_tcp(streams: list[Mapping[str, Any]], samples: list[Mapping[str, Any]]) -> dict[str, Any]:
    """TCP_INFO of the sending sockets: per stream since 3.1.x, per interval where the summary lacks it."""
    ends = [READ.section(stream, "sender", "end.streams") for stream in streams]

    def known(records: list[Mapping[str, Any]], key: str) -> list[int]:
        return [value for record in records if (value := READ.count(record, key, "streams"))]

    windows = known(ends, "max_snd_cwnd") or known(samples, "snd_cwnd")
    rtts = known(samples, "rtt")
    low, mean, high = (
        known(ends, "min_rtt") or rtts,
        known(ends, "mean_rtt") or rtts,
        known(ends, "max_rtt") or rtts,
    )
    variances, mtus = known(samples, "rttvar"), known(samples, "pmtu")
    return {
        "cwnd_max_bytes": max(windows, default=None),
        "rtt_min_seconds": min(low) / US_PER_SECOND if low else None,
        "rtt_mean_seconds": sum(mean) / len(mean) / US_PER_SECOND if mean else None,
        "rtt_max_seconds": max(high) / US_PER_SECOND if high else None,
        "rttvar_mean_seconds": sum(variances) / len(variances) / US_PER_SECOND if variances else None,
        "pmtu_bytes": min(mtus, default=None),
    }


def _datagrams(end: Mapping[str, Any], suffix: str, streams: list[Mapping[str, Any]]) -> dict[str, Any]:
    """The receiver's view of the datagrams; unknown without streams. iperf 3.1 may print lost_packets below zero."""
    key = f"sum_received{suffix}" if f"sum_received{suffix}" in end else f"sum{suffix}"
    total = READ.section(end, key, "end") if streams else {}
    jitter = READ.number(total, "jitter_ms", f"end.{key}")
    lost, packets = (
        READ.count(total, "lost_packets", f"end.{key}"),
        READ.count(total, "packets", f"end.{key}"),
    )
    late = [
        READ.count(READ.section(stream, "udp", "end.streams"), "out_of_order", "end.streams.udp")
        for stream in streams
    ]
    counted = [value for value in late if value is not None]
    return {
        "jitter_seconds": None if jitter is None else jitter / MS_PER_SECOND,
        "lost_packets": lost,
        "packets": packets,
        "loss_ratio": lost / packets if lost is not None and packets and lost <= packets else None,
        "out_of_order": sum(counted) if counted else None,
    }


def _interval(raw: Mapping[str, Any], second: bool, sends: bool, bidirectional: bool) -> Interval:
    key = "sum_bidir_reverse" if second else "sum"
    total, where = READ.section(raw, key, "intervals"), f"intervals.{key}"
    streams = _samples([raw], bidirectional, sends) if sends else []
    rtts = [value for stream in streams if (value := READ.count(stream, "rtt", where))]
    windows = [value for stream in streams if (value := READ.count(stream, "snd_cwnd", where))]
    jitter = READ.number(total, "jitter_ms", where)
    return Interval(
        start_seconds=READ.number(total, "start", where),
        end_seconds=READ.number(total, "end", where),
        bytes=READ.count(total, "bytes", where),
        bits_per_second=READ.number(total, "bits_per_second", where),
        retransmits=READ.count(total, "retransmits", where),
        rtt_seconds=sum(rtts) / len(rtts) / US_PER_SECOND if rtts else None,
        cwnd_bytes=sum(windows) if windows else None,
        packets=READ.count(total, "packets", where),
        lost_packets=READ.count(total, "lost_packets", where),
        jitter_seconds=None if jitter is None else jitter / MS_PER_SECOND,
        omitted=total.get("omitted") is True,
    )


def _percent(cpu: Mapping[str, Any], key: str) -> float | None:
    value = READ.number(cpu, key, "end.cpu_utilization_percent")
    return None if value is None else value / 100
