"""The Internet checksum (RFC 1071) of IP, ICMP, UDP and TCP headers. Pure."""

from typing import Literal


def internet_checksum(*parts: bytes) -> int:
    """Of these bytes one after the other, 0 … 0xFFFF. Each part but the last has an even length."""
    total = 0
    for part in parts:
        even = part if len(part) % 2 == 0 else part + b"\0"
        total += sum(memoryview(even).cast("H")) if even else 0
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int.from_bytes((~total & 0xFFFF).to_bytes(2, _NATIVE), "big")


_NATIVE: Literal["little", "big"] = "little" if memoryview(b"\1\0").cast("H")[0] == 1 else "big"
