"""nftables rules for a node: loss that needs no WAN. Pure; Node.nft loads the text.

Kernel: net/netfilter/nft_numgen.c. A statement before the closing brace must end with a newline or semicolon.
"""

from typing import Literal

Hook = Literal["input", "output", "forward"]


def drop_ratio(hook: Hook, ratio: float, match: str = "") -> str:
    """Drop that part of the packets that match (nft's own words, such as "tcp dport 443"), at random.

    The ratio is kept to a hundredth of a per cent.
    """
    return _chain(hook, f"{match} numgen random mod 10000 < {round(ratio * 10_000)} counter drop")


def drop_every(hook: Hook, count: int, match: str = "") -> str:
    """Drop exactly every count-th packet that matches, beginning with the first."""
    return _chain(hook, f"{match} numgen inc mod {count} == 0 counter drop")


def _chain(hook: Hook, rule: str) -> str:
    return f"table inet lab {{\n  chain {hook} {{\n    type filter hook {hook} priority 0;\n    {rule.strip()};\n  }}\n}}\n"
