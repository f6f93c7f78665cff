"""iperf3: what to ask of it, as command lines of its client and of a server that lives for one test.

Needs iperf3 3.10 or newer on both ends (--idle-timeout, --server-bitrate-limit). What it prints is read by iperf3_report.
"""

from typing import Annotated, Literal

import msgspec

PositiveInt = Annotated[int, msgspec.Meta(ge=1)]


class Iperf3Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One bandwidth test. Raises ValueError for a combination that iperf3 refuses or would silently ignore.

    direction: forward is client to server; both at once is --bidir. bits_per_second: over all streams of one
    direction; None is as fast as TCP can. congestion_algorithm: of the sending end. datagram_bytes: UDP payload.
    """

    protocol: Literal["tcp", "udp"] = "tcp"
    direction: Literal["forward", "reverse", "both"] = "forward"
    duration_seconds: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 10
    omit_seconds: Annotated[int, msgspec.Meta(ge=0, le=60)] = 0
    parallel_streams: Annotated[int, msgspec.Meta(ge=1, le=128)] = 1
    bits_per_second: PositiveInt | None = None
    congestion_algorithm: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_]{1,15}$")] | None = None
    datagram_bytes: Annotated[int, msgspec.Meta(ge=16, le=65507)] | None = None
    connect_timeout_seconds: Annotated[float, msgspec.Meta(ge=0.1, le=60)] = 3.0

    def __post_init__(self) -> None:
        if self.protocol == "udp" and self.bits_per_second is None:
            raise ValueError("bits_per_second is needed with protocol = 'udp' (iperf3 would send 1 Mbit/s)")
        if self.protocol == "udp" and self.congestion_algorithm is not None:
            raise ValueError("congestion_algorithm is for protocol = 'tcp'")
        if self.protocol == "tcp" and self.datagram_bytes is not None:
            raise ValueError("datagram_bytes is for protocol = 'udp'")
        if self.bits_per_second is not None and self.bits_per_second < self.parallel_streams:
            raise ValueError("bits_per_second leaves less than 1 bit/s for each of parallel_streams")


_DIRECTION_FLAGS = {"forward": [], "reverse": ["-R"], "both": ["--bidir"]}


def client_argv(program: str, spec: Iperf3Spec, host: str, port: int, bind: str | None = None) -> list[str]:
    """The client's command line. bind: the local address to test from."""
    argv = [program, "-c", host, "-p", str(port), "-J", "-t", str(spec.duration_seconds)]
    argv += ["--connect-timeout", str(round(spec.connect_timeout_seconds * 1000))]
    argv += ["-B", bind] if bind is not None else []
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
