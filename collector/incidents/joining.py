"""Episodes of single paths joined to incidents: what began together has one cause, or few. Pure."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from collector.incidents.attribution import Cause, CauseKind, Place, explain
from collector.incidents.breach import Kind
from collector.incidents.episodes import Block, Episode, Pair
from collector.incidents.incident import Incident

TOGETHER_S = 1800
"""Starts no further apart are asked for one cause; congestion grows for a while before every path shows it."""
REJOIN_S = 900
"""A path that breaks again so soon after an incident that explains it belongs to it."""
FLAGGED_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Known:
    """An incident found earlier, and the paths that its cause would break."""

    incident: Incident
    pairs: frozenset[Pair]


@dataclass(slots=True)
class Draft:
    """An incident in the making. pairs: measured paths that the cause would break. known: what is being carried on.

    flags: what an own host did to the breached blocks, worst figure.
    """

    kind: Kind
    cause: Cause
    pairs: frozenset[Pair]
    episodes: list[Episode] = field(default_factory=list)
    known: Incident | None = None
    flags: dict[str, float] = field(default_factory=dict)

    @property
    def start_s(self) -> int:
        """Of the first breach that is sure of itself."""
        return self.first.start_s if self.known is None else self.known.start_s

    @property
    def first(self) -> Episode:
        """The episode that it began with."""
        return min(self.episodes, key=lambda each: (not each.sure, each.start_s, each.pair))

    @property
    def last_s(self) -> int:
        """End of the last breach so far."""
        ends = [each.end_s for each in self.episodes]
        return max(ends if self.known is None else [*ends, self.known.last_s])

    @property
    def open(self) -> bool:
        """Whether any of it may still go on."""
        return any(each.open for each in self.episodes)

    @property
    def broken(self) -> frozenset[Pair]:
        """The paths that broke."""
        return frozenset(each.pair for each in self.episodes)


@dataclass(frozen=True, slots=True)
class Mesh:
    """What joining must know of the fleet. pairs: measured ones, by kind of trouble that they can show."""

    places: Mapping[str, Place]
    pairs: Mapping[Kind, frozenset[Pair]]

    def host(self, node: str) -> str:
        """The machine behind a node's name."""
        return self.places[node].host if node in self.places else node


def join(
    episodes: Sequence[Episode], blocks: Sequence[Block], mesh: Mesh, known: Sequence[Known] = ()
) -> list[Draft]:
    """Episodes in order of start → one draft per cause, in order of start; known incidents are carried on."""
    spoiled = _flagged_hosts(blocks, mesh)
    own, others = [], []
    for episode in (each for each in episodes if each.telling):
        host = _spoiler(episode, spoiled, mesh)
        if host is None:
            others.append(episode)
        else:
            own.append((host, episode))
    earlier = [Draft(k.incident.kind, k.incident.cause, k.pairs, [], k.incident) for k in known]
    drafts = _of_own_hosts(own, [d for d in earlier if d.cause.kind is CauseKind.OWN_HOST], spoiled, mesh)
    heard = _Heard([block.start_s for block in blocks], blocks)
    for kind in Kind:
        mine = [d for d in earlier if d.kind is kind and d.cause.kind is not CauseKind.OWN_HOST]
        drafts += _of_kind(kind, [each for each in others if each.kind is kind], mine, heard, mesh)
    return sorted(drafts, key=lambda draft: (draft.start_s, draft.kind, draft.cause.name))


Spoiled = Mapping[tuple[str, int], Mapping[str, float]]
"""(host, start of a block) → what the host did to it itself, by quality flag."""


def _flagged_hosts(blocks: Iterable[Block], mesh: Mesh) -> Spoiled:
    return {(mesh.host(node), block.start_s): own for block in blocks for node, own in block.flags.items()}


