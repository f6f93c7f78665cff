"""The way to the collector: token, name, certificate, answer, and how far the two clocks are apart."""

import asyncio
import os
import time
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from agent import byhand
from agent.assignment import decode_assignment
from agent.config import CollectorLink, Config
from agent.net.collector import Collector, Glance
from agent.probes import tls
from agent.selftest.check import Check, State
from agent.wire.settings import ConfigError

MOST_CLOCK_DIFFERENCE_SECONDS = 5.0
"""Beyond it windows bear the wrong minute; the Date header itself tells no more than a second."""

_ANSWERS = {
    401: "`lightfloor-collector enroll NODE --rotate` makes a new token",
    403: "node in agent.toml must be the name that was enrolled",
    404: "add this node to the collector's fleet file",
}


async def check_link(config: Config | None, beside: Path) -> list[Check]:
    """beside: the directory of agent.toml, where a token is looked for that a service gets as its credential."""
    if config is None or config.collector is None:
        why = "no agent.toml" if config is None else "agent.toml has no [collector]"
        return [Check(name, State.UNTESTED, why) for name in ("token", "collector", "probe tls")]
    link = config.collector
    token_file = Path(os.environ.get("CREDENTIALS_DIRECTORY", beside), link.token_file)
    try:
        await asyncio.to_thread(token_file.read_text, encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        why = f"{token_file}: {getattr(error, 'strerror', None) or 'no token in it'}"
        return [
            Check("token", State.FAILED, why, "run this as root, or enroll the node"),
            *(Check(name, State.UNTESTED, "no token") for name in ("collector", "probe tls")),
        ]
    return [
        Check("token", State.WORKS, str(token_file)),
        *await _collector(link, token_file, config.node),
        await _tls(link),
    ]


async def _collector(link: CollectorLink, token_file: Path, node: str) -> list[Check]:
    try:
        collector = Collector(link.url, token_file, link.ca_file, link.timeout_seconds)
    except OSError as error:
        return [
            Check(
                "collector", State.FAILED, str(error), "collector.ca_file: a PEM file that the agent may read"
            )
        ]
    try:
        glance = await collector.glance()
    except aiohttp.ClientConnectorCertificateError as error:
        why = getattr(error.certificate_error, "verify_message", "") or str(error.certificate_error)
        return [
            Check(
                "collector", State.FAILED, f"{link.url}: {why}", "collector.ca_file must name its authority"
            )
        ]
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        why = str(error) or type(error).__name__
        return [
            Check(
                "collector", State.FAILED, f"{link.url}: {why}", "collector.url, DNS and firewalls on the way"
            )
        ]
    finally:
        await collector.close()
    return [_answer(link, glance, node), *_clocks(glance)]


def _answer(link: CollectorLink, glance: Glance, node: str) -> Check:
    if glance.status != 200:
        told = f"{link.url} answered {glance.status}: {glance.body[:200].decode('utf-8', 'replace')}"
        return Check("collector", State.FAILED, told, _ANSWERS.get(glance.status, ""))
    try:
        assignment = decode_assignment(glance.body, node)
    except ConfigError as error:
        return Check("collector", State.FAILED, str(error), "upgrade the older of the two programs")
    took = f"{glance.took_seconds * 1e3:.0f} ms"
    return Check(
        "collector", State.WORKS, f"knows {node}, assigns {len(assignment.peers)} peers, answers in {took}"
    )


def _clocks(glance: Glance) -> list[Check]:
    if glance.date_s is None:
        return []
    apart = time.time() - glance.date_s
    told = f"{abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} the collector's"
    if abs(apart) <= MOST_CLOCK_DIFFERENCE_SECONDS + glance.took_seconds:
        return [Check("clocks", State.WORKS, "this host and the collector agree to a few seconds")]
    return [Check("clocks", State.FAILED, told, "run a time service on both")]


async def _tls(link: CollectorLink) -> Check:
    """On the collector's own port, whose certificate is at hand."""
    parts = urlsplit(link.url)
    if parts.scheme != "https" or parts.hostname is None:
        return Check("probe tls", State.UNTESTED, "the collector's URL has no https")
    options = tls.Options(ca_file=link.ca_file)
    request = byhand.Request(
        "tls", options, parts.hostname, parts.port or 443, None, 1, 1.0, link.timeout_seconds
    )
    try:
        result = await byhand.probe(request)
    except OSError as error:
        return Check("probe tls", State.FAILED, str(error.strerror or error))
    if not result.answered:
        return Check("probe tls", State.FAILED, f"{result.samples[0].outcome}: {result.samples[0].detail}")
    found = result.found()
    told = f"{found['protocol']}, certificate good for {found['certificate_days_left']:.0f} days"
    return Check("probe tls", State.WORKS, f"{told}; {found['reason']}" if found["reason"] else told)
