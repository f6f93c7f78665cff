"""The fenced blocks of README and docs/, and what their info string says is to be done with them."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    *sorted(f"docs/{file.name}" for file in (ROOT / "docs").glob("*.md")),
)
_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>```+)(?P<info>[^`]*)$")


@dataclass(frozen=True, slots=True)
class Block:
    """line: of its opening fence. language: first word of the info string; marking: the rest of it."""

    page: str
    line: int
    language: str
    marking: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def is_run(self) -> bool:
        return self.marking == "run"

    @property
    def reason(self) -> str | None:
        """Why it is not run; None where it does not say."""
        return self.marking.removeprefix("not run:").strip() if self.marking.startswith("not run:") else None


def blocks_of(page: str) -> list[Block]:
    """Raises ValueError for a fence that is never closed."""
    found, opened = [], None
    lines: list[str] = []
    for number, line in enumerate((ROOT / page).read_text().splitlines(), 1):
        fence = _FENCE.match(line)
        if opened is None and fence:
            opened, lines = (number, fence), []
        elif opened is not None and line.strip() == opened[1]["fence"]:
            language, _, marking = opened[1]["info"].strip().partition(" ")
            found.append(Block(page, opened[0], language, marking.strip(), "\n".join(lines) + "\n"))
            opened = None
        elif opened is not None:
            lines.append(line.removeprefix(opened[1]["indent"]))
    if opened is not None:
        raise ValueError(f"{page}:{opened[0]}: the block is not closed")
    return found


def indented_code_of(page: str) -> list[int]:
    """Lines of code blocks by indentation, which cannot say whether they are run."""
    found, before, fenced, listed = [], "", False, False
    for number, line in enumerate((ROOT / page).read_text().splitlines(), 1):
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            listed = bool(re.match(r"\s*([*-]|\d+\.) ", line)) or (
                listed and (not line or line.startswith(" "))
            )
            if line.startswith("    ") and not before and not listed:
                found.append(number)
        before = line.strip()
    return found
