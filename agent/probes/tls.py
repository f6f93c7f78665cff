"""TLS handshake, its time apart from TCP's, and what the peer shows: protocol, cipher, certificate, resumption.

Two connections: the second tries to resume the first one's session. Where the chain does not verify, a further one
without that check shows the certificate all the same: a bad chain or name is a finding, not a lost probe.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

import msgspec

from agent.kernel.parse_error import ParseError
from agent.kernel.x509 import Certificate, parse_certificate
from agent.net.tcp import Connect
from agent.net.tls import TlsHandshake
from agent.probes import tcp
from agent.sample import Burst, Measure, Sample, Target
from agent.wire.assignment import Port
from agent.wire.series import Outcome

_DAY_SECONDS = 86_400
_TOLD = ("protocol", "cipher", "key_type", "key_bits", "issuer")


class Options(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What can be set for this probe."""

    port: Annotated[Port | None, msgspec.Meta(description="port of the TLS server, unless set 443")] = None
    server_name: Annotated[
        str | None,
        msgspec.Meta(description="name to ask for (SNI) and to check, unless set the target's"),
    ] = None
    ca_file: Annotated[
        str | None, msgspec.Meta(description="PEM file of trusted authorities, unless set the host's")
    ] = None
    source_address: Annotated[str | None, msgspec.Meta(description="address to send from")] = None
    interface: Annotated[str | None, msgspec.Meta(description="interface to leave by")] = None


MEASURES = (
    Measure(
        "tcp_handshake_ns",
        "time",
        "lightfloor_tls_tcp_handshake_seconds",
        "TCP handshake before TLS, by the kernel.",
    ),
    Measure(
        "tls_handshake_ns",
        "time",
        "lightfloor_tls_handshake_seconds",
        "TLS handshake after TCP's, full, by user clock.",
    ),
    Measure(
        "certificate_expiry_timestamp_seconds",
        "gauge",
        "lightfloor_tls_certificate_expiry_timestamp_seconds",
        "When the peer's certificate expires, seconds since the epoch.",
    ),
    Measure("chain_ok", "gauge", "lightfloor_tls_chain_ok", "1 if the certificate chain verifies."),
    Measure("hostname_ok", "gauge", "lightfloor_tls_hostname_ok", "1 if the certificate is for this name."),
    Measure(
        "resumed", "gauge", "lightfloor_tls_session_resumed", "1 if a second handshake resumed the session."
    ),
)


@dataclass(frozen=True, slots=True)
class Peer:
    """What one peer showed: the handshake that told, whether its chain verified and why not, whether it resumed."""

    first: TlsHandshake
    verify_error: str
    resumed: bool | None


async def run(burst: Burst) -> None:
    """One look at each target, all at once."""
    await asyncio.gather(*(_one(burst, target) for target in burst.targets))


async def _one(burst: Burst, target: Target) -> None:
    try:
        peer = await _look(burst, target)
    except OSError as error:
        sample = Sample(Outcome.FAILED, detail=f"{burst.options.ca_file}: {error.strerror or error}")
    else:
        sample = _judge(burst, target, peer)
    burst.record(target, sample)


async def _look(burst: Burst, target: Target) -> Peer:
    """Raises OSError for a CA file that cannot be read."""
    options: Options = burst.options
    connect = Connect(target.address, options.port or target.port, options.source_address, options.interface)
    name = options.server_name or target.host or target.address

    async def shake(*, verify: bool, session: Any = None) -> TlsHandshake:
        return await burst.network.tls(
            connect, name, burst.timeout_seconds, ca_file=options.ca_file, verify=verify, session=session
        )

    first = await shake(verify=True)
    verify_error = first.verify_error or ""
    if verify_error:
        second = await shake(verify=False)
        # a SYN lost at the first look is this probe's outcome, and so is a TCP that failed at the second
        first = second if second.tcp.error else replace(second, tcp=first.tcp)
    if first.session is None:
        return Peer(first, verify_error, None)
    again = await shake(verify=not verify_error, session=first.session)
    return Peer(first, verify_error, again.resumed if not again.error and not again.tcp.error else None)


def _judge(burst: Burst, target: Target, peer: Peer) -> Sample:
    options: Options = burst.options
    first = peer.first
    sample = tcp.classify(first.tcp, tcp.Options())
    if sample.outcome not in (Outcome.OK, Outcome.SYN_RETRANSMITTED) or first.error:
        if sample.outcome is Outcome.OK:
            outcome = Outcome.TIMEOUT if first.timed_out else Outcome.INVALID
            return Sample(outcome, detail=first.error)
        return msgspec.structs.replace(sample, rtt_ns=None)
    try:
        certificate = parse_certificate(first.certificate or b"")
    except ParseError as error:
        return Sample(Outcome.INVALID, detail=str(error))
    instant = burst.network.instant()
    now_s = (instant.mono_ns + instant.offset_ns) / 1e9
    name = options.server_name or target.host or target.address
    result = as_result(peer, certificate, name, now_s)
    if sample.outcome is Outcome.SYN_RETRANSMITTED:
        result = {**result, "tcp_handshake_ns": None}
    _report_change(burst, target, result)
    return Sample(sample.outcome, None, sample.detail, result)


def as_result(peer: Peer, certificate: Certificate, name: str, now_s: float) -> Mapping[str, Any]:
    """JSON-ready, with the names that the command line and the measures use."""
    hostname_ok = certificate.names(name)
    reasons = [peer.verify_error] if peer.verify_error else []
    if not hostname_ok:
        known = ", ".join((*certificate.dns_names, *certificate.addresses)) or "no name"
        reasons.append(f"the certificate is for {known}, not for {name}")
    return {
        "tcp_handshake_ns": peer.first.tcp.rtt_ns,
        "tls_handshake_ns": peer.first.handshake_ns,
        "protocol": peer.first.protocol,
        "cipher": peer.first.cipher,
        "key_type": certificate.key_type,
        "key_bits": certificate.key_bits,
        "issuer": certificate.issuer,
        "certificate_expiry_timestamp_seconds": certificate.not_after_s,
        "certificate_days_left": (certificate.not_after_s - now_s) / _DAY_SECONDS,
        "resumed": peer.resumed,
        "chain_ok": not peer.verify_error,
        "hostname_ok": hostname_ok,
        "reason": "; ".join(reasons),
    }


def _report_change(burst: Burst, target: Target, result: Mapping[str, Any]) -> None:
    shown = {name: result[name] for name in _TOLD}
    before = burst.memory.get(target)
    burst.memory[target] = shown
    if before != shown:  # also at the first look: which key a peer has is evidence, not only that it changed
        burst.event(target, "tls", {"before": before, "after": shown})
