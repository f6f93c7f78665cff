"""iperf3: throughput, retransmissions, jitter and loss of a bandwidth test; command lines of its client and server.

Needs iperf3 3.10 or newer on both ends (--idle-timeout, --server-bitrate-limit). What it prints is read by
iperf3_report. A run that did not finish gives a reason and no figure, whatever it had measured until then.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal

import msgspec

from agent.bandwidth_slot import SlotTakenError
from agent.kernel.parse_error import ParseError
from agent.net.process import ProcessResult
from agent.probes.iperf3_report import READ, Direction, Report, parse_report
from agent.sample import Burst, Measure, Sample, Target
from agent.wire.series import Outcome

PROGRAM = "iperf3"
DEADLINE_MARGIN_SECONDS = 5.0
PositiveInt = Annotated[int, msgspec.Meta(ge=1)]


class Iperf3Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One bandwidth test. Raises ValueError for a combination that iperf3 refuses or would silently ignore.

    direction: forward is client to server; both at once is --bidir. bits_per_second: over all streams of one
    direction; None is as fast as TCP can. congestion_algorithm: of the sending end. datagram_bytes: UDP payload.
    """

    protocol: Annotated[Literal["tcp", "udp"], msgspec.Meta(description="tcp or udp")] = "tcp"
    direction: Annotated[
        Literal["forward", "reverse", "both"],
        msgspec.Meta(description="forward (to the server), reverse, or both"),
    ] = "forward"
    duration_seconds: Annotated[int, msgspec.Meta(ge=1, le=3600, description="how long to send")] = 10
    omit_seconds: Annotated[int, msgspec.Meta(ge=0, le=60, description="not counted, before that")] = 0
    parallel_streams: Annotated[int, msgspec.Meta(ge=1, le=128, description="streams at once")] = 1
    bits_per_second: Annotated[
        PositiveInt | None, msgspec.Meta(description="most to send, all streams together")
    ] = None
    congestion_algorithm: Annotated[
        Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_]{1,15}$")] | None,
        msgspec.Meta(description="of the sender, such as bbr"),
    ] = None
    datagram_bytes: Annotated[
        Annotated[int, msgspec.Meta(ge=16, le=65507)] | None, msgspec.Meta(description="UDP payload")
    ] = None
    source_address: Annotated[str | None, msgspec.Meta(description="address to test from")] = None
    connect_timeout_seconds: Annotated[
        float, msgspec.Meta(ge=0.1, le=60, description="for the control connection")
    ] = 3.0

    def __post_init__(self) -> None:
        if self.source_address is not None:
            ipaddress.ip_address(self.source_address)
        if self.protocol == "udp" and self.bits_per_second is None:
            raise ValueError("bits_per_second is needed with protocol = 'udp' (iperf3 would send 1 Mbit/s)")
        if self.protocol == "udp" and self.congestion_algorithm is not None:
            raise ValueError("congestion_algorithm is for protocol = 'tcp'")
        if self.protocol == "tcp" and self.datagram_bytes is not None:
            raise ValueError("datagram_bytes is for protocol = 'udp'")
        if self.bits_per_second is not None and self.bits_per_second < self.parallel_streams:
            raise ValueError("bits_per_second leaves less than 1 bit/s for each of parallel_streams")


_DIRECTION_FLAGS = {"forward": [], "reverse": ["-R"], "both": ["--bidir"]}


