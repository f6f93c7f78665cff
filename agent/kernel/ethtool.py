"""The text of ethtool(8): `ethtool -k`, `-i`, `-S` and plain `ethtool DEV`. Raises ParseError only.

What the kernel itself answers is decoded in ethtool_ioctl; both give the types defined here.
"""

import re
from dataclasses import dataclass, field

from agent.kernel.parse_error import ParseError
from agent.kernel.text import number, text_of

SOURCE = "ethtool"
FEATURE_LINE = re.compile(
    r"\s*([a-z][\w.-]*): (on|off)( \[fixed\]| \[not requested\]| \[requested (?:on|off)\])?(?=\s|\Z)"
)
SPEED = re.compile(r"([0-9]{1,7})Mb/s\Z")
ALLOWANCE_SUFFIX = "_allowance_exceeded"


@dataclass(frozen=True, slots=True)
class Feature:
    """One offload. fixed: the driver does not let it be changed. requested: what was asked for, where it differs."""

    enabled: bool
    fixed: bool = False
    requested: bool | None = None


@dataclass(frozen=True, slots=True)
class Driver:
    """Which driver serves an interface. Empty answers are None."""

    name: str | None
    version: str | None = None
    firmware: str | None = None
    bus: str | None = None


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """Speed as negotiated or claimed; None where the driver does not know it (most virtual ones)."""

    speed_bits_per_second: int | None
    duplex: str | None
    autonegotiation: bool | None = None
    link_detected: bool | None = None
    properties: dict[str, str] = field(default_factory=dict)


def parse_features(data: bytes) -> dict[str, Feature]:
    """`ethtool -k`: feature by name. Indentation and anything after the value do not matter."""
    features: dict[str, Feature] = {}
    for line_number, line in enumerate(text_of(SOURCE, data).splitlines(), 1):
        if not line.strip() or (line.startswith("Features for ") and line.endswith(":")):
            continue
        if line.startswith("Cannot get "):  # ethtool's complaint about one old ioctl, among good lines
            continue
        match = FEATURE_LINE.match(line)
        if match is None:
            raise ParseError(SOURCE, f"line {line_number}", "'feature: on' or 'off' was expected", line)
        note = match[3] or ""
        requested = note.endswith("on]") if "[requested" in note else None
        features[match[1]] = Feature(match[2] == "on", "fixed" in note, requested)
    if not features:
        raise ParseError(SOURCE, "file", "no feature")
    return features


def parse_driver(data: bytes) -> Driver:
    """`ethtool -i`."""
    properties = _properties(data)
    if "driver" not in properties:
        raise ParseError(SOURCE, "file", "no line 'driver:'")
    return Driver(
        name=properties["driver"] or None,
        version=properties.get("version") or None,
        firmware=properties.get("firmware-version") or None,
        bus=properties.get("bus-info") or None,
    )


def parse_settings(data: bytes) -> LinkSettings:
    """Plain `ethtool DEV`. Lists of link modes that continue on further lines are joined by blanks."""
    text = text_of(SOURCE, data)
    if not text.startswith("Settings for "):
        raise ParseError(SOURCE, "line 1", "'Settings for DEVICE:' was expected", text[:80])
    properties = _properties(text.partition("\n")[2].encode())
    speed = SPEED.match(properties.get("Speed", ""))
    duplex = properties.get("Duplex", "").lower()
    return LinkSettings(
        speed_bits_per_second=int(speed[1]) * 10**6 if speed else None,
        duplex=duplex if duplex in ("full", "half") else None,
        autonegotiation=_yes(properties.get("Auto-negotiation")),
        link_detected=_yes(properties.get("Link detected")),
        properties=properties,
    )


def parse_statistics(data: bytes) -> dict[str, int]:
    """`ethtool -S`: the driver's own counters by its own names."""
    values: dict[str, int] = {}
    for line_number, line in enumerate(text_of(SOURCE, data).splitlines(), 1):
        name, colon, value = line.rpartition(":")
        if not line.strip() or (colon and not value.strip()):  # "NIC statistics:" and section titles
            continue
        if not colon:
            raise ParseError(SOURCE, f"line {line_number}", "'name: number' was expected", line)
        values[name.strip()] = number(SOURCE, f"line {line_number}", value.strip())
    return values


def allowance_exceeded(statistics: dict[str, int]) -> dict[str, int]:
    """Packets over the instance's allowances by limit: ENA's bw_in_allowance_exceeded → {"bw_in": n}."""
    return {
        name.removesuffix(ALLOWANCE_SUFFIX): count
        for name, count in statistics.items()
        if name.endswith(ALLOWANCE_SUFFIX)
    }


def _properties(data: bytes) -> dict[str, str]:
    properties: dict[str, str] = {}
    key = ""
    for line_number, line in enumerate(text_of(SOURCE, data).splitlines(), 1):
        name, colon, value = line.partition(": ") if ": " in line else line.partition(":")
        if colon and not (line.startswith("\t\t") and key):
            key = name.strip()
            properties[key] = value.strip()
        elif key:
            properties[key] = f"{properties[key]} {line.strip()}".strip()
        elif line.strip():
            raise ParseError(SOURCE, f"line {line_number}", "'name: value' was expected", line)
    return properties


def _yes(word: str | None) -> bool | None:
    return {"yes": True, "on": True, "no": False, "off": False}.get(word or "")
