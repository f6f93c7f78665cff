"""qperf (0.4.x): what to ask of it, and what it answers, in seconds and bits per second.

Reads the default output, -v, -uu and -ub alike (src/qperf.c view_band, view_time, view_rate, view_size).
Prefixes are powers of 1000 except KiB and its like.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

import msgspec

from agent.bandwidth_slot import SlotTakenError
from agent.kernel.parse_error import ParseError
from agent.net.process import ProcessResult
from agent.sample import Burst, Measure, Sample, Target
from agent.wire.assignment import Port
from agent.wire.series import Outcome

SOURCE = PROGRAM = "qperf"
DEADLINE_MARGIN_SECONDS = 6.0
"""qperf itself gives up an unanswered connection after 5 s."""

_SECONDS = {"ns": 1e9, "us": 1e6, "ms": 1e3, "sec": 1.0}  # divisors: 26.1 / 1e6 is exact, 26.1 * 1e-6 is not
_BITS_PER_SECOND = {
    **{f"{prefix}/sec": 8 * 1000**n for n, prefix in enumerate(("bytes", "KB", "MB", "GB", "TB"))},
    **{f"{prefix}/sec": 1000**n for n, prefix in enumerate(("bits", "Kb", "Mb", "Gb", "Tb"))},
}
_PER_SECOND = {f"{prefix}/sec": 1000**n for n, prefix in enumerate(("", "K", "M", "G", "T"))}
_BYTES = {
    **{prefix: 1000**n for n, prefix in enumerate(("bytes", "KB", "MB", "GB", "TB"))},
    **{prefix: 1024**n for n, prefix in enumerate(("bytes", "KiB", "MiB", "GiB", "TiB"))},
}
_COUNTS = {"": 1, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}

_HEADER = re.compile(r"([a-z][a-z0-9_]{1,31}):")
_VALUE = re.compile(r"([a-z_]{1,40})\s*=\s*(\S.*)")
_NUMBER = re.compile(r"(\d[\d,]{0,30}(?:\.\d{1,30})?)(?:\s+([A-Za-z/% ]{1,20}))?")

Test = Literal["tcp_lat", "tcp_bw", "udp_lat", "udp_bw"]


class QperfSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One qperf test. message_bytes: None is qperf's own (1 byte for latency, 64 KiB or 32 KiB for bandwidth).

    data_port: None is the port above the target's.
    """

    test: Annotated[Test, msgspec.Meta(description="tcp_lat, tcp_bw, udp_lat or udp_bw")] = "tcp_lat"
    duration_seconds: Annotated[int, msgspec.Meta(ge=1, le=3600, description="how long to measure")] = 2
    message_bytes: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=1 << 30)] | None, msgspec.Meta(description="size of a message")
    ] = None
    data_port: Annotated[
        Port | None, msgspec.Meta(description="where the server listens for the test itself")
    ] = None


def client_argv(program: str, spec: QperfSpec, host: str, control_port: int, data_port: int) -> list[str]:
    """The client's command line. data_port: what the server will listen on for the test itself, for the firewall."""
    argv = [program, host, "-lp", str(control_port), "-ip", str(data_port), "-t", str(spec.duration_seconds)]
    argv += ["-m", str(spec.message_bytes)] if spec.message_bytes is not None else []
    return [*argv, "-uu", "-vvs", spec.test]


def server_argv(program: str, control_port: int) -> list[str]:
    """The server's command line. It listens on every address, serves one client at a time, until it is stopped."""
    return [program, "-lp", str(control_port)]


@dataclass(frozen=True, slots=True)
class Result:
    """One test's figures. None: not printed for this test or at this verbosity.

    latency_seconds: one way by qperf's own definition, half the mean round trip. bits_per_second: what the receiver
    got; sent_bits_per_second: what left the sender (UDP prints both). loss_ratio: of datagrams, 1 - received/sent.
    other: every further line, as number and unit, or as text.
    """

    test: str
    latency_seconds: float | None = None
    bits_per_second: float | None = None
    sent_bits_per_second: float | None = None
    messages_per_second: float | None = None
    sent_bytes: int | None = None
    received_bytes: int | None = None
    sent_messages: int | None = None
    received_messages: int | None = None
    loss_ratio: float | None = None
    other: dict[str, tuple[float, str] | str] = field(default_factory=dict)


_FIELDS: dict[str, tuple[str, dict[str, Any]]] = {
    "latency": ("latency_seconds", _SECONDS),
    "bw": ("bits_per_second", _BITS_PER_SECOND),
    "recv_bw": ("bits_per_second", _BITS_PER_SECOND),
    "send_bw": ("sent_bits_per_second", _BITS_PER_SECOND),
    "msg_rate": ("messages_per_second", _PER_SECOND),
    "send_bytes": ("sent_bytes", _BYTES),
    "recv_bytes": ("received_bytes", _BYTES),
    "send_msgs": ("sent_messages", _COUNTS),
    "recv_msgs": ("received_messages", _COUNTS),
}
_INTEGERS = frozenset({"sent_bytes", "received_bytes", "sent_messages", "received_messages"})


