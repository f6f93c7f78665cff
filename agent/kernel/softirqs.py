"""/proc/softirqs: soft interrupts by kind and CPU since boot (fs/proc/softirqs.c). A column per possible CPU."""

from agent.kernel.parse_error import ParseError
from agent.kernel.text import number, text_of

SOURCE = "proc/softirqs"
COUNTER_MODULUS = 2**32

Softirqs = dict[str, dict[int, int]]
"""Kind (NET_RX, TIMER, …) → CPU number → count, an unsigned 32-bit counter that wraps."""


def parse_softirqs(data: bytes) -> Softirqs:
    """Raises ParseError when the heading or a row does not fit."""
    lines = [line.split() for line in text_of(SOURCE, data).splitlines()]
    if not lines or not lines[0] or not all(word.startswith("CPU") for word in lines[0]):
        raise ParseError(
            SOURCE, "line 1", "a heading of CPU numbers was expected", " ".join(lines[0]) if lines else ""
        )
    cpus = [number(SOURCE, "line 1", word[3:]) for word in lines[0]]
    if len(set(cpus)) != len(cpus):
        raise ParseError(SOURCE, "line 1", "a CPU stands there twice", " ".join(lines[0]))
    softirqs: Softirqs = {}
    for line_number, words in enumerate(lines[1:], 2):
        if not words:
            continue
        where = f"line {line_number}"
        if len(words) != len(cpus) + 1 or not words[0].endswith(":") or words[0] == ":":
            raise ParseError(SOURCE, where, f"'KIND:' and {len(cpus)} numbers were expected", " ".join(words))
        counts = (number(SOURCE, where, word) for word in words[1:])
        softirqs[words[0][:-1]] = dict(zip(cpus, counts, strict=True))
    return softirqs


def busiest_share(counts: dict[int, int]) -> tuple[int, float] | None:
    """The CPU with the largest count and its share of the sum, 0 to 1; None when nothing was counted."""
    total = sum(counts.values())
    if total <= 0:
        return None
    cpu = max(counts, key=counts.__getitem__)
    return cpu, counts[cpu] / total
