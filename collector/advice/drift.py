"""In what a slow node differs from its healthy siblings, the likeliest explanation first. Pure.

Same image and same sysctl everywhere, one region slow: the answer is then in what is not configured alike, or in what is
configured alike and does not fit there. So beside the facts themselves it compares what follows from two of them
together (`derived.…`), such as whether an overlay fits the link below it.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from collector.advice.likelihood import IGNORED, Symptom, likelihood

LEAST_SIBLINGS = 2
"""With one sibling nobody knows which of the two is the odd one."""
UNEXPLAINED_FACTOR = 0.5
"""For a difference that cannot cause any of the symptoms measured."""
SAME_SIZE_RATIO = 0.05
"""Two machines of one type differ by a few per cent in the memory that the firmware leaves."""
ABSENT = "absent"
"""In place of a value: the node has no such thing."""

Facts = Mapping[str, Any]
"""Name → value; None: not readable, which is neither equal nor different."""


@dataclass(frozen=True, slots=True)
class Member:
    """One node of the fleet with what it says of itself. healthy: None where no verdict about its paths is known."""

    node: str
    provider: str
    role: str | None = None
    image: str | None = None
    facts: Facts = field(default_factory=dict)
    healthy: bool | None = None


class Difference(msgspec.Struct, frozen=True):
    """One fact. there: what most siblings have; like_here: how many siblings have the node's value, of how many.

    score: 0 … 1, weight × rarity of the value here × agreement of the siblings, less where it explains no symptom.
    """

    fact: str
    here: Any
    there: Any
    siblings: int
    like_there: int
    like_here: int
    score: float
    explains: tuple[Symptom, ...]
    why_en: str
    why_zh: str


class Comparison(msgspec.Struct, frozen=True):
    """basis: what makes them siblings. unknown: facts that most siblings know and the node cannot read.

    reason: why there is nothing to compare with; then differences are empty, which does not mean equal.
    """

    node: str
    basis: str | None
    siblings: tuple[str, ...]
    symptoms: tuple[Symptom, ...]
    differences: tuple[Difference, ...]
    unknown: tuple[str, ...]
    reason: str | None = None


def compare(node: str, members: Iterable[Member], symptoms: Iterable[Symptom] = ()) -> Comparison:
    """Every difference between a node and its siblings, the likeliest first. Raises KeyError for an unknown node."""
    by_name = {member.node: member for member in members}
    own = by_name.pop(node)
    wanted = tuple(sorted(set(symptoms)))
    basis, siblings = siblings_of(own, by_name.values())
    names = tuple(sibling.node for sibling in siblings)
    if not own.facts:
        return Comparison(node, basis, names, wanted, (), (), "the node has sent no facts")
    if basis is None:
        return Comparison(
            node,
            None,
            names,
            wanted,
            (),
            (),
            "fewer than two nodes of its role, provider or image have sent facts",
        )
    here = comparable(own.facts)
    there = [comparable(sibling.facts) for sibling in siblings]
    differences, unknown = [], []
    for fact in sorted(here.keys() | {fact for facts in there for fact in facts}):
        values = [facts.get(fact, ABSENT) for facts in there]
        if here.get(fact, ABSENT) is None:
            if sum(value is not None and value != ABSENT for value in values) * 2 > len(values):
                unknown.append(fact)
            continue
        found = _difference(fact, here.get(fact, ABSENT), values, frozenset(wanted))
        if found is not None:
            differences.append(found)
    differences.sort(key=lambda found: (-found.score, found.fact))
    return Comparison(node, basis, names, wanted, tuple(differences), tuple(unknown))


def siblings_of(own: Member, others: Iterable[Member]) -> tuple[str | None, list[Member]]:
    """What they have in common and the siblings with facts: of the same role, else image, else provider.

    Nodes known to be unhealthy are none, unless no two others are left.
    """
    speaking = [member for member in others if member.facts]
    for basis in ("role", "image", "provider"):
        common = getattr(own, basis)
        alike = [member for member in speaking if common is not None and getattr(member, basis) == common]
        healthy = [member for member in alike if member.healthy is not False]
        chosen = healthy if len(healthy) >= LEAST_SIBLINGS else alike
        if len(chosen) >= LEAST_SIBLINGS:
            return f"{basis} {common}", sorted(chosen, key=lambda member: member.node)
    return None, []


def comparable(facts: Facts) -> dict[str, Any]:
    """Facts under names that mean the same on every node, what follows from several of them, and no identities."""
    uplink = uplink_of(facts)
    found = dict(_derived(facts, uplink))
    for name, value in facts.items():
        if not IGNORED.fullmatch(common := _common_name(name, uplink)):
            found[common] = value
    return found


def uplink_of(facts: Facts) -> str | None:
    """The interface of the best default route, IPv4's first."""
    for family in ("ipv4", "ipv6"):
        routes = facts.get(f"route.{family}.default")
        if isinstance(routes, list) and routes and isinstance(routes[0], dict):
            name = routes[0].get("interface")
            if isinstance(name, str):
                return name
    return None