def parse_output(data: bytes) -> tuple[Result, ...]:
    """Every test's result, in order. Raises ParseError with qperf's own words where it reported a failure."""
    blocks: list[tuple[str, int, dict[str, Any]]] = []
    for number, raw in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        line = raw.strip()
        if not line:
            continue
        if header := _HEADER.fullmatch(line):
            blocks.append((header.group(1), number, {}))
        elif (value := _VALUE.fullmatch(line)) and blocks:
            _read_value(blocks[-1][2], value.group(1), value.group(2).strip(), number)
        else:
            raise ParseError(
                SOURCE,
                f"line {number}",
                line[:200] if blocks else "not qperf's output",
                "" if blocks else line,
            )
    if not blocks:
        raise ParseError(SOURCE, "line 1", "no output: qperf was killed before it could report, or never ran")
    return tuple(_result(*block) for block in blocks)


def inspect(data: bytes) -> list[dict[str, Any]]:
    """parse_output as plain values."""
    return [asdict(result) for result in parse_output(data)]


def _read_value(values: dict[str, Any], name: str, text: str, line: int) -> None:
    match = _NUMBER.fullmatch(text)
    if name not in _FIELDS:
        number = float(match.group(1).replace(",", "")) if match else None
        values.setdefault("other", {})[name] = (
            text if match is None or number is None else (number, match.group(2) or "")
        )
        return
    key, units = _FIELDS[name]
    unit = (match.group(2) or "").strip() if match else ""
    if match is None or unit not in units:
        raise ParseError(SOURCE, f"line {line}", f"{name} wants a number and one of {', '.join(units)}", text)
    if key in values:
        raise ParseError(SOURCE, f"line {line}", f"a second {name} in one test")
    number = float(match.group(1).replace(",", ""))
    number = number / units[unit] if units is _SECONDS else number * units[unit]
    if number >= 1 << 63:
        raise ParseError(SOURCE, f"line {line}", f"{name} beyond 64 bits", text)
    values[key] = int(number) if key in _INTEGERS else number


def _result(test: str, line: int, values: dict[str, Any]) -> Result:
    measures = [values.get(key) for key in ("latency_seconds", "bits_per_second", "messages_per_second")]
    main = next((measure for measure in measures if measure is not None), None)
    if main is None:
        raise ParseError(
            SOURCE, f"line {line}", f"{test}: no bandwidth, latency or rate; the test did not finish"
        )
    if main == 0:
        raise ParseError(SOURCE, f"line {line}", f"{test}: zero, so no message came through")
    sent, received = values.get("sent_messages"), values.get("received_messages")
    if test.startswith("ud") and sent and received is not None and received <= sent:
        values["loss_ratio"] = 1 - received / sent
    return Result(test=test, **values)


MEASURES = (
    Measure(
        "latency_seconds",
        "gauge",
        "lightfloor_qperf_latency_seconds",
        "One-way latency in the latest finished qperf test: half its mean round trip.",
    ),
    Measure(
        "bits_per_second",
        "gauge",
        "lightfloor_qperf_bits_per_second",
        "Throughput in the latest finished qperf bandwidth test, as its receiver counted.",
    ),
    Measure(
        "loss_ratio",
        "gauge",
        "lightfloor_qperf_loss_ratio",
        "Datagrams lost in the latest finished qperf UDP test, of those sent.",
    ),
)


async def run(burst: Burst) -> None:
    """One test with each target, one after the other; each gives an event `bandwidth_test` with the result."""
    for target in burst.targets:
        sample, detail = await _test(burst, burst.options, target)
        burst.event(target, "bandwidth_test", detail)
        burst.record(target, sample)


async def _test(burst: Burst, spec: QperfSpec, target: Target) -> tuple[Sample, Mapping[str, Any]]:
    data_port = spec.data_port or target.port + 1
    argv = client_argv(PROGRAM, spec, target.address, target.port, data_port)
    try:
        result = await burst.network.bandwidth.run_client(
            argv, spec.duration_seconds + DEADLINE_MARGIN_SECONDS
        )
    except SlotTakenError as error:
        sample = Sample(Outcome.SKIPPED, detail=str(error))
    except OSError as error:
        sample = Sample(Outcome.UNAVAILABLE, detail=f"{error.filename or PROGRAM}: {error.strerror or error}")
    else:
        return judged(result)
    return sample, {"program": PROGRAM, "outcome": sample.outcome, "reason": sample.detail}


def judged(result: ProcessResult) -> tuple[Sample, dict[str, Any]]:
    """The one outcome of a client's run, and what to keep as evidence.

    qperf says "failed to connect" for a closed port and for silence alike, after 5 s: that is a timeout here.
    """
    try:
        test = _finished(result)
    except ParseError as error:
        unanswered = result.stopped == "deadline" or "failed to connect" in error.reason
        sample = Sample(Outcome.TIMEOUT if unanswered else Outcome.FAILED, detail=error.reason[:300])
        return sample, {"program": PROGRAM, "outcome": sample.outcome, "reason": sample.detail}
    found = {measure.name: getattr(test, measure.name) for measure in MEASURES}
    return Sample(Outcome.OK, result=found), {
        "program": PROGRAM,
        "outcome": Outcome.OK,
        "report": asdict(test),
    }


def _finished(result: ProcessResult) -> Result:
    """The one test's result. Raises ParseError for a run that failed or was stopped, with its own words."""
    if result.exit_status != 0:
        printed = result.stderr.strip() or result.stdout.strip()
        words = printed.decode("utf-8", "replace").splitlines() or [f"exit status {result.exit_status}"]
        raise ParseError(SOURCE, "output", words[-1])
    tests = parse_output(result.stdout)
    if len(tests) != 1:
        raise ParseError(SOURCE, "output", f"{len(tests)} tests in one output")
    return tests[0]
