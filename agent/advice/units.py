"""Figures as people read them, with their unit. The same in English and Chinese."""

KIBIBYTE, MEBIBYTE, GIBIBYTE = 1 << 10, 1 << 20, 1 << 30


def size(count: float) -> str:
    """Bytes: 65535 → "64.0 KiB"."""
    for unit, name in ((GIBIBYTE, "GiB"), (MEBIBYTE, "MiB"), (KIBIBYTE, "KiB")):
        if count >= unit:
            value = count / unit
            return f"{value:.0f} {name}" if value == int(value) else f"{value:.1f} {name}"
    return f"{count:.0f} B"


def rate(bits_per_second: float) -> str:
    """Bits per second: 5.2e6 → "5.2 Mbit/s"."""
    for unit, name in ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s")):
        if bits_per_second >= unit:
            return f"{bits_per_second / unit:.3g} {name}"
    return f"{bits_per_second:.3g} bit/s"


def milliseconds(ns: float) -> str:
    """Nanoseconds: 151200000 → "151.2 ms"."""
    return f"{ns / 1e6:.1f} ms"


def percent(ratio: float) -> str:
    """A ratio: 0.0523 → "5.2%"."""
    return f"{ratio * 100:.2g}%" if ratio < 0.1 else f"{ratio * 100:.1f}%"


def power_of_two_from(count: float) -> int:
    """The least power of two that is not below it."""
    return 1 << max(0, int(-(-count // 1)) - 1).bit_length()
