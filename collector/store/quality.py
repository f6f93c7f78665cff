"""Quality flags of spoiled minutes as stored: JSON {flag: [figure, minutes]}; NULL in a clean row.

figure: the one of largest magnitude among the minutes merged (a clock step may be negative);
minutes: how many of them carried the flag.
"""

import orjson

Flags = dict[str, tuple[float, int]]


def decode_flags(text: str | None) -> Flags:
    """Flag → (figure, minutes)."""
    return {} if text is None else {flag: (row[0], row[1]) for flag, row in orjson.loads(text).items()}


def encode_flags(flags: Flags) -> str | None:
    """The same, to be stored."""
    return orjson.dumps(flags).decode() if flags else None


def add_flags(total: Flags, other: Flags) -> None:
    """Add another stretch of time's flags to total."""
    for flag, (figure, minutes) in other.items():
        before, so_far = total.get(flag, (0.0, 0))
        total[flag] = (max(before, figure, key=_magnitude), so_far + minutes)


def merge_same_minute(one: str | None, other: str | None) -> str | None:
    """Flags of two windows of one minute: the minute still counts once."""
    merged = decode_flags(one)
    for flag, (figure, _) in decode_flags(other).items():
        merged[flag] = (max(merged.get(flag, (0.0, 1))[0], figure, key=_magnitude), 1)
    return encode_flags(merged)


def _magnitude(figure: float) -> tuple[float, float]:
    return abs(figure), figure  # the second decides between +1 and −1, so that the order of merging does not
