"""What peers' endpoints show: TLS, NAT in front of this node, and how closed ports answer."""

from agent.advice.evidence import Evidence, NotKnown, PathEvidence
from agent.advice.finding import Confidence, Severity, Stanza
from agent.advice.rule import Found
from agent.advice.units import milliseconds

OLD_PROTOCOLS = ("SSLv3", "TLSv1", "TLSv1.1")
LONG_PATH_NS = 100_000_000
MOST_KEEPALIVE_SECONDS = 30
SERVER_STANZA = Stanza(
    "the peer's TLS server (nginx)",
    "ssl_protocols TLSv1.2 TLSv1.3;\nssl_session_cache shared:tls:10m;\n"
    "# a key of P-256: openssl ecparam -name prime256v1 -genkey -noout",
)


def tls_key(evidence: Evidence) -> Found | None:
    """A peer serves RSA or less than TLS 1.3, or does not resume on a long path; round trips tell what it costs."""
    known = [path for path in evidence.paths if path.tls_protocol is not None]
    if not known:
        raise NotKnown("TLS: no peer's handshake was measured")
    affected = [(path, costs) for path in known if (costs := _tls_costs(path))]
    if not affected:
        return None
    worst = max((path for path, _ in affected), key=lambda path: path.tls_handshake_p50_ns or 0)
    trips = (
        f"{worst.tls_handshake_p50_ns / worst.p50_ns:.1f}"
        if worst.tls_handshake_p50_ns and worst.p50_ns
        else "?"
    )
    figures = {
        "reasons": "; ".join(
            f"{path.destination}: {', '.join(en for en, _ in costs)}" for path, costs in affected
        ),
        "path": worst.destination,
        "handshake": milliseconds(worst.tls_handshake_p50_ns or 0),
        "trips": trips,
    }
    chinese = {
        "reasons": "；".join(
            f"{path.destination}：{'，'.join(zh for _, zh in costs)}" for path, costs in affected
        )
    }
    observed = tuple(
        path.observed(figure, getattr(path, figure), "tls probe")
        for path, _ in affected[:5]
        for figure in (
            "tls_protocol",
            "peer_certificate_key",
            "tls_handshake_p50_ns",
            "tls_resumed",
            "p50_ns",
        )
        if getattr(path, figure) is not None
    )
    old = any(path.tls_protocol in OLD_PROTOCOLS for path, _ in affected)
    severity = Severity.WARNING if old else Severity.INFO
    subjects = tuple(path.destination for path, _ in affected)
    return Found(severity, Confidence.HIGH, observed, figures, (SERVER_STANZA,), subjects, chinese)


def _tls_costs(path: PathEvidence) -> list[tuple[str, str]]:
    costs = []
    if path.tls_protocol != "TLSv1.3":
        costs.append((
            f"{path.tls_protocol} (one more round trip than 1.3)", f"{path.tls_protocol}（比 1.3 多一次往返）"
        ))  # fmt: skip
    if path.peer_certificate_key == "RSA":
        costs.append(("an RSA key", "RSA 密钥"))
    if path.tls_resumed is False and (path.p50_ns or 0) >= LONG_PATH_NS:
        costs.append(("no resumption on a long path", "长路径上不支持会话恢复"))
    return costs


def udp_keepalive(evidence: Evidence) -> Found | None:
    """A NAT before this node forgets idle UDP mappings: half the measured lifetime, at most 30 s (RFC 4787, 4.3)."""
    known = [path for path in evidence.paths if path.nat is not None]
    if not known:
        raise NotKnown("NAT: no peer told from which address this node's packets come")
    behind = [path for path in known if path.nat and path.mapping_lifetime_seconds is not None]
    if not behind:
        if any(path.nat for path in known):
            raise NotKnown(
                "NAT: there is one, its mappings' lifetime was not measured or is outside the idle times tried"
            )
        return None
    shortest = min(path.mapping_lifetime_seconds or 0 for path in behind)
    interval = max(1, int(min(shortest / 2, MOST_KEEPALIVE_SECONDS)))
    observed = tuple(
        path.observed("mapping_lifetime_seconds", path.mapping_lifetime_seconds, "nat probe")
        for path in behind[:5]
    )
    figures = {"lifetime": f"{shortest:.0f} s", "interval": interval}
    stanza = Stanza("/etc/wireguard/wg0.conf", f"[Peer]\nPersistentKeepalive = {interval}")
    return Found(
        Severity.INFO, Confidence.HIGH, observed, figures, (stanza,), tuple(p.destination for p in behind)
    )


def reject_drop(evidence: Evidence) -> Found | None:
    """How a probed port that is not open answers."""
    known = [path for path in evidence.paths if path.closed_port is not None]
    if not known:
        raise NotKnown("closed ports: none was probed")
    silent = [path for path in known if path.closed_port == "silence"]
    if not silent:
        return None
    figures = {"paths": ", ".join(path.destination for path in silent[:5])}
    observed = tuple(path.observed("closed_port", path.closed_port, "syn probe") for path in silent[:5])
    return Found(
        Severity.INFO, Confidence.MEDIUM, observed, figures, subjects=tuple(p.destination for p in silent)
    )
