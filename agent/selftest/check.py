"""One line of the self test. Pure."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec


class State(StrEnum):
    """What a check found. UNAVAILABLE is this host's limit and no fault; UNTESTED: there was nothing to try it on."""

    WORKS = "works"
    UNAVAILABLE = "unavailable"
    FAILED = "failed"
    UNTESTED = "untested"


class Check(msgspec.Struct, frozen=True):
    """detail: the figure that shows it, or the reason. remedy: what would mend it, empty where nothing has to be."""

    name: str
    state: State
    detail: str
    remedy: str = ""


def all_well(checks: Sequence[Check]) -> bool:
    """Whether nothing failed: what is unavailable or untested spoils no measurement."""
    return not any(check.state is State.FAILED for check in checks)


def as_text(checks: Sequence[Check]) -> str:
    """A table for people, each remedy below its line, and the count."""
    width = max((len(check.name) for check in checks), default=0)
    lines = []
    for check in checks:
        lines.append(f"{check.name:<{width}}  {check.state:<11}  {check.detail}".rstrip())
        if check.remedy:
            lines.append(f"{'':<{width}}  → {check.remedy}")
    counts = (sum(check.state is state for check in checks) for state in State)
    told = ", ".join(f"{count} {state}" for state, count in zip(State, counts, strict=True) if count)
    return "\n".join([*lines, "", told])