def _common_name(name: str, uplink: str | None) -> str:
    prefix = f"interface.{uplink}."
    return f"interface.uplink.{name.removeprefix(prefix)}" if uplink and name.startswith(prefix) else name


def _derived(facts: Facts, uplink: str | None) -> Iterator[tuple[str, Any]]:
    """Whether each overlay fits what is below it, as running and as configured; None where a part is unknown."""
    link = facts.get(f"interface.{uplink}.mtu") if uplink else None
    for name, value in facts.items():
        words = name.split(".")
        if words[0] == "overlay" and words[-1] == "mtu":
            at = name.removesuffix(".mtu")
            fits = _fits((value, facts.get(f"{at}.overhead_bytes")), facts.get(f"{at}.underlay_mtu"))
            yield f"derived.{at}.fits_underlay", fits
        elif words[0] == "overlay_config" and isinstance(value, dict) and "underlay_mtu" in value:
            at = ".".join(words[1:])
            yield (
                f"derived.overlay.{at}.configured_underlay_fits_uplink",
                _fits((value["underlay_mtu"],), link),
            )


def _fits(parts: tuple[Any, ...], room: Any) -> bool | None:
    """Whether the bytes together are no more than the room; None unless all are numbers."""
    if not all(isinstance(number, int | float) for number in (*parts, room)):
        return None
    return bool(sum(parts) <= room)


def _difference(fact: str, here: Any, values: list[Any], symptoms: frozenset[Symptom]) -> Difference | None:
    """None where most siblings have the same, or too few siblings know."""
    known = [value for value in values if value is not None]
    if len(known) < LEAST_SIBLINGS:
        return None
    counts = Counter(_key(value) for value in known)
    commonest, like_there = min(counts.items(), key=lambda item: (-item[1], item[0]))
    like_here = sum(_same(here, value) for value in known)
    there = next(value for value in known if _key(value) == commonest)
    if _same(here, there) or like_here >= like_there or _is_part_of_a_missing_thing(fact, here, there):
        return None
    row = likelihood(fact)
    share = like_there / len(known)
    rarity = 1 - like_here / len(known)
    relevant = 1.0 if not symptoms or symptoms & row.explains else UNEXPLAINED_FACTOR
    return Difference(
        fact,
        here,
        there,
        len(known),
        like_there,
        like_here,
        round(row.weight * rarity * share * relevant, 4),
        tuple(sorted(row.explains)),
        row.why_en,
        row.why_zh,
    )


def _is_part_of_a_missing_thing(fact: str, here: Any, there: Any) -> bool:
    """An interface or tunnel that one side lacks is one difference, told by its kind, not one for each of its facts."""
    whole = re.fullmatch(r"(interface|overlay)\.(?!uplink\.).+", fact)
    return ABSENT in (here, there) and whole is not None and not fact.endswith(".kind")


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _same(one: Any, other: Any) -> bool:
    """Equal, or two sizes in bytes or rates within a few per cent."""
    large = all(isinstance(value, int | float) and value >= 2**24 for value in (one, other))
    if large:
        return bool(abs(one - other) <= SAME_SIZE_RATIO * max(one, other))
    return bool(_key(one) == _key(other))
