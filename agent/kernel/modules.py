"""Kernel modules: those loaded (/proc/modules), and those that depmod lists as loadable or built in."""

from agent.kernel.parse_error import ParseError
from agent.kernel.text import text_of

SOURCE = "proc/modules"
MIN_COLUMNS = 3  # name, size, use count; then users, state, address


def parse_modules(data: bytes) -> frozenset[str]:
    """Names of the loaded modules, as the kernel spells them (with underscores). Raises ParseError."""
    names = set()
    for line_number, line in enumerate(text_of(SOURCE, data).splitlines(), 1):
        words = line.split()
        if len(words) < MIN_COLUMNS or not words[1].isdigit():
            raise ParseError(SOURCE, f"line {line_number}", "'name size users ...' was expected", line)
        names.add(words[0])
    return frozenset(names)


def parse_module_list(data: bytes) -> frozenset[str]:
    """Names from modules.dep or modules.builtin (modules.dep(5)): a path at each line's start. Raises ParseError."""
    names = set()
    for line in text_of("modules.dep", data).splitlines():
        file = line.partition(":")[0].strip().rpartition("/")[2]
        name, dot, _ = file.partition(".ko")
        if dot:
            names.add(name.replace("-", "_"))
    return frozenset(names)