def client_argv(program: str, spec: Iperf3Spec, host: str, port: int) -> list[str]:
    """The client's command line."""
    argv = [program, "-c", host, "-p", str(port), "-J", "-t", str(spec.duration_seconds)]
    argv += ["--connect-timeout", str(round(spec.connect_timeout_seconds * 1000))]
    argv += ["-B", spec.source_address] if spec.source_address is not None else []
    argv += ["-u"] if spec.protocol == "udp" else []
    argv += _DIRECTION_FLAGS[spec.direction]
    argv += ["-P", str(spec.parallel_streams)] if spec.parallel_streams > 1 else []
    argv += ["-O", str(spec.omit_seconds)] if spec.omit_seconds else []
    if spec.bits_per_second is not None:  # iperf3's -b is per stream
        argv += ["-b", str(spec.bits_per_second // spec.parallel_streams)]
    argv += ["-C", spec.congestion_algorithm] if spec.congestion_algorithm is not None else []
    argv += ["-l", str(spec.datagram_bytes)] if spec.datagram_bytes is not None else []
    return argv


def server_argv(
    program: str, bind: str, port: int, idle_timeout_seconds: int, limit_bits_per_second: int | None = None
) -> list[str]:
    """The command line of a server for one test on one address, which leaves when no client comes in time.

    limit_bits_per_second: a test that asks for more, or reaches more over 5 s, is ended by the server.
    """
    argv = [
        program,
        "-s",
        "-1",
        "-B",
        bind,
        "-p",
        str(port),
        "-J",
        "--idle-timeout",
        str(idle_timeout_seconds),
    ]
    return argv + (
        ["--server-bitrate-limit", str(limit_bits_per_second)] if limit_bits_per_second is not None else []
    )


MEASURES = (
    Measure(
        "forward_bits_per_second",
        "gauge",
        "lightfloor_bandwidth_forward_bits_per_second",
        "Throughput to the peer in the latest finished iperf3 test, as its receiver counted.",
    ),
    Measure(
        "reverse_bits_per_second",
        "gauge",
        "lightfloor_bandwidth_reverse_bits_per_second",
        "Throughput from the peer in the latest finished iperf3 test, as its receiver counted.",
    ),
    Measure(
        "retransmits",
        "counter",
        "lightfloor_bandwidth_retransmits_total",
        "TCP segments that iperf3 tests sent again.",
    ),
    Measure(
        "jitter_seconds",
        "gauge",
        "lightfloor_bandwidth_jitter_seconds",
        "Jitter of the latest UDP test (RFC 3550 section 6.4.1).",
    ),
    Measure(
        "loss_ratio",
        "gauge",
        "lightfloor_bandwidth_loss_ratio",
        "Datagrams lost in the latest UDP test, of those sent.",
    ),
)


async def run(burst: Burst) -> None:
    """One test with each target, one after the other; each gives an event `bandwidth_test` with the report."""
    for target in burst.targets:
        sample, detail = await _test(burst, burst.options, target)
        burst.event(target, "bandwidth_test", detail)
        burst.record(target, sample)


async def _test(burst: Burst, spec: Iperf3Spec, target: Target) -> tuple[Sample, Mapping[str, Any]]:
    argv = client_argv(PROGRAM, spec, target.address, target.port)
    deadline = spec.omit_seconds + spec.duration_seconds + DEADLINE_MARGIN_SECONDS
    try:
        result = await burst.network.bandwidth.run_client(argv, deadline)
    except SlotTakenError as error:
        sample = Sample(Outcome.SKIPPED, detail=str(error))
    except OSError as error:
        sample = Sample(Outcome.UNAVAILABLE, detail=f"{error.filename or PROGRAM}: {error.strerror or error}")
    else:
        return judged(result, deadline)
    return sample, {"program": PROGRAM, "outcome": sample.outcome, "reason": sample.detail}


def judged(result: ProcessResult, deadline_seconds: float) -> tuple[Sample, dict[str, Any]]:
    """The one outcome of a client's run, and what to keep as evidence."""
    try:
        report = parse_report(result.stdout)
    except ParseError as error:
        sample = _unfinished(result, error, deadline_seconds)
        return sample, {"program": PROGRAM, "outcome": sample.outcome, "reason": sample.detail}
    found = {**measured(report), "sent_bytes": moved_bytes(report)}
    detail = {"program": PROGRAM, "outcome": Outcome.OK, "report": _without_intervals(report)}
    return Sample(Outcome.OK, result=found), detail


def measured(report: Report) -> dict[str, Any]:
    """The measures of a report; what it does not tell is None. Retransmissions are of all senders that tell."""
    ways = [way for way in (report.forward, report.reverse) if way is not None]
    retransmits = [way.retransmits for way in ways if way.retransmits is not None]
    return {
        "forward_bits_per_second": report.forward.bits_per_second if report.forward else None,
        "reverse_bits_per_second": report.reverse.bits_per_second if report.reverse else None,
        "retransmits": sum(retransmits) if retransmits else None,
        "jitter_seconds": _first(way.jitter_seconds for way in ways),
        "loss_ratio": _first(way.loss_ratio for way in ways),
    }


def moved_bytes(report: Report) -> int:
    """Payload bytes that were sent, both directions together: what the sender counted where it is known."""
    return sum(_sent(way) for way in (report.forward, report.reverse) if way is not None)


def _sent(way: Direction) -> int:
    return max(counted.bytes for counted in (way.sender, way.receiver) if counted is not None)


def _first(values: Iterable[float | None]) -> float | None:
    return next((value for value in values if value is not None), None)


def _without_intervals(report: Report) -> dict[str, Any]:
    """The report without its intervals, which may be thousands."""
    shown = asdict(report)
    for name in ("forward", "reverse"):
        if shown[name] is not None:
            del shown[name]["intervals"]
    return shown


_REASONS = (
    ("unrecognized option", Outcome.UNAVAILABLE),
    ("invalid option", Outcome.UNAVAILABLE),
    ("refused", Outcome.REFUSED),
    ("timed out", Outcome.TIMEOUT),
    ("timeout", Outcome.TIMEOUT),
    ("no route to host", Outcome.UNREACHABLE),
    ("unreachable", Outcome.UNREACHABLE),
)
"""First match wins: an option's name may hold another's words. The C library's words for errno inside iperf3's own, which change from version to version."""


def _unfinished(result: ProcessResult, error: ParseError, deadline_seconds: float) -> Sample:
    """A test that was stopped at its deadline had a mute peer, whatever its partial report says."""
    said = result.stderr.decode("utf-8", "replace").strip()
    if result.stopped == "deadline":
        return Sample(Outcome.TIMEOUT, detail=f"not finished after {deadline_seconds:g} s ({error.reason})")
    if result.stopped:
        return Sample(Outcome.FAILED, detail="more output than a report can have")
    words = said.splitlines()[0] if said and not result.stdout.strip() else error.reason
    outcome = next((known for part, known in _REASONS if part in words.lower()), Outcome.FAILED)
    return Sample(outcome, detail=words[:300])


def clients_seen(document: Mapping[str, Any]) -> frozenset[str]:
    """The addresses a server's report names as its clients': of the control connection, and of every stream."""
    start = READ.section(document, "start", "report")
    accepted = READ.section(start, "accepted_connection", "start")
    streams = READ.sections(start, "connected", "start")
    hosts = [accepted.get("host"), *(each.get("remote_host") for each in streams)]
    return frozenset(str(host).removeprefix("::ffff:") for host in hosts if host)
