"""Is there a NAT in front of this node, and how long does it keep an idle UDP mapping (RFC 4787, 4.3)?

Every idle time has sockets of its own. Each asks the peer's agent at once from which address it is seen and, where that
is not its own, asks to be told again after the idle time; then it is silent. What a NAT still knows comes through.
An answer can be lost as well as a mapping, so each time has two sockets, and a longer time that came overrules a
shorter one that did not.
"""

import asyncio
import errno
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec

from agent.flight import unsent
from agent.sample import Burst, Measure, Sample, Target
from agent.stamp.mapping import LONGEST_DELAY_SECONDS, Endpoint
from agent.wire.assignment import Port
from agent.wire.series import Outcome

COPIES = 2
_AT_A_TIME = 4

IdleSeconds = Annotated[int, msgspec.Meta(ge=1, le=LONGEST_DELAY_SECONDS)]


class Options(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What can be set for this probe."""

    port: Annotated[
        Port | None, msgspec.Meta(description="UDP port of the peer's agent, unless set the peer's")
    ] = None
    idle_seconds: Annotated[
        tuple[IdleSeconds, ...],
        msgspec.Meta(
            min_length=1, max_length=16, description="after which silences to look, 1 to 300 s; all at once"
        ),
    ] = (15, 30, 60, 120, 180)


MEASURES = (
    Measure("nat", "gauge", "lightfloor_nat", "1 if the peer sees another address or port than this node's."),
    Measure(
        "mapping_lifetime_seconds",
        "gauge",
        "lightfloor_nat_mapping_lifetime_seconds",
        "Longest silence tried that a UDP mapping of the NAT outlived, where it did not outlive a longer one.",
    ),
)


@dataclass(frozen=True, slots=True)
class Look:
    """What one socket saw.

    local and seen: this end, by this host and by the peer; None where it was not learnt. outlived: whether the mapping
    was there after idle_seconds; None where that was not tried, or the peer did not hold its answer back.
    """

    idle_seconds: int
    local: Endpoint | None = None
    seen: Endpoint | None = None
    outlived: bool | None = None
    error: OSError | None = None

    @property
    def translated(self) -> bool:
        """Whether something on the way changed this end."""
        return self.seen is not None and self.seen != self.local


async def run(burst: Burst) -> None:
    """Ask a few targets at a time; behind a NAT that takes the longest idle time and one timeout."""
    places = asyncio.Semaphore(_AT_A_TIME)

    async def one(target: Target) -> None:
        async with places:
            looks = await asyncio.gather(
                *(_look(burst, target, idle) for idle in burst.options.idle_seconds for _ in range(COPIES))
            )
        burst.record(target, conclude(looks))

    await asyncio.gather(*(one(target) for target in burst.targets))


async def _look(burst: Burst, target: Target, idle_seconds: int) -> Look:
    try:
        mapping = burst.network.mapping(target.address, burst.options.port or target.port, target.family)
    except OSError as error:
        return Look(idle_seconds, error=error)
    look = Look(idle_seconds, mapping.local)
    try:
        at_once = await mapping.ask(0, burst.timeout_seconds)
        if at_once is None:
            return look
        look = Look(idle_seconds, mapping.local, at_once.seen)
        if not look.translated:
            return look
        later = await mapping.ask(idle_seconds, burst.timeout_seconds)
    except OSError as error:
        return Look(idle_seconds, look.local, look.seen, error=error)
    finally:
        mapping.close()
    if later is not None and later.delay_seconds != idle_seconds:
        return look
    return Look(idle_seconds, look.local, look.seen, outlived=later is not None)


def conclude(looks: Iterable[Look]) -> Sample:
    """What all sockets towards one peer saw together."""
    looks = list(looks)
    answered = [look for look in looks if look.seen is not None]
    if not answered:
        return _unanswered([look.error for look in looks if look.error is not None])
    shown = next((look for look in answered if look.translated), answered[0])
    return Sample(
        Outcome.OK,
        result={
            "nat": shown.translated,
            "local_address": str(shown.local),
            "observed_address": str(shown.seen),
            **lifetime(answered),
        },
    )


def lifetime(looks: Iterable[Look]) -> Mapping[str, int]:
    """The lifetime as far as the idle times tried can tell it, in seconds; empty where none was.

    mapping_lifetime_seconds: the longest that a mapping outlived, below one that it did not.
    mapping_lifetime_at_least_seconds: it outlived the longest. mapping_lifetime_below_seconds: not even the shortest.
    """
    kept = {look.idle_seconds for look in looks if look.outlived}
    lost = {look.idle_seconds for look in looks if look.outlived is False}
    if kept and max(lost, default=0) > max(kept):
        return {"mapping_lifetime_seconds": max(kept)}
    if kept:
        return {"mapping_lifetime_at_least_seconds": max(kept)}
    return {"mapping_lifetime_below_seconds": min(lost)} if lost else {}


def _unanswered(errors: list[OSError]) -> Sample:
    if not errors:
        return Sample(Outcome.TIMEOUT, detail="no agent told from which address this node is seen")
    if errors[0].errno == errno.ECONNREFUSED:
        return Sample(Outcome.REFUSED, detail="the peer's UDP port is closed")
    return unsent(errors[0])
