"""/proc/net/stat/nf_conntrack: connection tracking's counters, one line per CPU (nf_conntrack_standalone.c)."""

from agent.kernel.parse_error import ParseError
from agent.kernel.text import text_of

SOURCE = "proc/net/stat/nf_conntrack"
MAX_HEX_DIGITS = 16
GAUGES = frozenset({"entries"})  # every line repeats the whole table's size


def parse_conntrack_stat(data: bytes) -> dict[str, int]:
    """Counters by the heading's names, summed over the CPUs. Raises ParseError."""
    lines = [line.split() for line in text_of(SOURCE, data).splitlines() if line.strip()]
    if not lines or "entries" not in lines[0]:
        raise ParseError(
            SOURCE, "line 1", "a heading with 'entries' was expected", " ".join(lines[0]) if lines else ""
        )
    names = lines[0]
    totals = dict.fromkeys(names, 0)
    for line_number, words in enumerate(lines[1:], 2):
        if len(words) != len(names):
            raise ParseError(
                SOURCE, f"line {line_number}", f"{len(names)} numbers were expected", " ".join(words)
            )
        for name, word in zip(names, words, strict=True):
            count = _hexadecimal(word, f"line {line_number}")
            totals[name] = count if name in GAUGES else totals[name] + count
    return totals


def _hexadecimal(word: str, where: str) -> int:
    if len(word) > MAX_HEX_DIGITS or not all(character in "0123456789abcdefABCDEF" for character in word):
        raise ParseError(SOURCE, where, "a hexadecimal number was expected", word)
    return int(word, 16)