def _spoiler(episode: Episode, spoiled: Spoiled, mesh: Mesh) -> str | None:
    """The end that spoiled at least half of the breached blocks itself; the source's word goes first."""
    starts = {breach.block_s for breach in episode.breaches}
    for end in episode.pair:
        host = mesh.host(end)
        if sum((host, start_s) in spoiled for start_s in starts) >= FLAGGED_SHARE * len(starts):
            return host
    return None


def _of_own_hosts(
    own: Iterable[tuple[str, Episode]], earlier: Iterable[Draft], spoiled: Spoiled, mesh: Mesh
) -> list[Draft]:
    """One for each host and time, whether its paths were slow or lost."""
    drafts = list(earlier)
    for host, episode in own:
        cause = Cause(CauseKind.OWN_HOST, host)
        mine = next(
            (d for d in drafts if d.cause == cause and episode.start_s <= d.last_s + TOGETHER_S), None
        )
        if mine is None:
            pairs = frozenset(p for p in mesh.pairs[episode.kind] if host in map(mesh.host, p))
            mine = Draft(episode.kind, cause, pairs | {episode.pair})
            drafts.append(mine)
        mine.episodes.append(episode)
        for breach in episode.breaches:
            for flag, figure in spoiled.get((host, breach.block_s), {}).items():
                if abs(figure) >= abs(mine.flags.get(flag, 0.0)):
                    mine.flags[flag] = figure
    kept = [d for d in drafts if d.known is not None or any(each.sure for each in d.episodes)]
    for draft in kept:
        if draft.known is not None:
            continue
        by_kind = {kind: sum(e.score for e in draft.episodes if e.kind is kind) for kind in Kind}
        draft.kind = max(by_kind, key=lambda kind: by_kind[kind])
    return kept


@dataclass(frozen=True, slots=True)
class _Heard:
    """Who was heard when. starts: of the blocks, in order."""

    starts: Sequence[int]
    blocks: Sequence[Block]

    def sources(self, start_s: int, end_s: int) -> set[str]:
        """Sources with data in at least half of these blocks, of those in which anybody had some."""
        here = self.blocks[bisect_left(self.starts, start_s) : bisect_left(self.starts, end_s)]
        counts = Counter(source for block in here for source in block.heard)
        least = sum(bool(block.heard) for block in here) / 2
        return {source for source, count in counts.items() if count >= least}


def _of_kind(
    kind: Kind, episodes: Sequence[Episode], earlier: Sequence[Draft], heard: _Heard, mesh: Mesh
) -> list[Draft]:
    drafts = list(earlier)
    together: list[Episode] = []
    for episode in episodes:
        if together and (
            episode.start_s - together[-1].start_s > TOGETHER_S
            or episode.start_s > max(each.end_s for each in together) + REJOIN_S
        ):
            drafts += _explained(kind, together, heard, mesh)
            together = []
        mine = _rejoined(episode, drafts)
        if mine is None:
            together.append(episode)
        else:
            mine.episodes.append(episode)
    return drafts + _explained(kind, together, heard, mesh)


def _rejoined(episode: Episode, drafts: Iterable[Draft]) -> Draft | None:
    return next(
        (
            d
            for d in drafts
            if episode.pair in d.pairs and d.start_s <= episode.start_s <= d.last_s + REJOIN_S
        ),
        None,
    )


def _explained(kind: Kind, together: Sequence[Episode], heard: _Heard, mesh: Mesh) -> list[Draft]:
    sure = {each.pair for each in together if each.sure}
    if not sure:
        return []
    start_s, end_s = min(e.start_s for e in together), max(e.end_s for e in together)
    sources = heard.sources(start_s, end_s)
    measured = {pair for pair in mesh.pairs[kind] if pair[0] in sources}
    hinted = {each.pair for each in together if not each.sure}
    return [
        Draft(kind, found.cause, found.measured, [each for each in together if each.pair in found.broken])
        for found in explain(sure, hinted, measured, mesh.places)
    ]
