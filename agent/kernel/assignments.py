"""NAME=value files: /etc/os-release, flannel's subnet.env, a device's uevent, a process's environ."""

import shlex

from agent.kernel.parse_error import ParseError
from agent.kernel.text import text_of


def parse_assignments(data: bytes, source: str) -> dict[str, str]:
    """Value by name, shell quoting resolved (os-release(5)); comments and empty lines left out. Raises ParseError."""
    values: dict[str, str] = {}
    for line_number, line in enumerate(text_of(source, data).splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        where = f"line {line_number}"
        name, equals, value = stripped.partition("=")
        if not equals or not name.strip():
            raise ParseError(source, where, "'NAME=value' was expected", line)
        try:
            values[name.strip()] = "".join(shlex.split(value)) if value[:1] in ("'", '"') else value
        except ValueError as error:
            raise ParseError(source, where, f"quoting: {error}", line) from None
    return values


def parse_environ(data: bytes) -> dict[str, str]:
    """/proc/PID/environ: NUL-separated, any bytes; pieces without '=' are no variables and are left out."""
    pieces = (piece.decode(errors="replace").partition("=") for piece in data.split(b"\0"))
    return {name: value for name, equals, value in pieces if equals}
