"""Which nodes test each other, in what order, so that no node is in two tests at once. Pure.

The circle method (round-robin tournament): one node stays, the others move around it by one place each round.
n nodes meet each other once in n - 1 rounds (n rounds when n is odd: one node rests in each).
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

Pair = tuple[str, str]


def rounds(nodes: Sequence[str]) -> list[list[Pair]]:
    """Every unordered pair of nodes once; within a round no node twice."""
    seats: list[str | None] = [*nodes] if len(nodes) % 2 == 0 else [*nodes, None]
    count = len(seats)
    result = []
    for _ in range(max(count - 1, 0)):
        pairs = [(seats[i], seats[count - 1 - i]) for i in range(count // 2)]
        result.append([(a, b) for a, b in pairs if a is not None and b is not None])
        seats = [seats[0], seats[-1], *seats[1:-1]]
    return result


def in_order(nodes: Sequence[str], wanted: Collection[Pair]) -> list[Pair]:
    """The wanted (client, server) pairs, round by round: a round's one direction, then its other."""
    known = set(wanted)
    return [
        pair
        for matches in rounds(nodes)
        for direction in (matches, [(b, a) for a, b in matches])
        for pair in direction
        if pair in known
    ]


def choose(
    candidates: Iterable[Pair], idle: Collection[str], may_run: Callable[[Pair], bool]
) -> Iterator[Pair]:
    """Candidates in their order whose nodes are both idle and stay so: what can start now, side by side."""
    free = set(idle)
    for client, server in candidates:
        if len(free) < 2:
            return
        if client in free and server in free and may_run((client, server)):
            free -= {client, server}
            yield client, server
