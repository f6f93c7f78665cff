"""`probe KIND TARGET`: one target, a few probes, a result for a person or a program."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.net.network import SystemNetwork
from agent.net.resolve import is_literal, lookup
from agent.probes import PROBES
from agent.sample import Burst, Sample, Target
from agent.wire.series import ANSWERED, Family, Outcome, TimeSource
from agent.wire.settings import ConfigError


@dataclass(frozen=True, slots=True)
class Request:
    """What to probe and how often. family: "ipv4", "ipv6", or None for whichever the host has."""

    kind: str
    options: Any
    host: str
    port: int
    family: str | None
    count: int
    interval_seconds: float
    timeout_seconds: float

    @property
    def shown(self) -> str:
        """The target as it was asked for."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.port else self.host


@dataclass(slots=True)
class Result:
    """What came back, in the order it did. Quantiles are exact nearest-rank ones of the samples."""

    target: str
    address: str
    probe: str
    time_source: TimeSource
    samples: list[Sample] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def answered(self) -> bool:
        """Whether any probe was."""
        return any(sample.outcome in ANSWERED - {Outcome.REFUSED} for sample in self.samples)

    def outcomes(self) -> dict[str, int]:
        """Probes by how they ended."""
        counts: dict[str, int] = {}
        for sample in self.samples:
            counts[str(sample.outcome)] = counts.get(str(sample.outcome), 0) + 1
        return counts

    def rtt_seconds(self) -> dict[str, float | None]:
        """min, p50, p90, p99, max and mean in seconds; all None without a single time."""
        times = sorted(sample.rtt_ns for sample in self.samples if sample.rtt_ns is not None)
        if not times:
            return dict.fromkeys(("min", "p50", "p90", "p99", "max", "mean"))
        ranks = {"min": 0.0, "p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
        result: dict[str, float | None] = {
            name: times[max(0, -(-int(q * 100) * len(times) // 100) - 1)] / 1e9 for name, q in ranks.items()
        }
        result["mean"] = sum(times) / len(times) / 1e9
        return result

    def found(self) -> dict[str, Any]:
        """What the probe found beside times: counters added up, durations as seconds of the last, else the latest."""
        kinds = {measure.name: measure.kind for measure in PROBES[self.probe].measures}
        found: dict[str, Any] = {}
        for sample in self.samples:
            for name, value in (sample.result or {}).items():
                if kinds.get(name) == "counter":
                    found[name] = found.get(name, 0) + value
                elif kinds.get(name) == "time":
                    found[name.removesuffix("_ns") + "_seconds"] = None if value is None else value / 1e9
                else:
                    found[name] = value
        return found

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {
            "target": self.target,
            "address": self.address,
            "probe": self.probe,
            "sent": len(self.samples),
            "outcomes": self.outcomes(),
            "rtt_seconds": self.rtt_seconds(),
            "time_source": str(self.time_source),
            **self.found(),
        }

    def as_text(self) -> str:
        """A few lines for people."""
        ended = ", ".join(f"{count} {outcome}" for outcome, count in self.outcomes().items())
        rtt = self.rtt_seconds()
        times = "no round-trip time"
        if rtt["min"] is not None:
            times = "  ".join(
                f"{name} {value * 1e3:.3f} ms" for name, value in rtt.items() if value is not None
            )
        why = next(
            (sample.detail for sample in self.samples if sample.outcome is not Outcome.OK and sample.detail),
            "",
        )
        lines = [
            f"{self.probe} {self.target} ({self.address}): {len(self.samples)} probes, {ended}",
            f"  rtt    {times}",
            f"  source {self.time_source}",
        ]
        if why:
            lines.append(f"  why    {why}")
        found, show = self.found(), PROBES[self.probe].show
        lines.extend(f"  {name} {value}" for name, value in found.items() if not isinstance(value, list))
        if show is not None and found:
            lines.extend(show(found))
        return "\n".join(lines)


def split_target(text: str, has_port: bool) -> tuple[str, int]:
    """HOST:PORT or [V6]:PORT, or a bare host (port 0) for a probe without one. Raises ConfigError."""
    if not has_port:
        return text.removeprefix("[").removesuffix("]"), 0
    host, colon, port = text.rpartition(":")
    bare = ":" in host and not (host.startswith("[") and host.endswith("]"))
    if not colon or not host or bare or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise ConfigError(text, "", "expected HOST:PORT, with an IPv6 address in brackets as in [::1]:443")
    return host.removeprefix("[").removesuffix("]"), int(port)


async def find_address(host: str, family: str | None) -> tuple[str, Family]:
    """The address to probe: of the family asked for, else IPv4 before IPv6. Raises OSError when there is none."""
    wanted = [Family(family)] if family else [Family.IPV4, Family.IPV6]
    literal = next((f for f in Family if is_literal(host, f)), None)
    if literal is not None:
        if literal not in wanted:
            raise OSError(None, f"{host} is not an {family} address")
        return host, literal
    reason = ""
    for each in wanted:
        try:
            return (await lookup(host, each))[0], each
        except OSError as error:
            reason = error.strerror or str(error)
    raise OSError(None, f"{host}: {reason}")


async def probe(request: Request) -> Result:
    """Send the probes, one each interval whether or not the one before has ended, and wait for the last."""
    address, family = await find_address(request.host, request.family)
    target = Target(request.host, family, address, request.port)
    kind = PROBES[request.kind]
    result = Result(request.shown, address, request.kind, kind.time_source)
    network = SystemNetwork()
    loop = asyncio.get_running_loop()
    start = loop.time()
    memory: dict[Target, Any] = {}

    def record(_target: Target, sample: Sample) -> None:
        result.samples.append(sample)

    def event(_target: Target, kind: str, detail: Mapping[str, Any]) -> None:
        result.events.append({"kind": kind, **detail})

    async def one(index: int) -> None:
        await asyncio.sleep(start + index * request.interval_seconds - loop.time())
        await kind.run(
            Burst(request.options, request.timeout_seconds, [target], network, record, event, memory)
        )

    try:
        await asyncio.gather(*(one(index) for index in range(request.count)))
    finally:
        network.close()
    return result
