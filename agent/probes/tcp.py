"""TCP handshake RTT as the kernel measured it (tcpi_rtt of struct tcp_info, 1 µs resolution).

Right after the handshake tcpi_rtt equals SYN → SYN-ACK exactly, +6…8 µs against a capture, whatever the event
loop was doing. It is valid only when nothing was retransmitted: after a lost SYN the kernel falls back to the
timestamp option (1 ms steps) or to a bogus second, so such a probe is an outcome of its own, never a latency.
"""

import errno
import ipaddress
from typing import Annotated

import msgspec

from agent.net.tcp import Connect, Handshake
from agent.sample import UNREACHABLE_ERRNOS, Burst, Sample
from agent.wire.assignment import Port
from agent.wire.series import Outcome


class Options(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What can be set for this probe."""

    port: Annotated[Port | None, msgspec.Meta(description="port to connect to instead of the peer's")] = None
    source_address: Annotated[str | None, msgspec.Meta(description="address to send from")] = None
    interface: Annotated[str | None, msgspec.Meta(description="interface to leave by")] = None
    refused_is_answer: Annotated[
        bool, msgspec.Meta(description="count a refused connection as an answer")
    ] = False

    def __post_init__(self) -> None:
        if self.source_address is not None:
            ipaddress.ip_address(self.source_address)


def classify(handshake: Handshake, options: Options) -> Sample:
    """The one outcome of a handshake."""
    if handshake.answered and handshake.retransmissions:
        return Sample(
            Outcome.SYN_RETRANSMITTED,
            detail=f"answered after {handshake.retransmissions} SYN retransmissions",
        )
    if handshake.error == errno.ECONNREFUSED:
        outcome = Outcome.OK if options.refused_is_answer else Outcome.REFUSED
        return Sample(outcome, handshake.rtt_ns, "connection refused")
    if handshake.answered and handshake.rtt_ns is not None:
        return Sample(Outcome.OK, handshake.rtt_ns)
    if handshake.answered:
        return Sample(Outcome.INVALID, detail="answered, but the kernel has no round-trip time")
    if handshake.error == errno.ETIMEDOUT:
        return Sample(Outcome.TIMEOUT, detail=f"no answer; {handshake.retransmissions} SYN retransmissions")
    if handshake.error in UNREACHABLE_ERRNOS:
        return Sample(Outcome.UNREACHABLE, detail=handshake.reason)
    return Sample(Outcome.FAILED, detail=handshake.reason)


async def run(burst: Burst) -> None:
    """One handshake with each target, all at once."""
    options: Options = burst.options
    connects = [
        Connect(target.address, options.port or target.port, options.source_address, options.interface)
        for target in burst.targets
    ]

    def ended(index: int, handshake: Handshake) -> None:
        burst.record(burst.targets[index], classify(handshake, options))

    await burst.network.handshakes(connects, burst.timeout_seconds, ended)
