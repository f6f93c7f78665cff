"""Kernel parameters: values of /proc/sys, the text of `sysctl -a`, and sysctl.d files.

A key is written with dots; a dot inside one component (an interface eth0.100) is then written as a slash, as
sysctl(8) does: net.ipv4.conf.eth0/100.forwarding.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from agent.kernel.parse_error import ParseError
from agent.kernel.text import MAX_DIGITS, text_of

SOURCE = "sysctl"
FILE_SOURCE = "sysctl.d"
SWAP_SEPARATORS = str.maketrans("./", "/.")
INTEGER = re.compile(rf"(?:0|-?[1-9][0-9]{{0,{MAX_DIGITS - 1}}})\Z")
LINUX_LINE = re.compile(r"([\w.*/:@+-]+) =(?: (.*))?\Z")
FREEBSD_LINE = re.compile(r"([a-z][\w%-]*(?:\.[\w%-]+)+):(?: (.*))?\Z")

Value = int | list[int] | str
"""One number, several (tcp_rmem's triple), or anything else as the text without its line end."""


@dataclass(frozen=True, slots=True)
class Sysctls:
    """What `sysctl -a` printed. system: whose kernel it was. A key that is not in values is absent there."""

    system: Literal["linux", "freebsd"]
    values: dict[str, Value]


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of a sysctl.d file. file: its path as given; line: counted from 1."""

    value: Value
    file: str
    line: int


def parse_value(data: bytes) -> Value:
    """The content of one file of /proc/sys. Raises ParseError for bytes that are no text."""
    return normalise(text_of(SOURCE, data))


def normalise(text: str) -> Value:
    """Numbers as numbers: "1" → 1, "4096 87380 6291456" → [4096, 87380, 6291456]; other text stripped."""
    words = text.split()
    if words and all(INTEGER.match(word) for word in words):
        return int(words[0]) if len(words) == 1 else [int(word) for word in words]
    return text.strip()


def path_of(key: str) -> str:
    """Where a dotted key lives: net.ipv4.conf.eth0/100.mtu → proc/sys/net/ipv4/conf/eth0.100/mtu."""
    return "proc/sys/" + key.translate(SWAP_SEPARATORS)


def dotted(key: str) -> str:
    """A key in either notation in the dotted one. The first separator tells which it is, as in sysctl.d(5)."""
    first = next((character for character in key if character in "./"), ".")
    return key if first == "." else key.translate(SWAP_SEPARATORS)


def parse_sysctl(data: bytes) -> Sysctls:
    """The output of `sysctl -a`. Repeated keys (Linux) and lines that continue (FreeBSD) are joined by line ends.

    Raises ParseError when the first line is neither Linux's "key = value" nor FreeBSD's "key: value".
    """
    lines = text_of(SOURCE, data).splitlines()
    first = next((line for line in lines if line.strip()), "")
    if LINUX_LINE.match(first):
        return Sysctls("linux", _joined(_linux_lines(lines)))
    if FREEBSD_LINE.match(first):
        return Sysctls("freebsd", _joined(_freebsd_lines(lines)))
    raise ParseError(SOURCE, "line 1", "'key = value' (Linux) or 'key: value' (FreeBSD) was expected", first)


def _linux_lines(lines: list[str]) -> Iterable[tuple[str, str]]:
    for line_number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("sysctl: "):  # its complaints, when both streams were captured
            continue
        match = LINUX_LINE.match(line)
        if match is None:
            raise ParseError(SOURCE, f"line {line_number}", "'key = value' was expected", line)
        yield match[1], match[2] or ""


def _freebsd_lines(lines: list[str]) -> Iterable[tuple[str, str]]:
    key = ""
    for line in lines:
        match = FREEBSD_LINE.match(line)
        if match is not None:
            key = match[1]
            yield key, match[2] or ""
        elif key:
            yield key, line


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, Value]:
    texts: dict[str, list[str]] = {}
    for key, text in pairs:
        texts.setdefault(key, []).append(text)
    return {key: normalise(parts[0]) if len(parts) == 1 else "\n".join(parts) for key, parts in texts.items()}


def parse_sysctl_file(data: bytes, file: str = FILE_SOURCE) -> dict[str, Setting]:
    """A sysctl.d file or sysctl.conf: dotted key → setting, the later line wins. `file` names it in the settings.

    A leading '-' (errors do not matter) is dropped; '-key' without a value excludes the key from globs and sets
    nothing. Raises ParseError for a line without '='.
    """
    settings: dict[str, Setting] = {}
    for line_number, line in enumerate(text_of(file, data).splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        key, equals, value = stripped.partition("=")
        key = key.strip()
        if not equals and key.startswith("-"):
            continue
        key = key.removeprefix("-").strip()
        if not equals or not key:
            raise ParseError(file, f"line {line_number}", "'key = value' was expected", line)
        settings[dotted(key)] = Setting(normalise(value), file, line_number)
    return settings
